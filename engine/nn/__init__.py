"""Modules, layers and losses.

module   Module, Parameter, Sequential, ModuleList
layers   Linear, Conv, ConvTranspose, pooling, activations, Dropout
norm     InstanceNorm, GroupNorm, BatchNorm, LayerNorm
recurrent  GRU, LSTM, and their cells
losses   cross_entropy, mse_loss, …
init     initial values
"""

from fieldgrad.engine.nn import init, losses
from fieldgrad.engine.nn.layers import (
    ELU,
    GELU,
    AvgPool,
    Conv,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool,
    ReLU,
    Sigmoid,
    SiLU,
    Tanh,
    Upsample,
)
from fieldgrad.engine.nn.module import Module, ModuleList, Parameter, Sequential
from fieldgrad.engine.nn.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from fieldgrad.engine.nn.recurrent import GRU, LSTM, GRUCell, LSTMCell

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "AvgPool",
    "BatchNorm",
    "Conv",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose",
    "Dropout",
    "Flatten",
    "GRUCell",
    "GroupNorm",
    "InstanceNorm",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "MaxPool",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "Upsample",
    "init",
    "losses",
]
