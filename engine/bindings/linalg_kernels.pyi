from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

def matmul(a: Array, b: Array) -> Array: ...
def linear(x: Array, weight: Array, bias: Array | None = None) -> Array: ...
