"""Reductions of what a mask lets through: torch.masked, said with where."""

import numpy as np

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Absent, Entry, all_if_none, composed

__all__ = ["ENTRIES"]


def _reduced(name, nothing):
    """A reduction whose masked elements are its neutral element."""

    def call(x, dim=None, *, keepdim=False, dtype=None, mask=None):
        x = x if dtype is None else x.astype(dtype)
        if mask is not None:
            x = fg.where(mask, x, nothing)
        axis = all_if_none(dim)
        return getattr(fg, name)(x, axis=axis, keepdims=keepdim)

    return composed(call)


def _along(call):
    """A function along an axis whose masked elements count as minus infinity."""

    def masked(x, dim, *, dtype=None, mask=None):
        x = x if dtype is None else x.astype(dtype)
        return call(x if mask is None else fg.where(mask, x, -np.inf), dim)

    return composed(masked)


def _mean(x, dim=None, *, keepdim=False, dtype=None, mask=None):
    x = x if dtype is None else x.astype(dtype)
    axis = all_if_none(dim)
    if mask is None:
        return fg.mean(x, axis=axis, keepdims=keepdim)
    count = fg.sum(fg.broadcast_to(mask, x.shape).astype(x.dtype), axis=axis, keepdims=keepdim)
    return fg.sum(fg.where(mask, x, 0.0), axis=axis, keepdims=keepdim) / count


MASKED = Absent("said with where; not a function of its own")

ENTRIES = {
    "masked.sum": _reduced("sum", 0),
    "masked.prod": _reduced("prod", 1),
    "masked.amax": _reduced("max", -np.inf),
    "masked.amin": _reduced("min", np.inf),
    "masked.logsumexp": _reduced("logsumexp", -np.inf),
    "masked.mean": Entry(_mean, composed=True),
    "masked.softmax": _along(lambda x, axis: fg.softmax(x, axis=axis)),
    "masked.log_softmax": _along(lambda x, axis: fg.log_softmax(x, axis=axis)),
    **{
        f"masked.{n}": MASKED
        for n in (
            "cumsum", "cumprod", "median", "norm", "var", "std", "softmin", "normalize",
            "logaddexp", "argmax", "argmin",
        )
    },
}  # fmt: skip
