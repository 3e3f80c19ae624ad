from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
PerAxis = int | Sequence[int]
CONV_METHODS: tuple[str, ...]

def set_conv_method(name: str) -> None: ...
def get_conv_method() -> str: ...
def conv(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: PerAxis,
    padding: PerAxis,
    dilation: PerAxis,
    groups: int,
) -> Array: ...
def conv_transpose(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: PerAxis,
    padding: PerAxis,
    output_padding: PerAxis,
    dilation: PerAxis,
    groups: int,
) -> Array: ...
def conv_weight(
    x: Array,
    g: Array,
    kernel_size: PerAxis,
    stride: PerAxis,
    padding: PerAxis,
    dilation: PerAxis,
    groups: int,
) -> Array: ...
def max_pool(
    x: Array,
    kernel_size: PerAxis,
    stride: PerAxis | None,
    padding: PerAxis,
    dilation: PerAxis,
    ceil_mode: bool,
) -> tuple[Array, Array]: ...
def max_unpool(
    g: Array,
    index: Array,
    size: Sequence[int],
    kernel_size: PerAxis,
    stride: PerAxis | None,
    padding: PerAxis,
    dilation: PerAxis,
) -> Array: ...
def resample(
    x: Array, axis: int, n_out: int, start: Array, index: Array, weight: Array
) -> Array: ...
