"""Losses: how far a prediction is from its target."""

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Absent, Entry, LeftOut

__all__ = ["ENTRIES"]


def _loss(name, of_one_shape=2):
    """A loss of fieldgrad.engine.nn with torch's keywords; its first inputs have one shape."""

    def call(x, *args, size_average=None, reduce=None, **kwargs):
        arrays = [x, *args][:of_one_shape]
        if len({a.shape for a in arrays if isinstance(a, fg.Tensor)}) > 1:
            raise LeftOut("losses refuse unequal shapes, they do not broadcast")
        return getattr(fg.nn, name)(x, *args, **kwargs)

    return Entry(call)


INTERNAL = Absent("internal to torch; the public function is an entry of its own")

ENTRIES = {
    **{
        f"nn.functional.{n}": _loss(n)
        for n in (
            "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
            "binary_cross_entropy_with_logits", "soft_margin_loss", "kl_div", "poisson_nll_loss",
            "gaussian_nll_loss", "hinge_embedding_loss", "multilabel_margin_loss",
            "multilabel_soft_margin_loss", "margin_ranking_loss",
        )
    },
    **{
        f"nn.functional.{n}": _loss(n, 1)
        for n in (
            "cross_entropy", "nll_loss", "multi_margin_loss", "triplet_margin_loss", "ctc_loss",
            "cosine_embedding_loss",
        )
    },
    "nn.functional.triplet_margin_with_distance_loss": Absent(
        "triplet_margin_loss of distances of your own is one line"),
    "nn.functional.linear_cross_entropy": INTERNAL,
    "nn.functional.linear_cross_entropy.chunked": INTERNAL,
    "nn.functional.linear_cross_entropy.chunked_none": INTERNAL,
}  # fmt: skip
