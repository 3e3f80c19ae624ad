from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

def update(kind: str, columns: list[list[Array]], scalars: NDArray[Any]) -> None: ...
def sum_of_squares(arrays: list[Array]) -> float: ...
