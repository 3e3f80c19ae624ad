"""x log y and entropies, with 0 log 0 = 0; the logit; exponential integrals."""

from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.arithmetic import (
    divide_or_zero,
    multiply_or_zero,
    where,
)
from fieldgrad.engine.ops.comparisons import (
    logical_and,
)
from fieldgrad.engine.ops.elementary import (
    exp,
    log,
    log1p,
)
from fieldgrad.engine.samples import positive_pairs, positives, unit_fractions

__all__ = ["entr", "exp1", "expi", "kl_div", "logit", "rel_entr", "xlog1py", "xlogy"]


@op(kernel="xlogy", floating=True, samples=positive_pairs)
def xlogy(x: TensorLike, y: TensorLike, /):
    """x · log(y), elementwise; 0 where x is 0, whatever y is but NaN.

    Notes
    -----
    Where x is 0 and y is not positive the gradient with respect to x is 0; that with respect to y
    is 0 wherever x is 0.
    """


@xlogy.vjp
def _(g, x, y, needs):
    gx = None
    if needs[0]:
        gx = multiply_or_zero(g, log(where(logical_and(x == 0, y <= 0), 1.0, y)))
    return gx, divide_or_zero(multiply_or_zero(g, x), y) if needs[1] else None


@op(kernel="xlog1py", floating=True, samples=positive_pairs)
def xlog1py(x: TensorLike, y: TensorLike, /):
    """x · log(1 + y), elementwise; 0 where x is 0, whatever y is but NaN.

    Notes
    -----
    Where x is 0 and y is not above -1 the gradient with respect to x is 0; that with respect to y
    is 0 wherever x is 0.
    """


@xlog1py.vjp
def _(g, x, y, needs):
    gx = None
    if needs[0]:
        gx = multiply_or_zero(g, log1p(where(logical_and(x == 0, y <= -1), 0.0, y)))
    return gx, divide_or_zero(multiply_or_zero(g, x), y + 1.0) if needs[1] else None


@op(kernel="entr", floating=True, samples=positives)
def entr(x: TensorLike, /):
    """-x · log(x), elementwise; 0 at 0 and -∞ for negative x."""


@entr.vjp
def _(g, x):
    return multiply_or_zero(g, -1.0 - log(x))


@op(kernel="rel_entr", floating=True, samples=positive_pairs)
def rel_entr(x: TensorLike, y: TensorLike, /):
    """x · log(x / y), elementwise; 0 for x = 0 and y >= 0, ∞ outside x >= 0, y > 0.

    The terms of the Kullback-Leibler divergence of distributions.
    """


@rel_entr.vjp
def _(g, x, y, needs):
    gx = multiply_or_zero(g, log(x) - log(y) + 1.0) if needs[0] else None
    return gx, -divide_or_zero(multiply_or_zero(g, x), y) if needs[1] else None


@op(kernel="kl_div", floating=True, samples=positive_pairs)
def kl_div(x: TensorLike, y: TensorLike, /):
    """x · log(x / y) - x + y, elementwise: never negative, 0 where x and y are equal."""


@kl_div.vjp
def _(g, x, y, needs):
    gx = multiply_or_zero(g, log(x) - log(y)) if needs[0] else None
    return gx, g - divide_or_zero(multiply_or_zero(g, x), y) if needs[1] else None


@op(kernel="logit", floating=True, samples=unit_fractions)
def logit(x: TensorLike, /):
    """log(x / (1 - x)), elementwise: the inverse of `sigmoid`; NaN outside [0, 1]."""


@logit.vjp
def _(g, x):
    return divide_or_zero(g, x * (1.0 - x))


@op(kernel="exp1", floating=True, samples=positives)
def exp1(x: TensorLike, /):
    """Exponential integral ∫ exp(-t) / t dt from x to ∞, elementwise, for positive x."""


@exp1.vjp
def _(g, x):
    return multiply_or_zero(-g, exp(-x) / x)


@op(kernel="expi", floating=True, samples=positives)
def expi(x: TensorLike, /):
    """Exponential integral ∫ exp(t) / t dt from -∞ to x, elementwise (principal value)."""


@expi.vjp
def _(g, x):
    return multiply_or_zero(g, exp(x) / x)
