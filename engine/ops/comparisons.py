"""Comparisons, logic, tests for NaN and infinity, and what they decide, elementwise."""

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.arithmetic import abs, maximum, minimum, subtract, where
from fieldgrad.engine.ops.complex import imag
from fieldgrad.engine.ops.creation import asarray
from fieldgrad.engine.samples import pairs, reals


@op(kernel="equal", samples=pairs, differentiable=False)
def equal(x: TensorLike, y: TensorLike, /):
    """Whether x == y, elementwise."""


@op(kernel="not_equal", samples=pairs, differentiable=False)
def not_equal(x: TensorLike, y: TensorLike, /):
    """Whether x != y, elementwise."""


@op(kernel="less", samples=pairs, differentiable=False)
def less(x: TensorLike, y: TensorLike, /):
    """Whether x < y, elementwise."""


@op(kernel="less_equal", samples=pairs, differentiable=False)
def less_equal(x: TensorLike, y: TensorLike, /):
    """Whether x <= y, elementwise."""


@op(kernel="greater", samples=pairs, differentiable=False)
def greater(x: TensorLike, y: TensorLike, /):
    """Whether x > y, elementwise."""


@op(kernel="greater_equal", samples=pairs, differentiable=False)
def greater_equal(x: TensorLike, y: TensorLike, /):
    """Whether x >= y, elementwise."""


@op(kernel="logical_and", samples=pairs, differentiable=False)
def logical_and(x: TensorLike, y: TensorLike, /):
    """Whether both are true (not zero), elementwise."""


@op(kernel="logical_or", samples=pairs, differentiable=False)
def logical_or(x: TensorLike, y: TensorLike, /):
    """Whether one of both is true (not zero), elementwise."""


@op(kernel="logical_xor", samples=pairs, differentiable=False)
def logical_xor(x: TensorLike, y: TensorLike, /):
    """Whether exactly one of both is true (not zero), elementwise."""


@op(kernel="logical_not", samples=reals, differentiable=False)
def logical_not(x: TensorLike, /):
    """Whether x is false (zero), elementwise."""


@op(kernel="isnan", samples=reals, differentiable=False)
def isnan(x: TensorLike, /):
    """Whether x is NaN, elementwise."""


@op(kernel="isfinite", samples=reals, differentiable=False)
def isfinite(x: TensorLike, /):
    """Whether x is neither NaN nor infinite, elementwise."""


@op(kernel="isinf", samples=reals, differentiable=False)
def isinf(x: TensorLike, /):
    """Whether x is plus or minus infinity, elementwise."""


def isposinf(x: TensorLike, /) -> Tensor:
    """Whether x is plus infinity, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Truth values, shape of x.
    """
    return logical_and(isinf(x), greater(x, 0))


def isneginf(x: TensorLike, /) -> Tensor:
    """Whether x is minus infinity, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Truth values, shape of x.
    """
    return logical_and(isinf(x), less(x, 0))


def isreal(x: TensorLike, /) -> Tensor:
    """Whether x has no imaginary part, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Truth values, shape of x.
    """
    return equal(imag(x), 0)


def isclose(
    x: TensorLike,
    y: TensorLike,
    /,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Tensor:
    """Whether abs(x - y) <= atol + rtol · abs(y), elementwise.

    Parameters
    ----------
    x, y : Tensor
        Shapes that broadcast.
    rtol, atol : float
        Allowed difference, relative and absolute.
    equal_nan : bool, default False
        Whether NaN is close to NaN.

    Returns
    -------
    Tensor
        Truth values. Equal infinities are close.
    """
    far = abs(subtract(x, y))
    close = logical_or(equal(x, y), less_equal(far, atol + rtol * abs(y)) & ~isinf(y))
    return close | (isnan(x) & isnan(y)) if equal_nan else close


def allclose(
    x: TensorLike,
    y: TensorLike,
    /,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> bool:
    """Whether all elements are close to one another.

    Parameters
    ----------
    x, y : Tensor
        Shapes that broadcast.
    rtol, atol : float
        Allowed difference, relative and absolute.
    equal_nan : bool, default False
        Whether NaN is close to NaN.

    Returns
    -------
    bool
        Whether `isclose` holds everywhere.
    """
    return bool(isclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan).data.all())


def array_equal(x: TensorLike, y: TensorLike, /) -> bool:
    """Whether two arrays have the same shape and the same elements.

    Parameters
    ----------
    x, y : Tensor
        Any shapes.

    Returns
    -------
    bool
        False if the shapes differ or an element is NaN.
    """
    return bool(np.array_equal(np.asarray(x), np.asarray(y)))


def fmax(x: TensorLike, y: TensorLike, /) -> Tensor:
    """The larger of x and y, elementwise; where one of them is NaN the other.

    Parameters
    ----------
    x, y : Tensor
        Shapes that broadcast.

    Returns
    -------
    Tensor
        Their common shape.

    See Also
    --------
    maximum : NaN if either is.
    """
    return where(isnan(x), y, where(isnan(y), x, maximum(x, y)))


def fmin(x: TensorLike, y: TensorLike, /) -> Tensor:
    """The smaller of x and y, elementwise; where one of them is NaN the other.

    Parameters
    ----------
    x, y : Tensor
        Shapes that broadcast.

    Returns
    -------
    Tensor
        Their common shape.

    See Also
    --------
    minimum : NaN if either is.
    """
    return where(isnan(x), y, where(isnan(y), x, minimum(x, y)))


def heaviside(x: TensorLike, y: TensorLike, /) -> Tensor:
    """0 for negative x, 1 for positive x, y at 0, elementwise.

    Parameters
    ----------
    x, y : Tensor
        Shapes that broadcast.

    Returns
    -------
    Tensor
        Their common shape, of the dtype of y; NaN where x is NaN.
    """
    y = asarray(y)
    step = where(isnan(x), np.nan, 1.0) if asarray(x).dtype.kind == "f" else asarray(1)
    zero = step.astype(y.dtype) * 0
    return where(equal(x, 0), y, where(less(x, 0), zero, step.astype(y.dtype)))


def nan_to_num(
    x: Tensor, /, *, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN and infinities replaced by numbers, elementwise; the gradient is 0 there.

    Parameters
    ----------
    x : Tensor
        Any shape.
    nan : float, default 0.0
        Instead of NaN.
    posinf, neginf : float, optional
        Instead of the infinities; the largest and the smallest number of the dtype by default.

    Returns
    -------
    Tensor
        Shape of x.
    """
    if x.dtype.kind not in "f":
        return x
    limits = np.finfo(x.dtype)
    x = where(isnan(x), nan, x)
    x = where(isposinf(x), float(limits.max) if posinf is None else posinf, x)
    return where(isneginf(x), float(limits.min) if neginf is None else neginf, x)
