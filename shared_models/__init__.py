"""fieldgrad.shared_models: architectures that more than one field uses.

unet    `UNet`, nnU-Net's plain convolutional form, in any number of axes
"""

from fieldgrad.shared_models.unet import UNet

__all__ = ["UNet"]
