"""Losses: predictions and targets to one number.

elements   one number beside another: mse_loss, l1_loss, binary_cross_entropy, kl_div, …
classes    scores of classes beside the right ones: cross_entropy, nll_loss, multi_margin_loss, …
pairs      distances between vectors: triplet_margin_loss, cosine_embedding_loss, …
sequences  unaligned sequences: ctc_loss
reduction  what all share

Names, options and values are PyTorch's. Predictions and targets of different shapes are refused:
silent broadcasting in a loss is a wrong result that trains.
"""

from fieldgrad.engine.nn.losses.classes import (
    cross_entropy,
    linear_cross_entropy,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    nll_loss,
)
from fieldgrad.engine.nn.losses.elements import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
)
from fieldgrad.engine.nn.losses.pairs import (
    cosine_embedding_loss,
    margin_ranking_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from fieldgrad.engine.nn.losses.sequences import ctc_loss

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear_cross_entropy",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]
