"""Data types: their names, limits, kinds and how they mix."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fieldgrad.engine._core import DEFAULT_FLOAT, Tensor
from fieldgrad.engine.errors import DTypeError

bool_ = np.dtype(np.bool_)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
uint16 = np.dtype(np.uint16)
uint32 = np.dtype(np.uint32)
uint64 = np.dtype(np.uint64)
float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)
complex64 = np.dtype(np.complex64)
complex128 = np.dtype(np.complex128)

DTYPES = (
    *(bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64),
    *(float32, float64, complex64, complex128),
)


@dataclass(frozen=True)
class FloatLimits:
    """What `finfo` tells of a floating dtype.

    Parameters
    ----------
    bits : int
        Bits of a number; of a part, if complex.
    eps : float
        Distance from 1 to the next larger number.
    max, min : float
        The largest and the smallest number.
    smallest_normal : float
        The smallest positive number of full precision.
    dtype : dtype
        The real floating dtype.
    """

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class IntegerLimits:
    """What `iinfo` tells of an integer dtype.

    Parameters
    ----------
    bits : int
        Bits of a number.
    max, min : int
        The largest and the smallest number.
    dtype : dtype
        The dtype.
    """

    bits: int
    max: int
    min: int
    dtype: np.dtype[Any]


def finfo(type: DTypeLike | Tensor, /) -> FloatLimits:
    """The limits of a floating dtype.

    Parameters
    ----------
    type : dtype or Tensor
        A floating or complex dtype, or a tensor that has one.

    Returns
    -------
    FloatLimits
        Its attributes are Python numbers.

    Raises
    ------
    DTypeError
        If the dtype is not floating.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.finfo("float32").eps == 2**-23
    True
    """
    dtype = _dtype_of(type)
    if dtype.kind not in "fc":
        raise DTypeError(f"finfo: {dtype} is not floating; use iinfo for integers.")
    limits = np.finfo(dtype)
    return FloatLimits(
        bits=int(limits.bits),
        eps=float(limits.eps),
        max=float(limits.max),
        min=float(limits.min),
        smallest_normal=float(limits.smallest_normal),
        dtype=limits.dtype,
    )


def iinfo(type: DTypeLike | Tensor, /) -> IntegerLimits:
    """The limits of an integer dtype.

    Parameters
    ----------
    type : dtype or Tensor
        An integer dtype, or a tensor that has one.

    Returns
    -------
    IntegerLimits
        Its attributes are Python numbers.

    Raises
    ------
    DTypeError
        If the dtype is not an integer one.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.iinfo("uint8").max
    255
    """
    dtype = _dtype_of(type)
    if dtype.kind not in "iu":
        raise DTypeError(f"iinfo: {dtype} is not an integer dtype; use finfo for floating ones.")
    limits = np.iinfo(dtype)
    return IntegerLimits(int(limits.bits), int(limits.max), int(limits.min), dtype)


def isdtype(dtype: DTypeLike, kind: Any) -> bool:
    """Whether a dtype is of a kind.

    Parameters
    ----------
    dtype : dtype
        The dtype in question.
    kind : dtype, str or tuple of them
        A dtype; or "bool", "signed integer", "unsigned integer", "integral", "real floating",
        "complex floating" or "numeric"; or several, of which one is enough.

    Returns
    -------
    bool
        Whether it is.

    Raises
    ------
    ValueError
        If there is no such kind.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.isdtype(fg.zeros(3).dtype, "real floating")
    True
    """
    return bool(np.isdtype(np.dtype(dtype), kind))


def can_cast(from_: DTypeLike | Tensor, to: DTypeLike, /) -> bool:
    """Whether every value of one dtype has its like in another.

    Parameters
    ----------
    from_ : dtype or Tensor
        The one dtype, or a tensor that has it.
    to : dtype
        The other.

    Returns
    -------
    bool
        Whether conversion loses nothing by the rules of promotion.
    """
    return bool(np.can_cast(_dtype_of(from_), np.dtype(to)))


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The dtype of what an op makes of arrays, dtypes and numbers.

    Parameters
    ----------
    *arrays_and_dtypes : Tensor, dtype or number
        At least one that has a dtype. Python numbers take the dtype of the others, if its kind
        holds them.

    Returns
    -------
    dtype
        By NumPy's table of promotion; Python floats beside integers give float32.

    Raises
    ------
    DTypeError
        If nothing has a dtype.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.result_type("float32", "float64"), fg.result_type("uint8", 1)
    (dtype('float64'), dtype('uint8'))
    """
    numbers = [x for x in arrays_and_dtypes if isinstance(x, (bool, int, float, complex))]
    dtypes = [_dtype_of(x) for x in arrays_and_dtypes if not isinstance(x, (int, float, complex))]
    if not dtypes:
        raise DTypeError(
            f"result_type: {arrays_and_dtypes} have no dtype; give one array or dtype at least."
        )
    common = np.result_type(*dtypes)
    if common.kind in "biu" and any(isinstance(x, (float, complex)) for x in numbers):
        common = DEFAULT_FLOAT
    return np.result_type(common, *numbers)


def _dtype_of(x: Any) -> np.dtype[Any]:
    return x.dtype if isinstance(x, (Tensor, np.ndarray, np.generic)) else np.dtype(x)
