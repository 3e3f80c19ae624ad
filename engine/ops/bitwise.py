"""Bits and divisors of integers, elementwise with broadcasting."""

from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.samples import integer_pairs, integers, shifts


@op(kernel="bitwise_and", samples=integer_pairs, differentiable=False)
def bitwise_and(x: TensorLike, y: TensorLike, /):
    """The bits that both integers have, elementwise."""


@op(kernel="bitwise_or", samples=integer_pairs, differentiable=False)
def bitwise_or(x: TensorLike, y: TensorLike, /):
    """The bits that one of both integers has, elementwise."""


@op(kernel="bitwise_xor", samples=integer_pairs, differentiable=False)
def bitwise_xor(x: TensorLike, y: TensorLike, /):
    """The bits that exactly one of both integers has, elementwise."""


@op(kernel="bitwise_invert", samples=integers, differentiable=False)
def bitwise_invert(x: TensorLike, /):
    """The bits that the integer has not, elementwise; for truth values whether x is false."""


@op(kernel="bitwise_left_shift", samples=shifts, differentiable=False)
def bitwise_left_shift(x: TensorLike, y: TensorLike, /):
    """The bits of x moved y places up, elementwise: x · 2^y for integers that stay in range."""


@op(kernel="bitwise_right_shift", samples=shifts, differentiable=False)
def bitwise_right_shift(x: TensorLike, y: TensorLike, /):
    """The bits of x moved y places down, elementwise: floor(x / 2^y)."""


@op(kernel="gcd", samples=integer_pairs, differentiable=False)
def gcd(x: TensorLike, y: TensorLike, /):
    """The greatest common divisor of two integers, elementwise."""


@op(kernel="lcm", samples=integer_pairs, differentiable=False)
def lcm(x: TensorLike, y: TensorLike, /):
    """The least common multiple of two integers, elementwise."""
