"""Making tensors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fieldgrad.engine._core import Tensor


def tensor(data: Any, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Make a tensor from numbers, nested lists or an array.

    Parameters
    ----------
    data : array_like
        Arrays are wrapped without a copy unless dtype asks for one; Python floats become float32.
    dtype : dtype, optional
        Convert to this dtype.
    requires_grad : bool, default False
        Whether ``backward`` shall compute a gradient for it.

    Returns
    -------
    Tensor
        Of data's shape.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.tensor([[1, 2], [3, 4]], dtype="float32").sum().item()
    10.0
    """
    if dtype is not None:
        data = np.asarray(data.data if isinstance(data, Tensor) else data, dtype=dtype)
    return Tensor(data, requires_grad=requires_grad)


def zeros(shape: int | Sequence[int], *, dtype: DTypeLike = np.float32) -> Tensor:
    """Tensor of zeros.

    Parameters
    ----------
    shape : int or sequence of int
        Length of each axis.
    dtype : dtype_like, default float32
        Type of the elements.

    Returns
    -------
    Tensor
        Of that shape.
    """
    return Tensor(np.zeros(shape, dtype))


def ones(shape: int | Sequence[int], *, dtype: DTypeLike = np.float32) -> Tensor:
    """Tensor of ones.

    Parameters
    ----------
    shape : int or sequence of int
        Length of each axis.
    dtype : dtype_like, default float32
        Type of the elements.

    Returns
    -------
    Tensor
        Of that shape.
    """
    return Tensor(np.ones(shape, dtype))
