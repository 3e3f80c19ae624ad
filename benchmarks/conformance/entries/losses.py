"""Losses: how far a prediction is from its target."""

import numpy as np

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Entry, LeftOut, composed

__all__ = ["ENTRIES"]


def _loss(name, of_one_shape=2):
    """A loss of fieldgrad.engine.nn with torch's keywords; its first inputs have one shape."""

    def call(x, *args, size_average=None, reduce=None, **kwargs):
        arrays = [x, *args][:of_one_shape]
        if len({a.shape for a in arrays if isinstance(a, fg.Tensor)}) > 1:
            raise LeftOut("losses refuse unequal shapes, they do not broadcast")
        return getattr(fg.nn.losses, name)(x, *args, **kwargs)

    return Entry(call)


def _multi_margin(x, target, **kwargs):
    if target.ndim != x.ndim - 1:
        raise LeftOut("losses refuse unequal shapes, they do not broadcast")
    return fg.nn.losses.multi_margin_loss(x, target, **kwargs)


def _multilabel_margin(x, target, **kwargs):
    if not x.ndim:
        raise LeftOut("a number has no axis of classes")
    return fg.nn.losses.multilabel_margin_loss(x, target, **kwargs)


def _ctc(x, *args, **kwargs):
    if x.dtype == np.float32:
        raise LeftOut("torch's sums lose digits in float32; ours are in float64")
    # Torch's gradient for log probabilities is the one for the logits.
    return fg.nn.losses.ctc_loss(fg.log_softmax(x), *args, **kwargs)


def _with_distance(a, b, c, distance_function=None, **kwargs):
    if a.dtype.kind == "c":
        raise LeftOut("complex numbers have no order")
    # Torch's function of two of torch's tensors is pairwise_distance in all samples.
    return fg.nn.losses.triplet_margin_with_distance_loss(a, b, c, **kwargs)


def _linear_cross_entropy(x, linear_weight, target, *, linear_bias=None, weight=None, options=None,
                          **kwargs):  # fmt: skip
    if x.ndim != 2 or linear_weight.ndim != 2:
        raise LeftOut("the layer gives scores of shape (batch, class) only")
    return fg.nn.losses.linear_cross_entropy(
        x, linear_weight, target, bias=linear_bias, class_weight=weight, **kwargs
    )


ENTRIES = {
    **{
        f"nn.functional.{n}": _loss(n)
        for n in (
            "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
            "binary_cross_entropy_with_logits", "soft_margin_loss", "kl_div", "poisson_nll_loss",
            "gaussian_nll_loss", "hinge_embedding_loss",
            "multilabel_soft_margin_loss", "margin_ranking_loss",
        )
    },
    **{
        f"nn.functional.{n}": _loss(n, 1)
        for n in (
            "cross_entropy", "nll_loss", "triplet_margin_loss", "cosine_embedding_loss",
        )
    },
    "nn.functional.multi_margin_loss": Entry(_multi_margin),
    "nn.functional.multilabel_margin_loss": Entry(_multilabel_margin),
    "nn.functional.ctc_loss": composed(_ctc),
    "nn.functional.triplet_margin_with_distance_loss": Entry(_with_distance),
    **{
        f"nn.functional.linear_cross_entropy{kind}": Entry(_linear_cross_entropy)
        for kind in ("", ".chunked", ".chunked_none")
    },
}  # fmt: skip
