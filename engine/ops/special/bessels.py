"""Bessel functions of the first and second kind, modified and spherical ones.

Orders 0 and 1 have kernels of their own. All derivatives come from the recurrences between
neighboring orders (Abramowitz and Stegun, "Handbook of Mathematical Functions", 9.1.27, 9.6.26 and
10.1.20), which do not divide by x.
"""

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.op import TensorLike, op
from fieldgrad.engine.ops.arithmetic import (
    multiply_or_zero,
    sign,
)
from fieldgrad.engine.samples import positives, reals, with_attributes

__all__ = [
    "i0",
    "i0e",
    "i1",
    "i1e",
    "iv",
    "ive",
    "j0",
    "j1",
    "jv",
    "k0",
    "k0e",
    "k1",
    "k1e",
    "kv",
    "kve",
    "spherical_jn",
    "spherical_yn",
    "y0",
    "y1",
    "yv",
]

ORDERS = ({"v": 0}, {"v": 2}, {"v": 0.5})


@op(kernel="j0", floating=True, samples=reals)
def j0(x: TensorLike, /):
    """Bessel function of the first kind and order 0, elementwise."""


@j0.vjp
def _(g, x):
    return multiply_or_zero(-g, j1(x))


@op(kernel="j1", floating=True, samples=reals)
def j1(x: TensorLike, /):
    """Bessel function of the first kind and order 1, elementwise."""


@j1.vjp
def _(g, x):
    return multiply_or_zero(g, 0.5 * (j0(x) - jv_of(x, v=2)))


@op(kernel="jv", floating=True, samples=with_attributes(positives, *ORDERS))
def jv_of(x: TensorLike, /, *, v: float):
    """What `jv` calls, its order being an attribute."""


@jv_of.vjp
def _(g, x, v):
    return multiply_or_zero(g, 0.5 * (jv_of(x, v=v - 1) - jv_of(x, v=v + 1)))


def jv(v: float, x: TensorLike, /) -> Tensor:
    """Bessel function of the first kind, elementwise.

    Parameters
    ----------
    v : float
        Order, any real number.
    x : Tensor
        Any shape; not negative unless v is whole.

    Returns
    -------
    Tensor
        Shape of x.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(fg.special.jv(2, fg.tensor(1.0)).item(), 5)
    0.1149
    """
    return jv_of(x, v=v)


@op(kernel="y0", floating=True, samples=positives)
def y0(x: TensorLike, /):
    """Bessel function of the second kind and order 0, elementwise, for x > 0."""


@y0.vjp
def _(g, x):
    return multiply_or_zero(-g, y1(x))


@op(kernel="y1", floating=True, samples=positives)
def y1(x: TensorLike, /):
    """Bessel function of the second kind and order 1, elementwise, for x > 0."""


@y1.vjp
def _(g, x):
    return multiply_or_zero(g, 0.5 * (y0(x) - yv_of(x, v=2)))


@op(kernel="yv", floating=True, samples=with_attributes(positives, *ORDERS))
def yv_of(x: TensorLike, /, *, v: float):
    """What `yv` calls, its order being an attribute."""


@yv_of.vjp
def _(g, x, v):
    return multiply_or_zero(g, 0.5 * (yv_of(x, v=v - 1) - yv_of(x, v=v + 1)))


def yv(v: float, x: TensorLike, /) -> Tensor:
    """Bessel function of the second kind, elementwise.

    Parameters
    ----------
    v : float
        Order, any real number.
    x : Tensor
        Any shape, positive.

    Returns
    -------
    Tensor
        Shape of x.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(fg.special.yv(2, fg.tensor(1.0)).item(), 5)
    -1.65068
    """
    return yv_of(x, v=v)


@op(kernel="i0", floating=True, samples=reals)
def i0(x: TensorLike, /):
    """Modified Bessel function of the first kind and order 0, elementwise."""


@i0.vjp
def _(g, x):
    return multiply_or_zero(g, i1(x))


@op(kernel="i1", floating=True, samples=reals)
def i1(x: TensorLike, /):
    """Modified Bessel function of the first kind and order 1, elementwise."""


@i1.vjp
def _(g, x):
    return multiply_or_zero(g, 0.5 * (i0(x) + iv_of(x, v=2)))


@op(kernel="iv", floating=True, samples=with_attributes(positives, *ORDERS))
def iv_of(x: TensorLike, /, *, v: float):
    """What `iv` calls, its order being an attribute."""


@iv_of.vjp
def _(g, x, v):
    return multiply_or_zero(g, 0.5 * (iv_of(x, v=v - 1) + iv_of(x, v=v + 1)))


def iv(v: float, x: TensorLike, /) -> Tensor:
    """Modified Bessel function of the first kind, elementwise.

    Parameters
    ----------
    v : float
        Order, any real number.
    x : Tensor
        Any shape; not negative unless v is whole.

    Returns
    -------
    Tensor
        Shape of x.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(fg.special.iv(2, fg.tensor(1.0)).item(), 5)
    0.13575
    """
    return iv_of(x, v=v)


@op(kernel="i0e", floating=True, samples=reals)
def i0e(x: TensorLike, /):
    """exp(-|x|) · i0(x), elementwise; does not overflow."""


@i0e.vjp
def _(g, out, x):
    return multiply_or_zero(g, i1e(x) - sign(x) * out)


@op(kernel="i1e", floating=True, samples=reals)
def i1e(x: TensorLike, /):
    """exp(-|x|) · i1(x), elementwise; does not overflow."""


@i1e.vjp
def _(g, out, x):
    return multiply_or_zero(g, 0.5 * (i0e(x) + ive_of(x, v=2)) - sign(x) * out)


@op(kernel="ive", floating=True, samples=with_attributes(positives, *ORDERS))
def ive_of(x: TensorLike, /, *, v: float):
    """What `ive` calls, its order being an attribute."""


@ive_of.vjp
def _(g, out, x, v):
    return multiply_or_zero(g, 0.5 * (ive_of(x, v=v - 1) + ive_of(x, v=v + 1)) - sign(x) * out)


def ive(v: float, x: TensorLike, /) -> Tensor:
    """exp(-|x|) · iv(v, x), elementwise; does not overflow.

    Parameters
    ----------
    v : float
        Order, any real number.
    x : Tensor
        Any shape; not negative unless v is whole.

    Returns
    -------
    Tensor
        Shape of x.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(fg.special.ive(2, fg.tensor(1.0)).item(), 5)
    0.04994
    """
    return ive_of(x, v=v)


@op(kernel="k0", floating=True, samples=positives)
def k0(x: TensorLike, /):
    """Modified Bessel function of the second kind and order 0, elementwise, for x > 0."""


@k0.vjp
def _(g, x):
    return multiply_or_zero(-g, k1(x))


@op(kernel="k1", floating=True, samples=positives)
def k1(x: TensorLike, /):
    """Modified Bessel function of the second kind and order 1, elementwise, for x > 0."""


@k1.vjp
def _(g, x):
    return multiply_or_zero(g, -0.5 * (k0(x) + kv_of(x, v=2)))


@op(kernel="kv", floating=True, samples=with_attributes(positives, *ORDERS))
def kv_of(x: TensorLike, /, *, v: float):
    """What `kv` calls, its order being an attribute."""


@kv_of.vjp
def _(g, x, v):
    return multiply_or_zero(g, -0.5 * (kv_of(x, v=v - 1) + kv_of(x, v=v + 1)))


def kv(v: float, x: TensorLike, /) -> Tensor:
    """Modified Bessel function of the second kind, elementwise.

    Parameters
    ----------
    v : float
        Order, any real number.
    x : Tensor
        Any shape, positive.

    Returns
    -------
    Tensor
        Shape of x.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(fg.special.kv(2, fg.tensor(1.0)).item(), 5)
    1.62484
    """
    return kv_of(x, v=v)


@op(kernel="k0e", floating=True, samples=positives)
def k0e(x: TensorLike, /):
    """exp(x) · k0(x), elementwise; does not underflow."""


@k0e.vjp
def _(g, out, x):
    return multiply_or_zero(g, out - k1e(x))


@op(kernel="k1e", floating=True, samples=positives)
def k1e(x: TensorLike, /):
    """exp(x) · k1(x), elementwise; does not underflow."""


@k1e.vjp
def _(g, out, x):
    return multiply_or_zero(g, out - 0.5 * (k0e(x) + kve_of(x, v=2)))


@op(kernel="kve", floating=True, samples=with_attributes(positives, *ORDERS))
def kve_of(x: TensorLike, /, *, v: float):
    """What `kve` calls, its order being an attribute."""


@kve_of.vjp
def _(g, out, x, v):
    return multiply_or_zero(g, out - 0.5 * (kve_of(x, v=v - 1) + kve_of(x, v=v + 1)))


def kve(v: float, x: TensorLike, /) -> Tensor:
    """exp(x) · kv(v, x), elementwise; does not underflow.

    Parameters
    ----------
    v : float
        Order, any real number.
    x : Tensor
        Any shape, positive.

    Returns
    -------
    Tensor
        Shape of x.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(fg.special.kve(2, fg.tensor(1.0)).item(), 5)
    4.41677
    """
    return kve_of(x, v=v)


@op(kernel="spherical_jn", floating=True, samples=with_attributes(positives, {"n": 0}, {"n": 2}))
def spherical_jn_of(x: TensorLike, /, *, n: int):
    """What `spherical_jn` calls, its order being an attribute."""


@spherical_jn_of.vjp
def _(g, x, n):
    above = spherical_jn_of(x, n=n + 1) * (-(n + 1) / (2 * n + 1))
    return multiply_or_zero(
        g, above if n == 0 else above + spherical_jn_of(x, n=n - 1) * (n / (2 * n + 1))
    )


def spherical_jn(n: int, x: TensorLike, /) -> Tensor:
    """Spherical Bessel function of the first kind, elementwise.

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

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(fg.special.spherical_jn(0, fg.tensor(1.0)).item(), 5)  # sin(1)
    0.84147
    """
    return spherical_jn_of(x, n=n)


@op(kernel="spherical_yn", floating=True, samples=with_attributes(positives, {"n": 0}, {"n": 2}))
def spherical_yn_of(x: TensorLike, /, *, n: int):
    """What `spherical_yn` calls, its order being an attribute."""


@spherical_yn_of.vjp
def _(g, x, n):
    above = spherical_yn_of(x, n=n + 1) * (-(n + 1) / (2 * n + 1))
    return multiply_or_zero(
        g, above if n == 0 else above + spherical_yn_of(x, n=n - 1) * (n / (2 * n + 1))
    )


def spherical_yn(n: int, x: TensorLike, /) -> Tensor:
    """Spherical Bessel function of the second kind, elementwise.

    Parameters
    ----------
    n : int
        Order, from 0 on.
    x : Tensor
        Any shape, positive.

    Returns
    -------
    Tensor
        Shape of x.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> round(fg.special.spherical_yn(0, fg.tensor(1.0)).item(), 5)  # -cos(1)
    -0.5403
    """
    return spherical_yn_of(x, n=n)
