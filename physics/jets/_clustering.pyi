import numpy as np
from numpy.typing import NDArray

def exclusive_axes(
    vectors: NDArray[np.float64], offsets: NDArray[np.int64], n_most: int
) -> NDArray[np.float64]: ...
def soft_drop(
    vectors: NDArray[np.float64],
    offsets: NDArray[np.int64],
    z_cut: float,
    beta: float,
    radius: float,
) -> NDArray[np.float64]: ...
