from typing import Any

from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

def norm(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    batch: int,
    groups: int,
    eps: float,
    negative_slope: float = 1.0,
    given: tuple[Array, Array] | None = None,
) -> tuple[Array, Array, Array]: ...
def norm_gradient(
    g: Array,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array,
    rstd: Array,
    negative_slope: float,
    given: bool = False,
) -> tuple[Array, Array, Array]: ...
def softmax(x: Array, axis: int) -> Array: ...
def log_softmax(x: Array, axis: int) -> Array: ...
def softmax_gradient(g: Array, y: Array, axis: int) -> Array: ...
def log_softmax_gradient(g: Array, y: Array, axis: int) -> Array: ...
def cross_entropy(
    logits: Array,
    target: Array,
    *,
    weight: ArrayLike | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> tuple[Array, Array]: ...
def cross_entropy_gradient(
    g: Array,
    logits: Array,
    target: Array,
    divisor: float,
    *,
    weight: ArrayLike | None,
    ignore_index: int | None,
    label_smoothing: float,
) -> Array: ...
def overlap_sums(logits: Array, target: Array) -> Array: ...
def overlap_sums_gradient(g: Array, logits: Array, target: Array) -> Array: ...
