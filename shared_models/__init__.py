"""fieldgrad.shared_models: architectures that more than one field uses.

mlp         `MLP`, linear layers with an activation between them
ragged      batches without padding: rows of all items end to end, and their offsets
deep_sets   `DeepSets`, a function of a sum over the elements of a set
edge_conv   `EdgeConv`, messages of the nearest neighbors of each point
attention   `AttentionBlock`, attention with a bias for each pair
unet        `UNet`, nnU-Net's plain convolutional form, in any number of axes
"""

from fieldgrad.shared_models.attention import AttentionBlock
from fieldgrad.shared_models.deep_sets import DeepSets
from fieldgrad.shared_models.edge_conv import EdgeConv
from fieldgrad.shared_models.mlp import MLP
from fieldgrad.shared_models.unet import UNet

__all__ = ["MLP", "AttentionBlock", "DeepSets", "EdgeConv", "UNet"]
