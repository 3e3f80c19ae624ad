"""Elementwise functions made of others, under the names that NumPy and PyTorch give them."""

import math

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.op import TensorLike
from fieldgrad.engine.ops.arithmetic import (
    abs,
    divide,
    equal,
    greater,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_or,
    maximum,
    minimum,
    sqrt,
    subtract,
    trunc,
    where,
)
from fieldgrad.engine.ops.complex import imag
from fieldgrad.engine.ops.creation import asarray
from fieldgrad.engine.ops.elementary import exp2, logaddexp, sin

NEAR = 0.1  # |πx| below which sinc is its series: the next term is below 1e-17


def deg2rad(x: TensorLike, /) -> Tensor:
    """Degrees in radians: x · π / 180, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return asarray(x) * (math.pi / 180.0)


def rad2deg(x: TensorLike, /) -> Tensor:
    """Radians in degrees: x · 180 / π, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return asarray(x) * (180.0 / math.pi)


def rsqrt(x: TensorLike, /) -> Tensor:
    """1 / sqrt(x), elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return divide(1.0, sqrt(x))


def sinc(x: TensorLike, /) -> Tensor:
    """sin(πx) / (πx), and 1 at 0, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.

    Notes
    -----
    Near 0 it is the series 1 - (πx)²/6 + …, so that derivatives of every order are finite there.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.sinc(fg.tensor([0.0, 0.5])).tolist()
    [1.0, 0.6366197466850281]
    """
    y = asarray(x) * math.pi
    near = less(abs(y), NEAR)
    far = where(near, 1.0, y)
    s = y * y
    series = 1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0)))
    return where(near, series, sin(far) / far)


def logaddexp2(x: TensorLike, y: TensorLike, /) -> Tensor:
    """The logarithm to the base 2 of 2^x + 2^y, elementwise; never overflows.

    Parameters
    ----------
    x, y : Tensor
        Shapes that broadcast.

    Returns
    -------
    Tensor
        Their common shape.
    """
    scale = math.log(2.0)
    return logaddexp(asarray(x) * scale, asarray(y) * scale) / scale


def lerp(x: TensorLike, y: TensorLike, weight: TensorLike, /) -> Tensor:
    """x + weight · (y - x), elementwise: from x at weight 0 to y at weight 1.

    Parameters
    ----------
    x, y, weight : Tensor
        Shapes that broadcast.

    Returns
    -------
    Tensor
        Their common shape.
    """
    return asarray(x) + weight * subtract(y, x)


def frac(x: TensorLike, /) -> Tensor:
    """x - trunc(x), elementwise: what stands behind the point, with the sign of x.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.
    """
    return subtract(x, trunc(x))


def frexp(x: Tensor, /) -> tuple[Tensor, Tensor]:
    """Mantissa m and exponent e of x = m · 2^e, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    mantissa : Tensor
        From 0.5 to 1 in magnitude, or 0. The exponent is constant for its gradient.
    exponent : Tensor
        Integers of 32 bits.
    """
    exponent = np.frexp(x.data)[1]
    half = (exponent // 2).astype(x.dtype)  # in two steps, since 2^-e may overflow
    return x * exp2(-half) * exp2(half - exponent.astype(x.dtype)), asarray(exponent)


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
