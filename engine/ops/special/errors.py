"""The error function, its relatives, and the normal distribution."""

import math

from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.arithmetic import (
    multiply_or_zero,
)
from fieldgrad.engine.ops.elementary import (
    exp,
)
from fieldgrad.engine.samples import reals, unit_fractions

__all__ = ["dawsn", "erfc", "erfcinv", "erfcx", "erfinv", "log_ndtr", "ndtr", "ndtri"]

ROOT_PI = math.sqrt(math.pi)
ROOT_TWO_PI = math.sqrt(2.0 * math.pi)


@op(kernel="erfc", floating=True, samples=reals)
def erfc(x: TensorLike, /):
    """1 - erf(x), elementwise, accurate where erf is nearly 1."""


@erfc.vjp
def _(g, x):
    return multiply_or_zero(g, (-2.0 / ROOT_PI) * exp(-x * x))


@op(kernel="erfcx", floating=True, samples=reals)
def erfcx(x: TensorLike, /):
    """exp(x²) · erfc(x), elementwise; does not underflow for large x."""


@erfcx.vjp
def _(g, out, x):
    return multiply_or_zero(g, x * out * 2.0 - 2.0 / ROOT_PI)


@op(kernel="erfinv", floating=True, samples=unit_fractions)
def erfinv(x: TensorLike, /):
    """The y with erf(y) = x, elementwise; ±∞ at ±1, NaN beyond."""


@erfinv.vjp
def _(g, out):
    return multiply_or_zero(g, (ROOT_PI / 2.0) * exp(out * out))


@op(kernel="erfcinv", floating=True, samples=unit_fractions)
def erfcinv(x: TensorLike, /):
    """The y with erfc(y) = x, elementwise; accurate for small x."""


@erfcinv.vjp
def _(g, out):
    return multiply_or_zero(g, (-ROOT_PI / 2.0) * exp(out * out))


@op(kernel="dawsn", floating=True, samples=reals)
def dawsn(x: TensorLike, /):
    """Dawson's integral exp(-x²) ∫ exp(t²) dt from 0 to x, elementwise."""


@dawsn.vjp
def _(g, out, x):
    return multiply_or_zero(g, 1.0 - x * out * 2.0)


@op(kernel="ndtr", floating=True, samples=reals)
def ndtr(x: TensorLike, /):
    """Distribution function of the standard normal distribution, elementwise."""


@ndtr.vjp
def _(g, x):
    return multiply_or_zero(g, exp(x * x * -0.5) * (1.0 / ROOT_TWO_PI))


@op(kernel="log_ndtr", floating=True, samples=reals)
def log_ndtr(x: TensorLike, /):
    """Logarithm of `ndtr`, elementwise, accurate in the lower tail."""


@log_ndtr.vjp
def _(g, x):
    return multiply_or_zero(g, math.sqrt(2.0 / math.pi) / erfcx(x * -math.sqrt(0.5)))


@op(kernel="ndtri", floating=True, samples=unit_fractions)
def ndtri(x: TensorLike, /):
    """The y with ndtr(y) = x, elementwise: quantiles of the standard normal distribution."""


@ndtri.vjp
def _(g, out):
    return multiply_or_zero(g, ROOT_TWO_PI * exp(out * out * 0.5))
