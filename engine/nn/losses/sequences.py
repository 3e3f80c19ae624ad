"""Losses of sequences whose alignment is not known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.engine.nn.losses.reduction import reduced
from fieldgrad.engine.op import TensorLike, as_tensor
from fieldgrad.engine.ops.arithmetic import (
    where,
)
from fieldgrad.engine.ops.index import take_along_axis
from fieldgrad.engine.ops.layout import expand_dims, pad, stack, unstack
from fieldgrad.engine.ops.reduce import logsumexp, sum
from fieldgrad.engine.ops.softmax import Reduction

__all__ = ["ctc_loss"]

# Logarithm of a probability of nothing: finite, so that differences of two of them are no NaN.
_NOTHING = -1e30


def ctc_loss(
    log_probabilities: TensorLike,
    targets: ArrayLike,
    input_lengths: ArrayLike,
    target_lengths: ArrayLike,
    *,
    blank: int = 0,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification: -log of the sum over all alignments.

    Parameters
    ----------
    log_probabilities : Tensor
        Shape (step, batch, class), or (step, class) for one sequence.
    targets : array_like of int
        Shape (batch, length), or all targets one after the other in shape (sum of lengths,).
    input_lengths, target_lengths : array_like of int
        Shape (batch,): number of steps, and of symbols, of each sequence.
    blank : int, default 0
        Class that stands for no symbol.
    reduction : {"mean", "sum", "none"}
        What to do with the sequences. The mean first divides each by the length of its target.
    zero_infinity : bool, default False
        Count targets that do not fit into their sequence as 0, instead of infinity.

    Returns
    -------
    Tensor
        One number, or shape (batch,) for reduction "none".

    Raises
    ------
    ShapeError
        If the shapes do not belong together.
    DataError
        If a target is no class, or a length is too long.

    Notes
    -----
    The forward recursion of the paper, in logarithms. A target that does not fit has gradient 0.
    The gradient is that of the sum for free log probabilities; PyTorch's already contains the way
    through `log_softmax`, which comes out the same for the logits.

    References
    ----------
    Graves, Fernández, Gomez, Schmidhuber, "Connectionist temporal classification", ICML 2006,
    doi:10.1145/1143844.1143891, eqs. 5-8.

    Examples
    --------
    Two steps of two equally probable classes spell "1" in three of four ways:

    >>> import numpy as np
    >>> import fieldgrad.engine as fg
    >>> even = fg.log(fg.ones((2, 1, 2)) * 0.5)
    >>> round(float(np.exp(-ctc_loss(even, [[1]], [2], [1]).item())), 4)
    0.75
    """
    x = as_tensor(log_probabilities, floating=True)
    single = x.ndim == 2
    if single:
        x = expand_dims(x, axis=1)
    lengths, sizes = (np.atleast_1d(np.asarray(n)) for n in (input_lengths, target_lengths))
    labels = _padded(x.shape, np.asarray(targets), lengths, sizes)
    if sizes.sum() and (labels.min() < 0 or labels.max() >= x.shape[2]):
        raise DataError(
            f"ctc_loss: targets go from {labels.min()} to {labels.max()}; expected 0 to "
            f"{x.shape[2] - 1}."
        )
    # In float64: the sums of logarithms are long, and float32 would lose their digits.
    total = _log_likelihood(x.astype(np.float64), labels, lengths, sizes, blank).astype(x.dtype)
    lost = total < 0.1 * _NOTHING
    loss = where(lost, 0.0 if zero_infinity else np.inf, -total)
    if reduction == "mean":
        loss = loss / np.maximum(sizes, 1).astype(x.dtype)
    loss = reduced(loss, reduction)
    return sum(loss) if single else loss


def _padded(
    shape: Sequence[int],
    targets: NDArray[np.integer],
    lengths: NDArray[np.integer],
    sizes: NDArray[np.integer],
) -> NDArray[np.integer]:
    """Targets of shape (batch, longest), 0 beyond their length, after checking the lengths."""
    if len(shape) != 3 or lengths.shape != (shape[1],) or sizes.shape != (shape[1],):
        raise ShapeError(
            f"ctc_loss: log_probabilities have shape {tuple(shape)}, input_lengths "
            f"{lengths.shape} and target_lengths {sizes.shape}; expected (step, batch, class), "
            "(batch,) and (batch,)."
        )
    if lengths.max(initial=0) > shape[0]:
        raise DataError(
            f"ctc_loss: an input length is {lengths.max()}; expected at most {shape[0]} steps."
        )
    inside = np.arange(sizes.max(initial=0)) < sizes[:, None]
    labels = np.zeros(inside.shape, np.intp)
    if targets.ndim == 1 and targets.size == sizes.sum():
        labels[inside] = targets
    elif targets.ndim == 2 and len(targets) == len(sizes) and targets.shape[1] >= inside.shape[1]:
        labels[inside] = targets[:, : inside.shape[1]][inside]
    else:
        raise ShapeError(
            f"ctc_loss: targets have shape {targets.shape}; expected ({len(sizes)}, "
            f"{inside.shape[1]} or more), or all one after the other: ({sizes.sum()},)."
        )
    return labels


def _log_likelihood(
    x: Tensor,
    labels: NDArray[np.integer],
    lengths: NDArray[np.integer],
    sizes: NDArray[np.integer],
    blank: int,
) -> Tensor:
    """Log probability of each target, shape (batch,)."""
    n_steps, batch = x.shape[:2]
    places = np.full((batch, 2 * labels.shape[1] + 1), blank, np.intp)  # blank, symbol, blank, …
    places[:, 1::2] = labels
    skips = np.zeros(places.shape, bool)  # from symbol to symbol, where they differ
    skips[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    skips &= places != blank
    start = np.full(places.shape, _NOTHING, x.dtype)
    start[:, 0] = 0.0
    state = Tensor(start)  # (batch, place): before the first step, at the first blank
    index = np.broadcast_to(places, (n_steps, *places.shape))
    for t, emitted in enumerate(unstack(take_along_axis(x, index, axis=2), axis=0)):
        one, two = (pad(state, ((0, 0), (k, 0)), value=_NOTHING)[:, :-k] for k in (1, 2))
        ways = [state, one, where(skips, two, _NOTHING)] if t else [state, one]
        moved = logsumexp(stack(ways), axis=0) + emitted
        state = where((t < lengths)[:, None], moved, state)
    ends = np.stack([2 * sizes, np.maximum(2 * sizes - 1, 0)], axis=1)
    final = take_along_axis(state, ends, axis=1)
    return logsumexp(where(np.stack([sizes >= 0, sizes > 0], axis=1), final, _NOTHING), axis=1)
