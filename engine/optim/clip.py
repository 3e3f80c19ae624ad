"""Clipping of gradients before a step."""

import math
from collections.abc import Iterable

import numpy as np

from fieldgrad.engine._core import Tensor, bump_versions
from fieldgrad.engine.bindings import optim_kernels
from fieldgrad.engine.optim.base import check, table

__all__ = ["clip_grad_norm", "clip_grad_value"]


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Shorten the gradient of all parameters together to a largest length, in place.

    Parameters
    ----------
    params : iterable of Tensor
        Parameters; those without a gradient count as zero.
    max_norm : float
        Largest Euclidean norm of all gradients as one vector, positive.

    Returns
    -------
    float
        The norm before clipping. If it is not finite the gradients are left as they are.

    Notes
    -----
    Squares are summed in float64 in a fixed order: the same for any number of threads.

    References
    ----------
    Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", ICML
    2013, arXiv:1211.5063, algorithm 1.

    Examples
    --------
    >>> from fieldgrad.engine._core import Tensor
    >>> w = Tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_norm([w], max_norm=5.0)
    10.0
    >>> w.grad.tolist()
    [3.0, 4.0]
    """
    check("max_norm", max_norm, max_norm > 0, "a positive number")
    gradients = [p.grad for p in params if p.grad is not None]
    arrays = [g.data for g in gradients]
    norm = math.sqrt(optim_kernels.sum_of_squares(arrays))
    if math.isfinite(norm) and norm > max_norm:
        optim_kernels.update("scale", [arrays], table(len(arrays), max_norm / norm))
        bump_versions(gradients)
    return norm


def clip_grad_value(params: Iterable[Tensor], max_value: float) -> None:
    """Limit each element of all gradients, in place.

    Parameters
    ----------
    params : iterable of Tensor
        Parameters; those without a gradient are left out.
    max_value : float
        Largest absolute value, positive.
    """
    check("max_value", max_value, max_value > 0, "a positive number")
    gradients = [p.grad for p in params if p.grad is not None]
    for g in gradients:
        np.clip(g.data, -max_value, max_value, out=g.data)
    bump_versions(gradients)
