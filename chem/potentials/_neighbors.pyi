import numpy as np
from numpy.typing import NDArray

def half_pairs(
    points: NDArray[np.float64],
    owner: NDArray[np.int64],
    positive: NDArray[np.uint8],
    n_atoms: int,
    cutoff: float,
) -> NDArray[np.int64]: ...
