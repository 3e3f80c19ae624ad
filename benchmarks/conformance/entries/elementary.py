"""Elementary and special functions, elementwise."""

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Absent, Entry, composed, renamed, same

__all__ = ["ENTRIES"]


def _polygamma(x, n):
    x, n = (n, x) if isinstance(x, int) else (x, n)
    return fg.special.polygamma(n, x)


def _logit(x, eps=None):
    if eps is None:
        return fg.special.logit(x)
    x = x if x.dtype.kind == "f" else x.astype("float32")
    return fg.special.logit(fg.clip(x, eps, 1 - eps))


ENTRIES = {
    **same("acos acosh asin asinh atan atanh cos cosh sin sinh tan tanh exp exp2 expm1 log log10"),
    **same("log1p log2 sigmoid sinc"),
    **renamed(pow="power"),
    **same("erf erfc erfinv digamma i0 xlogy", ours="special."),
    **same("entr erfcx i0e i1 i1e ndtr ndtri log_ndtr xlog1py zeta", "special.", "special."),
    **renamed(lgamma="special.gammaln", igamma="special.gammainc", igammac="special.gammaincc"),
    "float_power": composed(lambda x, y: fg.power(_double(x), _double(y))),
    "logit": Entry(_logit),
    "polygamma.polygamma_n_0": Entry(_polygamma),
    "polygamma.polygamma_n_1": Entry(_polygamma),
    "polygamma.polygamma_n_2": Entry(_polygamma),
    "polygamma.polygamma_n_3": Entry(_polygamma),
    "polygamma.polygamma_n_4": Entry(_polygamma),
    "special.polygamma.special_polygamma_n_0": Entry(_polygamma),
    "mvlgamma.mvlgamma_p_1": Entry(lambda x, p: fg.special.multigammaln(x, p)),
    "mvlgamma.mvlgamma_p_3": Entry(lambda x, p: fg.special.multigammaln(x, p)),
    "mvlgamma.mvlgamma_p_5": Entry(lambda x, p: fg.special.multigammaln(x, p)),
    "special.airy_ai": Absent("no Airy functions yet"),
    "special.bessel_j0": Entry(lambda x: fg.special.j0(x), torch_error=2e-6),
    "special.bessel_j1": Entry(lambda x: fg.special.j1(x), torch_error=2e-6),
    "special.bessel_y0": Entry(lambda x: fg.special.y0(x), torch_error=2e-6),
    "special.bessel_y1": Entry(lambda x: fg.special.y1(x), torch_error=2e-6),
    "special.modified_bessel_i0": Entry(lambda x: fg.special.i0(x)),
    "special.modified_bessel_i1": Entry(lambda x: fg.special.i1(x)),
    "special.modified_bessel_k0": Entry(lambda x: fg.special.k0(x)),
    "special.modified_bessel_k1": Entry(lambda x: fg.special.k1(x)),
    "special.scaled_modified_bessel_k0": Entry(lambda x: fg.special.k0e(x)),
    "special.scaled_modified_bessel_k1": Entry(lambda x: fg.special.k1e(x)),
    "special.spherical_bessel_j0": Entry(lambda x: fg.special.spherical_jn(0, x)),
    **{
        f"special.{kind}": Absent("orthogonal polynomials are not ops here")
        for kind in (
            *(f"chebyshev_polynomial_{k}" for k in "tuvw"),
            *(f"shifted_chebyshev_polynomial_{k}" for k in "tuvw"),
            "hermite_polynomial_h",
            "hermite_polynomial_he",
            "laguerre_polynomial_l",
            "legendre_polynomial_p",
        )
    },
}


def _double(x):
    return x.astype("float64") if isinstance(x, fg.Tensor) and x.dtype.kind != "c" else x
