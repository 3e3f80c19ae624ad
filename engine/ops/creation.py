"""Making tensors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fieldgrad.engine._core import DEFAULT_FLOAT, Tensor
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.engine.ops.arithmetic import (
    where,
)
from fieldgrad.engine.ops.layout import astype, broadcast_to, reshape, stack


def _check_device(name: str, device: Any) -> None:
    if device not in (None, "cpu"):
        raise DataError(f"{name}: device = {device!r}; expected 'cpu', the only one there is.")


def tensor(data: Any, *, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Make a tensor from numbers, nested lists or an array.

    Parameters
    ----------
    data : array_like
        Arrays are wrapped without a copy unless dtype asks for one; Python floats become float32,
        complex numbers complex64.
    dtype : dtype, optional
        Convert to this dtype.
    requires_grad : bool, default False
        Whether ``backward`` shall compute a gradient for it.

    Returns
    -------
    Tensor
        Of data's shape.

    Raises
    ------
    GradientError
        For a list of tensors that require gradients, which would be lost: use `stack`.
    DTypeError
        If the data are not numbers.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.tensor([[1, 2], [3, 4]], dtype="float32").sum().item()
    10.0
    """
    if dtype is not None:
        data = np.asarray(data.data if isinstance(data, Tensor) else data, dtype=dtype)
    return Tensor(data, requires_grad=requires_grad)


def asarray(
    obj: Any,
    /,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    copy: bool | None = None,
) -> Tensor:
    """The tensor of an array, of numbers, or of nested lists of numbers or tensors.

    Parameters
    ----------
    obj : array_like
        A tensor keeps its history, also in lists. Python floats become float32.
    dtype : dtype_like, optional
        Convert to this dtype; by default it stays.
    device : {"cpu"}, optional
        Where it lies.
    copy : bool, optional
        True for new memory, False for an error where memory cannot be shared; by default it is
        shared where possible.

    Returns
    -------
    Tensor
        Of obj's shape.

    Raises
    ------
    DTypeError
        If obj is not made of numbers.
    ValueError
        If copy is False and a copy is needed.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.asarray([1.0, fg.tensor(2.0)]).tolist()
    [1.0, 2.0]
    """
    _check_device("asarray", device)
    if isinstance(obj, (list, tuple)) and _has_tensor(obj):
        obj, made = stack([asarray(part, dtype=dtype) for part in obj]), True
    else:
        made = not isinstance(obj, (Tensor, np.ndarray)) and not hasattr(obj, "__buffer__")
    if dtype is not None and not isinstance(obj, (Tensor, np.ndarray)):
        obj = np.asarray(obj, dtype)  # at once: not by way of float32
    x = obj if isinstance(obj, Tensor) else Tensor(obj)
    converts = dtype is not None and x.dtype != dtype
    if copy is False and (made or converts):
        raise ValueError(
            f"asarray: copy=False, but {type(obj).__name__} to {dtype or x.dtype} needs a copy. "
            "Leave copy=None."
        )
    return astype(x, x.dtype if dtype is None else dtype) if converts or (copy and not made) else x


def _has_tensor(parts: Sequence[Any]) -> bool:
    return any(
        isinstance(p, Tensor) or (isinstance(p, (list, tuple)) and _has_tensor(p)) for p in parts
    )


def empty(
    shape: int | Sequence[int], *, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """Tensor whose elements are not set.

    Parameters
    ----------
    shape : int or sequence of int
        Length of each axis.
    dtype : dtype_like, optional
        Type of the elements, float32 by default.
    device : {"cpu"}, optional
        Where it lies.

    Returns
    -------
    Tensor
        Of that shape.
    """
    _check_device("empty", device)
    return Tensor(np.empty(shape, DEFAULT_FLOAT if dtype is None else dtype))


def zeros(
    shape: int | Sequence[int], *, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """Tensor of zeros.

    Parameters
    ----------
    shape : int or sequence of int
        Length of each axis.
    dtype : dtype_like, optional
        Type of the elements, float32 by default.
    device : {"cpu"}, optional
        Where it lies.

    Returns
    -------
    Tensor
        Of that shape.
    """
    _check_device("zeros", device)
    return Tensor(np.zeros(shape, DEFAULT_FLOAT if dtype is None else dtype))


def ones(
    shape: int | Sequence[int], *, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """Tensor of ones.

    Parameters
    ----------
    shape : int or sequence of int
        Length of each axis.
    dtype : dtype_like, optional
        Type of the elements, float32 by default.
    device : {"cpu"}, optional
        Where it lies.

    Returns
    -------
    Tensor
        Of that shape.
    """
    _check_device("ones", device)
    return Tensor(np.ones(shape, DEFAULT_FLOAT if dtype is None else dtype))


def full(
    shape: int | Sequence[int],
    fill_value: complex,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Tensor of one number everywhere.

    Parameters
    ----------
    shape : int or sequence of int
        Length of each axis.
    fill_value : number
        The number.
    dtype : dtype_like, optional
        Type of the elements; by default bool, int64, float32 or complex64, as the number is.
    device : {"cpu"}, optional
        Where it lies.

    Returns
    -------
    Tensor
        Of that shape.
    """
    _check_device("full", device)
    return Tensor(np.full(shape, asarray(fill_value, dtype=dtype).data))


def empty_like(
    x: Tensor, /, *, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """Tensor of the shape of another, whose elements are not set.

    Parameters
    ----------
    x : Tensor
        Any shape; only shape and dtype count.
    dtype : dtype_like, optional
        Type of the elements, that of x by default.
    device : {"cpu"}, optional
        Where it lies.

    Returns
    -------
    Tensor
        Shape of x.
    """
    _check_device("empty_like", device)
    return Tensor(np.empty_like(x.data, dtype=dtype))


def zeros_like(
    x: Tensor, /, *, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """Tensor of zeros of the shape of another.

    Parameters
    ----------
    x : Tensor
        Any shape; only shape and dtype count.
    dtype : dtype_like, optional
        Type of the elements, that of x by default.
    device : {"cpu"}, optional
        Where it lies.

    Returns
    -------
    Tensor
        Shape of x.
    """
    _check_device("zeros_like", device)
    return Tensor(np.zeros_like(x.data, dtype=dtype))


def ones_like(x: Tensor, /, *, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """Tensor of ones of the shape of another.

    Parameters
    ----------
    x : Tensor
        Any shape; only shape and dtype count.
    dtype : dtype_like, optional
        Type of the elements, that of x by default.
    device : {"cpu"}, optional
        Where it lies.

    Returns
    -------
    Tensor
        Shape of x.
    """
    _check_device("ones_like", device)
    return Tensor(np.ones_like(x.data, dtype=dtype))


def full_like(
    x: Tensor,
    /,
    fill_value: complex,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Tensor of one number everywhere, of the shape of another.

    Parameters
    ----------
    x : Tensor
        Any shape; only shape and dtype count.
    fill_value : number
        The number.
    dtype : dtype_like, optional
        Type of the elements, that of x by default.
    device : {"cpu"}, optional
        Where it lies.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return full(x.shape, fill_value, dtype=x.dtype if dtype is None else dtype, device=device)


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Numbers at equal distances from start up to stop, stop excluded.

    Parameters
    ----------
    start : number
        The first number; with start alone, it is where to stop, and 0 is the first.
    stop : number, optional
        Where to stop.
    step : number, default 1
        The distance; may be negative.
    dtype : dtype_like, optional
        Type of the elements; by default int64 for integers, else float32.
    device : {"cpu"}, optional
        Where it lies.

    Returns
    -------
    Tensor
        Shape (N,) with N = ceil((stop - start) / step), at least 0.

    See Also
    --------
    linspace : A given number of them.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.arange(3).tolist(), fg.arange(1.0, 2.0, 0.5).tolist()
    ([0, 1, 2], [1.0, 1.5])
    """
    _check_device("arange", device)
    start, stop = (0, start) if stop is None else (start, stop)
    if dtype is None and not all(isinstance(v, (int, np.integer)) for v in (start, stop, step)):
        dtype = DEFAULT_FLOAT
    return Tensor(np.arange(start, stop, step, dtype=dtype))


def linspace(
    start: complex,
    stop: complex,
    /,
    num: int,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    endpoint: bool = True,
) -> Tensor:
    """A given number of numbers at equal distances from start to stop.

    Parameters
    ----------
    start, stop : number
        The first, and with endpoint the last number.
    num : int
        How many.
    dtype : dtype_like, optional
        Type of the elements; by default float32, or complex64 for complex numbers.
    device : {"cpu"}, optional
        Where it lies.
    endpoint : bool, default True
        Whether stop is among them.

    Returns
    -------
    Tensor
        Shape (num,).

    See Also
    --------
    arange : Numbers at a given distance.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    _check_device("linspace", device)
    if dtype is None:
        dtype = np.result_type(DEFAULT_FLOAT, start, stop)
    return Tensor(np.linspace(start, stop, num, dtype=dtype, endpoint=endpoint))


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Matrix with ones on a diagonal and zeros elsewhere.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    n_cols : int, optional
        Number of columns; as many as rows by default.
    k : int, default 0
        Which diagonal: 0 the main one, positive ones above it, negative ones below.
    dtype : dtype_like, optional
        Type of the elements, float32 by default.
    device : {"cpu"}, optional
        Where it lies.

    Returns
    -------
    Tensor
        Shape (n_rows, n_cols).
    """
    _check_device("eye", device)
    return Tensor(np.eye(n_rows, n_cols, k=k, dtype=DEFAULT_FLOAT if dtype is None else dtype))


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """The tensor of another library's array, by DLPack.

    Parameters
    ----------
    x : array
        An object with the methods ``__dlpack__`` and ``__dlpack_device__``, in main memory.
    device : {"cpu"}, optional
        Where it lies.
    copy : bool, optional
        True for new memory, False for an error where memory cannot be shared; by default it is
        shared where possible.

    Returns
    -------
    Tensor
        Of the array's shape and dtype.

    Raises
    ------
    BufferError
        If the other library cannot hand over its memory.
    """
    _check_device("from_dlpack", device)
    # NumPy 2.0 has no argument copy.
    return Tensor(np.from_dlpack(x) if copy is None else np.from_dlpack(x, copy=copy))


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> tuple[Tensor, ...]:
    """The coordinates of a grid, one array for each axis, from the positions along its axes.

    Parameters
    ----------
    *arrays : Tensor
        Positions along each axis: shapes (n_0,), (n_1,) and so on.
    indexing : {"xy", "ij"}, default "xy"
        "ij": array i runs along axis i. "xy": the first two axes change places, as in plots.

    Returns
    -------
    tuple of Tensor
        As many views as arrays, of shape (n_0, n_1, …), or (n_1, n_0, …) for "xy".

    Raises
    ------
    ValueError
        If indexing is something else.
    ShapeError
        If an array has not one axis.
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing = {indexing!r}; expected 'xy' or 'ij'.")
    if any(x.ndim != 1 for x in arrays):
        raise ShapeError(
            f"meshgrid: the arrays have shapes {[x.shape for x in arrays]}; expected one axis each."
        )
    order = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        order[:2] = 1, 0
    shape = tuple(arrays[i].size for i in order)
    grids = []
    for axis, x in zip(order, arrays, strict=True):
        along = tuple(-1 if i == axis else 1 for i in range(len(arrays)))
        grids.append(broadcast_to(reshape(x, along), shape))
    return tuple(grids)


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The lower triangle of matrices; zeros above it.

    Parameters
    ----------
    x : Tensor
        Shape (…, M, N).
    k : int, default 0
        The diagonal up to which elements stay: 0 the main one, positive ones above it.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ShapeError
        If x has fewer than two axes.
    """
    return where(_lower(x, k, "tril"), x, Tensor(np.zeros((), x.dtype)))


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The upper triangle of matrices; zeros below it.

    Parameters
    ----------
    x : Tensor
        Shape (…, M, N).
    k : int, default 0
        The diagonal from which on elements stay: 0 the main one, positive ones above it.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ShapeError
        If x has fewer than two axes.
    """
    return where(_lower(x, k - 1, "triu"), Tensor(np.zeros((), x.dtype)), x)


def _lower(x: Tensor, k: int, name: str) -> Any:
    """Where a matrix has its lower triangle."""
    if x.ndim < 2:
        raise ShapeError(f"{name}: x has shape {x.shape}; expected matrices, shape (…, M, N).")
    return np.tri(x.shape[-2], x.shape[-1], k=k, dtype=bool)
