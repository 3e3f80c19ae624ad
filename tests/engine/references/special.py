"""Special functions."""

import mpmath
import numpy as np
from scipy import special


def _of_order(name):
    return lambda x, v: getattr(special, name)(v, x)


@np.vectorize
def _gammainc_by_a(a, x, n):
    """By differences of many digits."""
    with mpmath.workdps(40):
        return float(
            mpmath.diff(lambda b: mpmath.gammainc(b, 0, float(x), regularized=True), float(a), n)
        )


REFERENCES = {
    **{
        name: getattr(special, name)
        for name in (
            *("erfc", "erfcx", "erfinv", "erfcinv", "dawsn", "ndtr", "log_ndtr", "ndtri"),
            *("xlogy", "xlog1py", "entr", "rel_entr", "kl_div", "logit", "exp1", "expi"),
            *("gamma", "gammaln", "digamma", "beta", "betaln", "zeta"),
            *("gammainc", "gammaincc", "gammaincinv"),
            *("j0", "j1", "y0", "y1", "i0", "i0e", "i1", "i1e", "k0", "k0e", "k1", "k1e"),
        )
    },
    **{f"{name}_of": _of_order(name) for name in ("jv", "yv", "iv", "ive", "kv", "kve")},
    "spherical_jn_of": lambda x, n: special.spherical_jn(n, x),
    "spherical_yn_of": lambda x, n: special.spherical_yn(n, x),
    "polygamma_of": lambda x, n: special.polygamma(n, x),
    "gammainc_by_a": lambda a, x, n: (
        _gammainc_by_a(a, x, n) if np.broadcast(a, x).size else np.empty(np.broadcast(a, x).shape)
    ),
}
