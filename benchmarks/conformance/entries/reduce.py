"""Reductions, scans, statistics, sorting and sets."""

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import (
    Absent,
    Entry,
    LeftOut,
    all_if_none,
    composed,
    reduction,
)

__all__ = ["ENTRIES"]


def _with_index(largest):
    """torch.max and min over an axis give values and indices."""
    name = "max" if largest else "min"

    def call(x, dim=None, keepdim=False):
        if dim is None:
            return getattr(fg, name)(x)
        index = getattr(fg, f"arg{name}")(x, axis=dim, keepdims=True)
        if not x.ndim:
            return x, fg.reshape(index, ())
        values = fg.take_along_axis(x, index, axis=dim)
        if keepdim:
            return values, index
        return fg.squeeze(values, axis=dim), fg.squeeze(index, axis=dim)

    return call


def _variance(name, both=False):
    def call(x, dim=None, unbiased=None, *, correction=None, keepdim=False):
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if correction is None:
            correction = 1 if unbiased is None or unbiased else 0
        axis = all_if_none(dim)
        found = getattr(fg, name)(x, axis=axis, correction=correction, keepdims=keepdim)
        return (found, fg.mean(x, axis=axis, keepdims=keepdim)) if both else found

    return call


def _scan(name):
    def call(x, dim, *, dtype=None):
        x = x if dtype is None else x.astype(dtype)
        return getattr(fg, name)(x, axis=dim) if x.ndim else x

    return Entry(call)


def _extremum_scan(name):
    return Entry(lambda x, dim: getattr(fg, name)(x, axis=dim))


def _sort(x, dim=-1, descending=False, stable=True):
    if not x.ndim:
        return x, fg.zeros((), dtype="int64")
    order = fg.argsort(x, axis=dim, descending=descending, stable=True)
    return fg.sort(x, axis=dim, descending=descending), order


def _sorted_values(result):
    """Indices of equal elements may come in any order."""
    return result[0] if isinstance(result, tuple) else result


def _topk(x, k, dim=-1, largest=True, sorted=True):
    return fg.topk(x, k, axis=dim, largest=largest)


def _quantile(name):
    def call(x, q, dim=None, keepdim=False, *, interpolation="linear"):
        return getattr(fg, name)(x, q, axis=dim, keepdims=keepdim, method=interpolation)

    return Entry(call)


def _median(name):
    def call(x, dim=None, keepdim=False):
        return getattr(fg, name)(x, axis=dim, keepdims=keepdim)

    return Entry(call)


def _argsort(x, dim=-1, descending=False, stable=True):
    return fg.argsort(x, axis=dim, descending=descending)


def _trapezoid(y, x=None, *, dx=1.0, dim=-1):
    return fg.trapezoid(y, x, dx=dx, axis=dim)


def _cumulative_trapezoid(y, x=None, *, dx=1.0, dim=-1):
    return fg.cumulative_trapezoid(y, x, dx=dx, axis=dim)


def _diff(x, n=1, dim=-1, prepend=None, append=None):
    return fg.diff(x, n=n, axis=dim, prepend=prepend, append=append)


def _gradient(x, *, spacing=1, dim=None, edge_order=1):
    spacing = 1 if spacing is None else spacing
    if isinstance(spacing, list | tuple):
        return tuple(fg.gradient(x, *spacing, axis=dim, edge_order=edge_order))
    return tuple(fg.gradient(x, spacing, axis=dim, edge_order=edge_order))


def _cov(x, *, correction=1, fweights=None, aweights=None):
    if aweights is not None:
        raise LeftOut("weights of float32: torch keeps their precision, here that of x counts")
    return fg.cov(x, correction=correction, fweights=fweights, aweights=aweights)


def _bincount(x, weights=None, minlength=0):
    if weights is not None and weights.dtype.kind not in "fc":
        weights = fg.astype(weights, "float64")
    return fg.bincount(x, weights, minlength=minlength)


def _logsumexp(x, dim=None, keepdim=False):
    if x.dtype.kind == "c":
        raise LeftOut("the imaginary part is determined up to 2π only")
    return fg.logsumexp(x, axis=all_if_none(dim), keepdims=keepdim)


def _logcumsumexp(x, dim):
    if x.dtype.kind == "c":
        raise LeftOut("not for complex numbers, as in NumPy")
    if x.dtype == "float32" and x.size and abs(x.numpy()).max() > 1e3:
        raise LeftOut("float32 has steps of 10⁻³ at 10⁴, and so have the gradients")
    return fg.logcumsumexp(x, axis=dim) if x.ndim else x


MEDIAN = Absent("torch's median of an even number is the lower one; ours, as NumPy's, the mean")
HISTOGRAMS = Absent("histograms are not ops here")

ENTRIES = {
    **{n: reduction(n) for n in ("sum", "mean", "prod", "all", "any", "argmax", "argmin")},
    **{n: reduction(n) for n in ("nansum", "nanmean", "count_nonzero")},
    "amax": reduction("max"),
    "amin": reduction("min"),
    "aminmax": composed(
        lambda x, *, dim=None, keepdim=False: (
            fg.min(x, axis=dim, keepdims=keepdim),
            fg.max(x, axis=dim, keepdims=keepdim),
        )
    ),
    "max.reduction_no_dim": reduction("max"),
    "min.reduction_no_dim": reduction("min"),
    "max.reduction_with_dim": composed(_with_index(True)),
    "min.reduction_with_dim": composed(_with_index(False)),
    "var": Entry(_variance("var")),
    "std": Entry(_variance("std")),
    "var.unbiased": Entry(_variance("var")),
    "std.unbiased": Entry(_variance("std")),
    "var_mean": composed(_variance("var", True)),
    "std_mean": composed(_variance("std", True)),
    "var_mean.unbiased": composed(_variance("var", True)),
    "std_mean.unbiased": composed(_variance("std", True)),
    "cumsum": _scan("cumsum"),
    "cumprod": _scan("cumprod"),
    "logsumexp": Entry(_logsumexp),
    "logcumsumexp": Entry(_logcumsumexp),
    "cummax": _extremum_scan("cummax"),
    "cummin": _extremum_scan("cummin"),
    "sort": Entry(_sort, view=_sorted_values),
    "msort": Entry(lambda x: fg.sort(x, axis=0) if x.ndim else x),
    "argsort": Entry(_argsort),
    "topk": Entry(_topk, view=_sorted_values),
    "kthvalue": Entry(lambda x, k, dim=-1, keepdim=False: fg.kthvalue(
        x, k, axis=dim, keepdims=keepdim), view=_sorted_values),
    "median": MEDIAN,
    "nanmedian": MEDIAN,
    "mode": Absent("no mode of values here; unique_counts gives it"),
    "quantile": _quantile("quantile"),
    "nanquantile": _quantile("nanquantile"),
    "trapezoid": Entry(_trapezoid),
    "trapz": Entry(_trapezoid),
    "cumulative_trapezoid": Entry(_cumulative_trapezoid),
    "diff": Entry(_diff),
    "gradient": Entry(_gradient),
    "cov": Entry(_cov),
    "corrcoef": Entry(lambda x: fg.corrcoef(x)),
    "unique": Absent("unique_values, unique_counts, unique_inverse and unique_all, as in the "
                     "array API"),
    "unique_consecutive": Absent("not in the array API"),
    "isin": Entry(lambda x, y, **kw: fg.isin(x, y, **kw)),
    "bincount": Entry(_bincount),
    "histogram": HISTOGRAMS,
    "histogramdd": HISTOGRAMS,
    "histc": HISTOGRAMS,
    "hash_tensor": Absent("torch's own checksum"),
    "_segment_reduce.lengths": Absent("segment_sum, segment_mean, … by segment index"),
    "_segment_reduce.offsets": Absent("segment_sum, segment_mean, … by segment index"),
}  # fmt: skip
