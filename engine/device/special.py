"""Special functions, by SciPy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fieldgrad.engine.device.table import Array, Table, arrays_out, from_scipy

__all__ = ["KERNELS"]

zeta, digamma = from_scipy("special.zeta"), from_scipy("special.digamma")


def _of_order(name: str, parameter: str) -> Callable[..., Array]:
    """A function of (order, x) whose order is an attribute; in the type of x."""
    function = from_scipy(f"special.{name}")

    def kernel(x: Array, **attributes: Any) -> Any:
        return np.asarray(function(x.dtype.type(attributes[parameter]), x))

    return arrays_out(kernel)


def _spherical(name: str) -> Callable[..., Array]:
    function = from_scipy(f"special.{name}")
    return arrays_out(lambda x, n: np.asarray(function(n, x), x.dtype))


def _polygamma(x: Array, *, n: int) -> Any:
    if n == 0:
        return digamma(x)
    factor = math.factorial(n) * (-1) ** (n + 1)
    return x.dtype.type(factor) * zeta(x.dtype.type(n + 1), x)


def _zeta(x: Array, q: Array) -> Array:
    return np.asarray(zeta(x, q), q.dtype if q.dtype.kind == "f" else np.float32)


def _gammainc_by_a(a: Array, x: Array, *, n: int) -> Array:
    """Sum the series of the docstring of the op until nothing is added any more."""
    dtype = a.dtype
    a, x = np.broadcast_arrays(a.astype(np.float64), x.astype(np.float64))
    safe = np.where(x > 0, x, 1.0)
    # Derivatives of the logarithm of a term: of the first here, what each adds in the loop.
    slopes = [np.log(safe) - digamma(a + 1)]
    slopes += [-_polygamma(a + 1, n=k) for k in range(1, n)]
    term = np.exp(a * np.log(safe) - safe - from_scipy("special.gammaln")(a + 1))
    total = term * _bell(slopes)
    k = 0
    peak = np.max(safe - a, where=np.isfinite(safe - a), initial=0.0)  # terms grow up to there
    while total.size:
        k += 1
        term = term * safe / (a + k)
        for m in range(n):
            slopes[m] = slopes[m] + math.factorial(m) * (-1 / (a + k)) ** (m + 1)
        added = term * _bell(slopes)
        total = total + added
        small = np.abs(added) <= 1e-17 * np.abs(total)
        if k >= min(peak, 1e6) and np.all(small | (term < 1e-300) | ~np.isfinite(added)):
            break
    return np.where(x > 0, total, np.where(x == 0, 0.0, np.nan)).astype(dtype)


def _bell(slopes: list[Array]) -> Any:
    """The n-th derivative of exp(f), divided by exp(f), from the n first derivatives of f."""
    bell: list[Any] = [1.0]
    for m in range(len(slopes)):
        terms = [math.comb(m, i) * bell[m - i] * slopes[i] for i in range(m + 1)]
        bell.append(sum(terms))
    return bell[-1]


KERNELS: Table = {
    **{
        name: arrays_out(from_scipy(f"special.{name}"))
        for name in (
            *("erfc", "erfcx", "erfinv", "erfcinv", "dawsn", "ndtr", "log_ndtr", "ndtri"),
            *("xlogy", "xlog1py", "entr", "rel_entr", "kl_div", "logit", "exp1", "expi"),
            *("gamma", "gammaln", "digamma", "beta", "betaln"),
            *("gammainc", "gammaincc", "gammaincinv"),
            *("j0", "j1", "y0", "y1", "i0", "i0e", "i1", "i1e", "k0", "k0e", "k1", "k1e"),
        )
    },
    **{name: _of_order(name, "v") for name in ("jv", "yv", "iv", "ive", "kv", "kve")},
    **{name: _spherical(name) for name in ("spherical_jn", "spherical_yn")},
    "polygamma": arrays_out(_polygamma),
    "zeta": arrays_out(_zeta),
    "gammainc_by_a": arrays_out(_gammainc_by_a),
}
