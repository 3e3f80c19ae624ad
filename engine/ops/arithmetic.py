"""Arithmetic, rounding, limits and selection, elementwise."""

from typing import Any

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import GradientError
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.complex import conj
from fieldgrad.engine.samples import (
    pairs,
    positive_pairs,
    positives,
    reals,
    selections,
    with_attributes,
)


@op(kernel="add", samples=pairs)
def add(x: TensorLike, y: TensorLike, /):
    """x + y, elementwise."""


@add.vjp
def _(g):
    return g, g


@op(kernel="subtract", samples=pairs)
def subtract(x: TensorLike, y: TensorLike, /):
    """x - y, elementwise."""


@subtract.vjp
def _(g, needs):
    return g, -g if needs[1] else None


@op(kernel="multiply", bilinear=True, samples=pairs)
def multiply(x: TensorLike, y: TensorLike, /):
    """x · y, elementwise."""


@multiply.vjp
def _(g, x, y, needs):
    gx = multiply_or_zero(g, y) if needs[0] else None
    return gx, multiply_or_zero(g, x) if needs[1] else None


@op(kernel="divide", floating=True, samples=pairs)
def divide(x: TensorLike, y: TensorLike, /):
    """x / y, elementwise; integers divide as float32."""


@divide.vjp
def _(g, out, y, needs):
    gx = divide_or_zero(g, y)
    return gx, -multiply_or_zero(gx, out) if needs[1] else None


@op(kernel="floor_divide", samples=positive_pairs)
def floor_divide(x: TensorLike, y: TensorLike, /):
    """The largest integer not above x / y, elementwise; the gradients are 0."""


@floor_divide.vjp
def _(g):
    zero = g * 0.0
    return zero, zero


@op(kernel="remainder", samples=positive_pairs)
def remainder(x: TensorLike, y: TensorLike, /):
    """x - y · floor(x / y), elementwise: what is left over, with the sign of y."""


@remainder.vjp
def _(g, x, y, needs):
    return g, multiply_or_zero(-g, floor_divide(x, y)) if needs[1] else None


@op(kernel="fmod", samples=positive_pairs)
def fmod(x: TensorLike, y: TensorLike, /):
    """x - y · trunc(x / y), elementwise: what is left over, with the sign of x."""


@fmod.vjp
def _(g, x, y, needs):
    return g, multiply_or_zero(-g, trunc(divide(x, y))) if needs[1] else None


@op(kernel="maximum", samples=pairs)
def maximum(x: TensorLike, y: TensorLike, /):
    """The larger of x and y, elementwise; NaN if either is NaN.

    Notes
    -----
    Where x and y are equal each gets half of the gradient.
    """


@maximum.vjp
def _(g, x, y):
    to_x = where(x == y, 0.5, (x > y).astype(g.dtype))
    return g * to_x, g * (1.0 - to_x)


@op(kernel="minimum", samples=pairs)
def minimum(x: TensorLike, y: TensorLike, /):
    """The smaller of x and y, elementwise; NaN if either is NaN.

    Notes
    -----
    Where x and y are equal each gets half of the gradient.
    """


@minimum.vjp
def _(g, x, y):
    to_x = where(x == y, 0.5, (x < y).astype(g.dtype))
    return g * to_x, g * (1.0 - to_x)


@op(kernel="negative", samples=reals)
def negative(x: TensorLike, /):
    """-x, elementwise."""


@negative.vjp
def _(g):
    return -g


def positive(x: TensorLike, /) -> Tensor:
    """The values as they are, elementwise: +x.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        The tensor itself.
    """
    return x if isinstance(x, Tensor) else Tensor(x)


@op(kernel="abs", samples=reals)
def abs(x: TensorLike, /):
    """Absolute value, elementwise, of complex numbers too; the gradient at 0 is 0."""


@abs.vjp
def _(g, x):
    # The sign of complex numbers has no rule of its own.
    slope = conj(divide_or_zero(x, abs(x))) if x.dtype.kind == "c" else sign(x)
    return multiply_or_zero(g, slope)


@op(kernel="sign", samples=reals)
def sign(x: TensorLike, /):
    """-1, 0 or 1 by the sign of x, with the gradient 0; x / abs(x) for complex x."""


@sign.vjp
def _(g, x_dtype):
    if x_dtype.kind == "c":
        raise GradientError(
            "sign of complex numbers has no gradient rule; write x / abs(x), which has one."
        )
    return g * 0.0


@op(kernel="signbit", samples=reals, differentiable=False)
def signbit(x: TensorLike, /):
    """Whether the sign of x is minus, elementwise, also for -0.0."""


@op(kernel="copysign", floating=True, samples=pairs)
def copysign(x: TensorLike, y: TensorLike, /):
    """The magnitude of x with the sign of y, elementwise; the gradient for y is 0."""


@copysign.vjp
def _(g, x, y):
    return multiply_or_zero(g, copysign(sign(x), x * copysign(1.0, y))), g * 0.0


@op(kernel="nextafter", floating=True, samples=pairs)
def nextafter(x: TensorLike, y: TensorLike, /):
    """The number next to x, in its dtype, on the way to y, elementwise; moves with x."""


@nextafter.vjp
def _(g):
    return g, g * 0.0


@op(kernel="square", samples=reals)
def square(x: TensorLike, /):
    """x², elementwise."""


@square.vjp
def _(g, x):
    return multiply_or_zero(g, x * 2.0)


@op(kernel="sqrt", floating=True, samples=positives)
def sqrt(x: TensorLike, /):
    """Square root, elementwise.

    Notes
    -----
    Where the incoming gradient is 0 the result is 0, also at x = 0, so that a value masked out
    later does not turn into NaN.
    """


@sqrt.vjp
def _(g, out):
    return divide_or_zero(g * 0.5, out)


@op(kernel="multiply_or_zero", bilinear=True, samples=pairs)
def multiply_or_zero(x: TensorLike, y: TensorLike, /):
    """x · y, and 0 where x is 0 whatever y is: for gradients that a mask may have stopped."""


@multiply_or_zero.vjp
def _(g, x, y, needs):
    gx = multiply_or_zero(g, y) if needs[0] else None
    return gx, multiply_or_zero(g, x) if needs[1] else None


@op(kernel="divide_or_zero", floating=True, samples=pairs)
def divide_or_zero(x: TensorLike, y: TensorLike, /):
    """x / y, and 0 where x is 0 whatever y is: for gradients that a mask may have stopped."""


@divide_or_zero.vjp
def _(g, out, y, needs):
    gx = divide_or_zero(g, y)
    return gx, where(out == 0, 0.0, -multiply_or_zero(gx, out)) if needs[1] else None


@op(kernel="reciprocal", floating=True, samples=positives)
def reciprocal(x: TensorLike, /):
    """1 / x, elementwise."""


@reciprocal.vjp
def _(g, out):
    return multiply_or_zero(-g, out * out)


@op(
    kernel="clip",
    floating=True,
    samples=with_attributes(reals, {"low": -0.52, "high": 0.73}, {"low": 0.0}),
)
def limit(x: TensorLike, /, low: float = float("-inf"), high: float = float("inf")):
    """x limited to [low, high]: what `clip` does where both bounds are numbers.

    Parameters
    ----------
    x : Tensor
        Any shape.
    low, high : float
        The bounds; no bound by default.
    """


@limit.vjp
def _(g, x, low, high):
    return g * ((x >= low) & (x <= high)).astype(g.dtype)


def clip(x: Tensor, /, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """x limited to [min, max], elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape.
    min, max : float, Tensor or None
        The bounds; no bound by default. Tensors broadcast with x.

    Returns
    -------
    Tensor
        In the dtype of x. Where min is above max, max.

    Notes
    -----
    The gradient is 1 inside, numbers as bounds included, and 0 outside. Tensors as bounds get the
    gradient where they apply, and half of it where x equals them.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.clip(fg.tensor([-2.0, 0.5, 3.0]), 0, 1).tolist()
    [0.0, 0.5, 1.0]
    """
    numbers = all(b is None or isinstance(b, (int, float)) for b in (min, max))
    if x.dtype.kind == "f" and numbers and not (min is None and max is None):
        low: Any = -np.inf if min is None else min
        high: Any = np.inf if max is None else max
        return limit(x, low, high)
    dtype = x.dtype
    x = x if min is None else maximum(x, min)
    x = x if max is None else minimum(x, max)
    return x.astype(dtype)


@op(kernel="floor", samples=reals)
def floor(x: TensorLike, /):
    """The largest integer not above x; the gradient is 0."""


@floor.vjp
def _(g):
    return g * 0.0


@op(kernel="ceil", samples=reals)
def ceil(x: TensorLike, /):
    """The smallest integer not below x; the gradient is 0."""


@ceil.vjp
def _(g):
    return g * 0.0


@op(kernel="trunc", samples=reals)
def trunc(x: TensorLike, /):
    """The integer next to x towards 0; the gradient is 0."""


@trunc.vjp
def _(g):
    return g * 0.0


@op(kernel="round", samples=reals)
def round(x: TensorLike, /):
    """The nearest integer, halves to even; the gradient is 0."""


@round.vjp
def _(g):
    return g * 0.0


@op(kernel="where", samples=selections, keeps_dtype=("condition",))
def where(condition: TensorLike, x: TensorLike, y: TensorLike, /):
    """x where condition holds, y elsewhere.

    Notes
    -----
    The gradient of the branch not taken is exactly 0, even if that branch is infinite.
    """


@where.vjp
def _(g, condition, needs):
    return (
        None,
        where(condition, g, 0.0) if needs[1] else None,
        where(condition, 0.0, g) if needs[2] else None,
    )


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
    return add(x, multiply(weight, subtract(y, x)))


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
