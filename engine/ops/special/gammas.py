"""The gamma function and its family: logarithm, derivatives, beta, incomplete forms, zeta."""

import math

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import GradientError
from fieldgrad.engine.op import TensorLike, as_tensor, op
from fieldgrad.engine.ops.arithmetic import (
    divide_or_zero,
    multiply_or_zero,
)
from fieldgrad.engine.ops.elementary import (
    exp,
    log,
)
from fieldgrad.engine.ops.special.entropies import xlogy
from fieldgrad.engine.samples import (
    positive_and_fraction,
    positive_pairs,
    positives,
    with_attributes,
    zetas,
)

__all__ = [
    "beta",
    "betaln",
    "digamma",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaincinv",
    "gammaln",
    "multigammaln",
    "polygamma",
    "zeta",
]


@op(kernel="gamma", floating=True, samples=positives)
def gamma(x: TensorLike, /):
    """Gamma function, elementwise: (x - 1)! for whole x."""


@gamma.vjp
def _(g, out, x):
    return multiply_or_zero(g, out * digamma(x))


@op(kernel="gammaln", floating=True, samples=positives)
def gammaln(x: TensorLike, /):
    """Logarithm of the absolute value of the gamma function, elementwise; does not overflow."""


@gammaln.vjp
def _(g, x):
    return multiply_or_zero(g, digamma(x))


@op(kernel="digamma", floating=True, samples=positives)
def digamma(x: TensorLike, /):
    """Derivative of `gammaln`, elementwise; ±∞ at the poles, the whole numbers up to 0."""


@digamma.vjp
def _(g, x):
    return multiply_or_zero(g, polygamma_of(x, n=1))


@op(
    kernel="polygamma",
    floating=True,
    samples=with_attributes(positives, {"n": 0}, {"n": 1}, {"n": 3}),
)
def polygamma_of(x: TensorLike, /, *, n: int):
    """What `polygamma` calls, its order being an attribute."""


@polygamma_of.vjp
def _(g, x, n):
    return multiply_or_zero(g, polygamma_of(x, n=n + 1))


def polygamma(n: int, x: TensorLike, /) -> Tensor:
    """The n-th derivative of `digamma`, elementwise.

    Parameters
    ----------
    n : int
        Order, from 0 on.
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Shape of x.

    Raises
    ------
    ValueError
        If n is negative.

    Examples
    --------
    >>> import math
    >>> import fieldgrad.engine as fg
    >>> trigamma = fg.special.polygamma(1, fg.tensor(1.0, dtype="float64"))
    >>> math.isclose(trigamma.item(), math.pi**2 / 6)
    True
    """
    if n < 0:
        raise ValueError(f"polygamma: n = {n}; expected an order from 0 on.")
    return polygamma_of(x, n=n)


def multigammaln(x: TensorLike, d: int, /) -> Tensor:
    """Logarithm of the multivariate gamma function, elementwise.

    Parameters
    ----------
    x : Tensor
        Any shape, larger than (d - 1) / 2.
    d : int
        Dimension, from 1 on.

    Returns
    -------
    Tensor
        Shape of x.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(fg.special.multigammaln(fg.tensor(2.0), 2).item(), 5)
    0.45158
    """
    x = as_tensor(x, floating=True)
    total = gammaln(x) + d * (d - 1) / 4 * math.log(math.pi)
    for i in range(1, d):
        total = total + gammaln(x - i / 2)
    return total


@op(kernel="betaln", floating=True, samples=positive_pairs)
def betaln(x: TensorLike, y: TensorLike, /):
    """Logarithm of the absolute value of the beta function, elementwise."""


@betaln.vjp
def _(g, x, y, needs):
    both = digamma(x + y)
    return (
        multiply_or_zero(g, digamma(x) - both) if needs[0] else None,
        multiply_or_zero(g, digamma(y) - both) if needs[1] else None,
    )


@op(kernel="beta", floating=True, samples=positive_pairs)
def beta(x: TensorLike, y: TensorLike, /):
    """Beta function Γ(x) Γ(y) / Γ(x + y), elementwise."""


@beta.vjp
def _(g, out, x, y, needs):
    g, both = multiply_or_zero(g, out), digamma(x + y)
    return (
        multiply_or_zero(g, digamma(x) - both) if needs[0] else None,
        multiply_or_zero(g, digamma(y) - both) if needs[1] else None,
    )


@op(kernel="gammainc", floating=True, samples=positive_pairs)
def gammainc(a: TensorLike, x: TensorLike, /):
    """Regularized lower incomplete gamma function, elementwise, for a > 0 and x >= 0.

    The distribution function, at x, of the gamma distribution with shape a and rate 1.
    """


@gammainc.vjp
def _(g, a, x, needs):
    return (
        multiply_or_zero(g, gammainc_by_a(a, x, n=1)) if needs[0] else None,
        multiply_or_zero(g, _gamma_density(a, x)) if needs[1] else None,
    )


@op(kernel="gammaincc", floating=True, samples=positive_pairs)
def gammaincc(a: TensorLike, x: TensorLike, /):
    """1 - gammainc(a, x), elementwise, accurate in the upper tail."""


@gammaincc.vjp
def _(g, a, x, needs):
    return (
        multiply_or_zero(-g, gammainc_by_a(a, x, n=1)) if needs[0] else None,
        multiply_or_zero(-g, _gamma_density(a, x)) if needs[1] else None,
    )


def _gamma_density(a: Tensor, x: Tensor) -> Tensor:
    """Density of the gamma distribution: the derivative of `gammainc` with respect to x."""
    return exp(xlogy(a - 1.0, x) - x - gammaln(a))


@op(
    kernel="gammainc_by_a",
    floating=True,
    samples=with_attributes(positive_pairs, {"n": 1}, {"n": 2}),
)
def gammainc_by_a(a: TensorLike, x: TensorLike, /, *, n: int):
    """The n-th derivative of `gammainc` with respect to a, elementwise.

    Notes
    -----
    By the series xᵃ exp(-x) Σ xᵏ / Γ(a + k + 1): the derivatives of a term's logarithm are sums of
    powers of 1 / (a + j), and Bell polynomials make those of the term from them.
    """


@gammainc_by_a.vjp
def _(g, a, x, n, needs):
    gx = None
    if needs[1]:  # the n-th derivative of the density with respect to a
        slopes = [log(x) - digamma(a)] + [-polygamma_of(a, n=k) for k in range(1, n)]
        bell = [Tensor(a.data * 0.0 + 1.0)]
        for m in range(n):
            terms = [math.comb(m, i) * bell[m - i] * slopes[i] for i in range(m + 1)]
            bell.append(sum(terms[1:], terms[0]))
        gx = multiply_or_zero(g, _gamma_density(a, x) * bell[n])
    return multiply_or_zero(g, gammainc_by_a(a, x, n=n + 1)) if needs[0] else None, gx


@op(kernel="gammaincinv", floating=True, samples=positive_and_fraction)
def gammaincinv(a: TensorLike, y: TensorLike, /):
    """The x with gammainc(a, x) = y, elementwise: quantiles of the gamma distribution.

    Of uniform y it makes gamma-distributed numbers, with gradients with respect to a.
    """


@gammaincinv.vjp
def _(g, out, a, needs):
    g = divide_or_zero(g, _gamma_density(a, out))
    return multiply_or_zero(-g, gammainc_by_a(a, out, n=1)) if needs[0] else None, g


@op(kernel="zeta", floating=True, samples=zetas, keeps_dtype=("x",))
def zeta(x: TensorLike, q: TensorLike, /):
    """Hurwitz zeta function Σ (k + q)⁻ˣ over k from 0 on, elementwise; Riemann's for q = 1.

    Notes
    -----
    There is no gradient with respect to x.
    """


@zeta.vjp
def _(g, x, q, needs):
    if needs[0]:
        raise GradientError(
            "zeta: there is no gradient with respect to x; detach it (x.detach()), or find it by "
            "differences."
        )
    return None, multiply_or_zero(-g, x.astype(g.dtype) * zeta(x + 1, q))
