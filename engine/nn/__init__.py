"""Modules, layers and losses.

module   Module, Parameter, Sequential, ModuleList, ModuleDict
layers   Linear, Conv, ConvTranspose, Embedding, …
activations  ReLU, GELU, Softmax, …
windows  pooling, Upsample, PixelShuffle, Unfold
dropout  Dropout, of elements or channels
norm     InstanceNorm, GroupNorm, BatchNorm, LayerNorm, RMSNorm
attention  MultiheadAttention, TransformerEncoder and its layers
recurrent  GRU, LSTM, and their cells
losses   cross_entropy, mse_loss, …
init     initial values

Parameters have PyTorch's names and shapes; `fieldgrad.engine.interop` takes its weights.
"""

from fieldgrad.engine.nn import init, losses
from fieldgrad.engine.nn.activations import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softmin,
    Softplus,
    Softshrink,
    Softsign,
    Tanh,
    Tanhshrink,
    Threshold,
)
from fieldgrad.engine.nn.attention import (
    MultiheadAttention,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from fieldgrad.engine.nn.dropout import AlphaDropout, Dropout, DropoutChannels, FeatureAlphaDropout
from fieldgrad.engine.nn.layers import (
    Bilinear,
    Conv,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose,
    Embedding,
    EmbeddingBag,
    Flatten,
    Identity,
    Linear,
)
from fieldgrad.engine.nn.module import Module, ModuleDict, ModuleList, Parameter, Sequential
from fieldgrad.engine.nn.norm import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LocalResponseNorm,
    RMSNorm,
)
from fieldgrad.engine.nn.recurrent import GRU, LSTM, GRUCell, LSTMCell
from fieldgrad.engine.nn.windows import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    Fold,
    LPPool,
    MaxPool,
    PixelShuffle,
    PixelUnshuffle,
    Unfold,
    Upsample,
)

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "SELU",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AlphaDropout",
    "AvgPool",
    "BatchNorm",
    "Bilinear",
    "Conv",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose",
    "Dropout",
    "DropoutChannels",
    "Embedding",
    "EmbeddingBag",
    "FeatureAlphaDropout",
    "Flatten",
    "Fold",
    "GRUCell",
    "GroupNorm",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "InstanceNorm",
    "LPPool",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LogSigmoid",
    "LogSoftmax",
    "MaxPool",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "PReLU",
    "Parameter",
    "PixelShuffle",
    "PixelUnshuffle",
    "RMSNorm",
    "RReLU",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "Unfold",
    "Upsample",
    "init",
    "losses",
]
