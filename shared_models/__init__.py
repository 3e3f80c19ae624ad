"""fieldgrad.shared_models: architectures that more than one field uses.

mlp         `MLP`, linear layers with an activation between them
ragged      batches without padding: rows of all items end to end, and their offsets
deep_sets   `DeepSets`, a function of a sum over the elements of a set
unet        `UNet`, nnU-Net's plain convolutional form, in any number of axes
"""

from fieldgrad.shared_models.deep_sets import DeepSets
from fieldgrad.shared_models.mlp import MLP
from fieldgrad.shared_models.unet import UNet

__all__ = ["MLP", "DeepSets", "UNet"]
