"""Recurrent layers over whole sequences, and their single steps in simpler ops.

The input's part of the gates is one product for all steps (`linear`); what is left, step after
step, is a fused op. Its backward pass is written by hand too and goes through the steps once.
Gates and weights are in PyTorch's order.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fieldgrad.engine import samples, shapes
from fieldgrad.engine._core import Tensor
from fieldgrad.engine.device import KERNELS
from fieldgrad.engine.op import op
from fieldgrad.engine.ops.arithmetic import where
from fieldgrad.engine.ops.elementary import sigmoid, tanh
from fieldgrad.engine.ops.layout import concat, reshape, stack, unstack
from fieldgrad.engine.ops.linalg import linear

__all__ = ["gru", "gru_step", "lstm", "lstm_step"]


def gru_step(gates: Tensor, h: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """State after one step of a gated recurrent unit.

    Parameters
    ----------
    gates : Tensor
        Shape (batch, 3 hidden): the input's part of the gates r, z and n.
    h : Tensor
        Shape (batch, hidden), the state before.
    weight : Tensor
        Shape (3 hidden, hidden).
    bias : Tensor, optional
        Shape (3 hidden,).

    Returns
    -------
    Tensor
        Shape (batch, hidden).
    """
    x_r, x_z, x_n = _gates(gates, 3)
    a_r, a_z, a_n = _gates(linear(h, weight, bias), 3)
    z = sigmoid(x_z + a_z)
    new = tanh(x_n + sigmoid(x_r + a_r) * a_n)
    return new + z * (h - new)


def lstm_step(gates: Tensor, h: Tensor, c: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """State and cell after one step of a long short-term memory.

    Parameters
    ----------
    gates : Tensor
        Shape (batch, 4 hidden): the input's part of the gates i, f, g and o, with the biases.
    h, c : Tensor
        Shape (batch, hidden), state and cell before.
    weight : Tensor
        Shape (4 hidden, hidden).

    Returns
    -------
    tuple of Tensor
        State and cell, both of shape (batch, hidden).
    """
    i, f, g, o = _gates(gates + linear(h, weight), 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _gates(x: Tensor, n: int) -> tuple[Tensor, ...]:
    """Views of the n gates in (batch, n hidden); their gradients are put together in one pass."""
    return tuple(unstack(reshape(x, (x.shape[0], n, x.shape[1] // n)), axis=1))


def _steps(n: int, reverse: bool) -> Sequence[int]:
    return range(n - 1, -1, -1) if reverse else range(n)


def _moved(t: int, lengths: ArrayLike | None, after: Tensor, before: Tensor) -> Tensor:
    """What came after step t where a row still moves, else what was before."""
    if lengths is None:
        return after
    return where((t < np.asarray(lengths))[:, None], after, before)


@op(
    kernel="gru",
    floating=True,
    shape=shapes.gru,
    samples=samples.gated_sequences,
    aux=("saved",),
)
def gru(
    gates: Tensor,
    h: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    /,
    *,
    reverse: bool = False,
    lengths: ArrayLike | None = None,
):
    """States of a gated recurrent unit after each step.

    Parameters
    ----------
    gates : Tensor
        Shape (batch, step, 3 hidden): the input's part of the gates r, z and n, x W_iᵀ + b_i.
    h : Tensor
        Shape (batch, hidden), the first state.
    weight : Tensor
        Shape (3 hidden, hidden), W_h.
    bias : Tensor, optional
        Shape (3 hidden,), b_h.
    reverse : bool, default False
        Go from the last step to the first.
    lengths : array_like of int, optional
        Shape (batch,): a row stands still in the steps from its length on, whichever way it goes.

    Returns
    -------
    Tensor
        Shape (batch, step, hidden). The final state is that of the last step, or of the first one
        in reverse.

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Notes
    -----
    r = sigmoid(x_r + a_r), z = sigmoid(x_z + a_z), n = tanh(x_n + r a_n), h' = (1 - z) n + z h,
    where x are the gates and a = h W_hᵀ + b_h. Second derivatives go step by step through
    `gru_step`.

    References
    ----------
    Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014,
    arXiv:1406.1078; the reset gate acts after the product, as in cuDNN and PyTorch.
    """
    states: list[Any] = [None] * gates.shape[1]
    for t in _steps(len(states), reverse):
        h = _moved(t, lengths, gru_step(gates[:, t], h, weight, bias), h)
        states[t] = h
    return stack(states, axis=1)


@gru.fused_vjp
def _(g, h, weight, bias, out, saved, reverse, lengths):
    gates, hidden, gh, _ = KERNELS["recurrent_gradient"](
        g.data, h.data, None, weight.data, out.data, saved, reverse=reverse, lengths=lengths
    )
    gweight = _weight_gradient(hidden, h, out.data, reverse)
    gbias = None if bias is None else Tensor(KERNELS["sum"](hidden, axis=(0, 1), keepdims=False))
    return Tensor(gates), Tensor(gh), gweight, gbias


@op(
    kernel="lstm",
    floating=True,
    shape=shapes.lstm,
    samples=samples.memory_sequences,
    aux=("saved",),
)
def lstm(
    gates: Tensor,
    h: Tensor,
    c: Tensor,
    weight: Tensor,
    /,
    *,
    reverse: bool = False,
    lengths: ArrayLike | None = None,
):
    """States and cells of a long short-term memory after each step.

    Parameters
    ----------
    gates : Tensor
        Shape (batch, step, 4 hidden): the input's part of the gates i, f, g and o with both
        biases, x W_iᵀ + b_i + b_h.
    h, c : Tensor
        Shape (batch, hidden), the first state and cell.
    weight : Tensor
        Shape (4 hidden, hidden), W_h.
    reverse : bool, default False
        Go from the last step to the first.
    lengths : array_like of int, optional
        Shape (batch,): a row stands still in the steps from its length on, whichever way it goes.

    Returns
    -------
    Tensor
        Shape (batch, step, 2 hidden): state, then cell.

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Notes
    -----
    i, f, o = sigmoid(…), g = tanh(…) of x + h W_hᵀ, where x are the gates; c' = f c + i g,
    h' = o tanh(c').
    Second derivatives go step by step through `lstm_step`.

    References
    ----------
    Hochreiter, Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997,
    doi:10.1162/neco.1997.9.8.1735; with a forget gate, Gers, Schmidhuber, Cummins, 2000.
    """
    states: list[Any] = [None] * gates.shape[1]
    for t in _steps(len(states), reverse):
        after = lstm_step(gates[:, t], h, c, weight)
        h, c = _moved(t, lengths, after[0], h), _moved(t, lengths, after[1], c)
        states[t] = concat([h, c], axis=1)
    return stack(states, axis=1)


@lstm.fused_vjp
def _(g, h, c, weight, out, saved, reverse, lengths):
    gates, _, gh, gc = KERNELS["recurrent_gradient"](
        g.data, h.data, c.data, weight.data, out.data, saved, reverse=reverse, lengths=lengths
    )
    states = out.data[:, :, : h.shape[1]]
    return Tensor(gates), Tensor(gh), Tensor(gc), _weight_gradient(gates, h, states, reverse)


def _weight_gradient(gates: Any, h: Tensor, states: Any, reverse: bool) -> Tensor:
    """One product over all rows and steps: the gates' gradient times the state before the step."""
    first = h.data[:, None]
    parts = [states[:, 1:], first] if reverse else [first, states[:, :-1]]
    before = KERNELS["concat"](parts, axis=1)
    rows = gates.reshape(-1, gates.shape[2])
    return Tensor(KERNELS["matmul"](rows.T, before.reshape(len(rows), h.shape[1])))
