"""fieldgrad.engine: an eager autograd engine for the CPU.

Floors, from below; each imports only its own or lower ones::

    4  train/ recipe field checkpoint cli        the training loop, recipes, the command line
    3  nn/ optim data                             modules, optimizers, loaders
    2  op shapes samples ops/ autograd            every op: rule, shape, tests' samples
    1  _core (Tensor, tape)  device  memory       names of kernels to callables
    0  kernels/ (C)  _kernels  _nn_kernels        arrays to C calls, instruction sets
       _linalg_kernels  _norm_kernels  _optim_kernels  _irregular_kernels

Begin reading with ``op.py``, ``ops/elementary.py``, ``_core.pyx``, ``autograd.py``.

>>> import fieldgrad.engine as fg
>>> w = fg.tensor([1.0, 2.0], requires_grad=True)
>>> loss = fg.sum(fg.log(w) + w * w)
>>> loss.backward()
>>> w.grad.tolist()  # 1 / w + 2 w
[3.0, 4.5]
"""

from fieldgrad.engine import data, errors, memory, nn, optim
from fieldgrad.engine._core import Tensor
from fieldgrad.engine._kernels import get_num_threads, set_num_threads
from fieldgrad.engine.autograd import (
    detect_anomaly,
    enable_grad,
    grad,
    gradcheck,
    no_grad,
    value_and_grad,
)
from fieldgrad.engine.config import config
from fieldgrad.engine.ops import random
from fieldgrad.engine.ops.arithmetic import (
    abs,
    add,
    ceil,
    clip,
    divide,
    equal,
    floor,
    greater,
    greater_equal,
    isfinite,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    reciprocal,
    round,
    sign,
    sqrt,
    square,
    subtract,
    where,
)
from fieldgrad.engine.ops.conv import conv, conv_transpose
from fieldgrad.engine.ops.creation import ones, tensor, zeros
from fieldgrad.engine.ops.elementary import (
    cos,
    elu,
    erf,
    exp,
    expm1,
    gelu,
    leaky_relu,
    log,
    log1p,
    power,
    relu,
    sigmoid,
    silu,
    sin,
    softplus,
    tanh,
)
from fieldgrad.engine.ops.index import (
    scatter_add,
    take_along_axis,
)
from fieldgrad.engine.ops.layout import (
    astype,
    broadcast_to,
    concat,
    expand_dims,
    flatten,
    flip,
    moveaxis,
    pad,
    permute_dims,
    reshape,
    squeeze,
    stack,
    unstack,
)
from fieldgrad.engine.ops.linalg import (
    einsum,
    linear,
    matmul,
)
from fieldgrad.engine.ops.neighbors import cdist, gather_neighbors, knn
from fieldgrad.engine.ops.norm import (
    batch_norm,
    given_norm,
    group_norm,
    instance_norm,
    layer_norm,
)
from fieldgrad.engine.ops.pool import max_pool
from fieldgrad.engine.ops.random import dropout, manual_seed
from fieldgrad.engine.ops.recurrent import gru, lstm
from fieldgrad.engine.ops.reduce import (
    all,
    any,
    argmax,
    argmin,
    cumsum,
    logsumexp,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from fieldgrad.engine.ops.resample import avg_pool, interpolate
from fieldgrad.engine.ops.segment import (
    gather,
    segment_max,
    segment_mean,
    segment_min,
    segment_softmax,
    segment_sum,
)
from fieldgrad.engine.ops.softmax import cross_entropy, log_softmax, overlap_sums, softmax

__all__ = [
    "Tensor",
    "abs",
    "add",
    "all",
    "any",
    "argmax",
    "argmin",
    "astype",
    "avg_pool",
    "batch_norm",
    "broadcast_to",
    "cdist",
    "ceil",
    "clip",
    "concat",
    "config",
    "conv",
    "conv_transpose",
    "cos",
    "cross_entropy",
    "cumsum",
    "data",
    "detect_anomaly",
    "divide",
    "dropout",
    "einsum",
    "elu",
    "enable_grad",
    "equal",
    "erf",
    "errors",
    "exp",
    "expand_dims",
    "expm1",
    "flatten",
    "flip",
    "floor",
    "gather",
    "gather_neighbors",
    "gelu",
    "get_num_threads",
    "given_norm",
    "grad",
    "gradcheck",
    "greater",
    "greater_equal",
    "group_norm",
    "gru",
    "instance_norm",
    "interpolate",
    "isfinite",
    "isnan",
    "knn",
    "layer_norm",
    "leaky_relu",
    "less",
    "less_equal",
    "linear",
    "log",
    "log1p",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logsumexp",
    "lstm",
    "manual_seed",
    "matmul",
    "max",
    "max_pool",
    "maximum",
    "mean",
    "memory",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "negative",
    "nn",
    "no_grad",
    "not_equal",
    "ones",
    "optim",
    "overlap_sums",
    "pad",
    "permute_dims",
    "power",
    "prod",
    "random",
    "reciprocal",
    "relu",
    "reshape",
    "round",
    "scatter_add",
    "segment_max",
    "segment_mean",
    "segment_min",
    "segment_softmax",
    "segment_sum",
    "set_num_threads",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "softmax",
    "softplus",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "take_along_axis",
    "tanh",
    "tensor",
    "unstack",
    "value_and_grad",
    "var",
    "where",
    "zeros",
]
