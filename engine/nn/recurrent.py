"""Recurrent layers: cells, written in simpler ops, and whole sequences, which are fused.

Parameters have PyTorch's names, shapes and order of gates. Sequences are (batch, step, feature).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.nn.init import uniform_fan_in
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.ops.arithmetic import where
from fieldgrad.engine.ops.creation import zeros
from fieldgrad.engine.ops.dropout import dropout
from fieldgrad.engine.ops.layout import concat, stack
from fieldgrad.engine.ops.linalg import linear
from fieldgrad.engine.ops.recurrent import gru, gru_step, lstm, lstm_step

__all__ = ["GRU", "LSTM", "GRUCell", "LSTMCell"]


class GRUCell(Module):
    """One step of a gated recurrent unit.

    Parameters
    ----------
    in_features : int
        Size of the input.
    hidden : int
        Size of the state.
    """

    def __init__(self, in_features: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.weight_ih = Parameter(uniform_fan_in((3 * hidden, in_features), hidden))
        self.weight_hh = Parameter(uniform_fan_in((3 * hidden, hidden), hidden))
        self.bias_ih = Parameter(uniform_fan_in((3 * hidden,), hidden))
        self.bias_hh = Parameter(uniform_fan_in((3 * hidden,), hidden))

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """Go on from state h (batch, hidden; default 0) with x of shape (batch, in_features)."""
        h = zeros((x.shape[0], self.hidden), dtype=x.dtype) if h is None else h
        gates = linear(x, self.weight_ih, self.bias_ih)
        return gru_step(gates, h, self.weight_hh, self.bias_hh)


class LSTMCell(Module):
    """One step of a long short-term memory.

    Parameters
    ----------
    in_features : int
        Size of the input.
    hidden : int
        Size of state and cell.
    """

    def __init__(self, in_features: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.weight_ih = Parameter(uniform_fan_in((4 * hidden, in_features), hidden))
        self.weight_hh = Parameter(uniform_fan_in((4 * hidden, hidden), hidden))
        self.bias_ih = Parameter(uniform_fan_in((4 * hidden,), hidden))
        self.bias_hh = Parameter(uniform_fan_in((4 * hidden,), hidden))

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Go on from (h, c), each (batch, hidden; default 0), with x (batch, in_features)."""
        if state is None:
            state = (zeros((x.shape[0], self.hidden), dtype=x.dtype),) * 2
        gates = linear(x, self.weight_ih, self.bias_ih + self.bias_hh)
        return lstm_step(gates, *state, self.weight_hh)


class _Recurrent(Module):
    """Layers of a recurrent kind on top of one another, in one or both directions."""

    n_gates: int

    def __init__(
        self,
        in_features: int,
        hidden: int,
        n_layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.in_features, self.hidden = in_features, hidden
        self.n_layers, self.dropout = n_layers, dropout
        self.directions = ("", "_reverse") if bidirectional else ("",)
        wide = self.n_gates * hidden
        for layer, direction in self._places():
            size = in_features if layer == 0 else hidden * len(self.directions)
            for name, shape in (
                ("weight_ih", (wide, size)),
                ("weight_hh", (wide, hidden)),
                ("bias_ih", (wide,)),
                ("bias_hh", (wide,)),
            ):
                parameter = Parameter(uniform_fan_in(shape, hidden))
                setattr(self, f"{name}_l{layer}{direction}", parameter)

    def _places(self) -> Iterator[tuple[int, str]]:
        for layer in range(self.n_layers):
            for direction in self.directions:
                yield layer, direction

    def _run(
        self, x: Tensor, i: int, first: Any, parameters: list[Parameter], **options: Any
    ) -> Any:
        """States of one layer in one direction, and its final ones; each kind says how."""
        raise NotImplementedError

    def _forward(
        self, x: Tensor, first: Any, lengths: ArrayLike | None
    ) -> tuple[Tensor, list[Any]]:
        if x.ndim != 3:
            raise ShapeError(
                f"{type(self).__name__}: x has shape {x.shape}; expected (batch, step, feature). "
                "Give a single sequence a batch axis with x[None]."
            )
        real = None
        if lengths is not None:
            real = (np.arange(x.shape[1]) < np.asarray(lengths)[:, None])[..., None]
        last, found = [], []
        for i, (layer, direction) in enumerate(self._places()):
            parameters = [
                getattr(self, f"{name}_l{layer}{direction}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            out, final = self._run(
                x, i, first, parameters, reverse=direction == "_reverse", lengths=lengths
            )
            found.append(out if real is None else where(real, out, 0.0))
            last.append(final)
            if len(found) == len(self.directions):
                x, found = found[0] if len(found) == 1 else concat(found, axis=2), []
                if self.training and self.dropout and layer < self.n_layers - 1:
                    x = dropout(x, self.dropout)
        return x, last

    def extra_repr(self) -> str:
        """Sizes."""
        layers = f", {self.n_layers} layers" if self.n_layers > 1 else ""
        ways = ", both ways" if len(self.directions) > 1 else ""
        return f"{self.in_features} -> {self.hidden}{layers}{ways}"


class GRU(_Recurrent):
    """Gated recurrent units over whole sequences.

    Parameters
    ----------
    in_features : int
        Size of the input at each step.
    hidden : int
        Size of the state.
    n_layers : int, default 1
        Layers, each on the states of the one below.
    bidirectional : bool, default False
        Also go from the last step to the first, with parameters of its own; both states are joined.
    dropout : float, default 0.0
        Share of a layer's states that are dropped before the next layer, while training.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> states, last = fg.nn.GRU(3, 5, n_layers=2)(fg.zeros((4, 7, 3)))
    >>> states.shape, last.shape
    ((4, 7, 5), (2, 4, 5))
    """

    n_gates = 3

    def forward(
        self, x: Tensor, h: Tensor | None = None, lengths: ArrayLike | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map x to the last layer's states and to the final states of all layers.

        Parameters
        ----------
        x : Tensor
            Shape (batch, step, in_features).
        h : Tensor, optional
            Shape (n_layers · directions, batch, hidden), the first states; default 0.
        lengths : array_like of int, optional
            Shape (batch,): steps of each row. Those after are padding, whose states are 0.

        Returns
        -------
        tuple of Tensor
            Shapes (batch, step, directions · hidden), (n_layers · directions, batch, hidden).
        """
        y, last = self._forward(x, h, lengths)
        return y, stack(last)

    def _run(
        self, x: Tensor, i: int, first: Any, parameters: list[Parameter], **options: Any
    ) -> Any:
        weight_ih, weight_hh, bias_ih, bias_hh = parameters
        h = zeros((x.shape[0], self.hidden), dtype=x.dtype) if first is None else first[i]
        y = gru(linear(x, weight_ih, bias_ih), h, weight_hh, bias_hh, **options)
        return y, y[:, 0 if options["reverse"] else -1]


class LSTM(_Recurrent):
    """Long short-term memories over whole sequences.

    Parameters
    ----------
    in_features : int
        Size of the input at each step.
    hidden : int
        Size of state and cell.
    n_layers : int, default 1
        Layers, each on the states of the one below.
    bidirectional : bool, default False
        Also go from the last step to the first, with parameters of its own; both states are joined.
    dropout : float, default 0.0
        Share of a layer's states that are dropped before the next layer, while training.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> states, (h, c) = fg.nn.LSTM(3, 5, bidirectional=True)(fg.zeros((4, 7, 3)))
    >>> states.shape, h.shape, c.shape
    ((4, 7, 10), (2, 4, 5), (2, 4, 5))
    """

    n_gates = 4

    def forward(
        self,
        x: Tensor,
        state: tuple[Tensor, Tensor] | None = None,
        lengths: ArrayLike | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map x to the last layer's states and to the final states and cells of all layers.

        Parameters
        ----------
        x : Tensor
            Shape (batch, step, in_features).
        state : tuple of Tensor, optional
            First states and cells, each (n_layers · directions, batch, hidden); default 0.
        lengths : array_like of int, optional
            Shape (batch,): steps of each row. Those after are padding, whose states are 0.

        Returns
        -------
        tuple
            States (batch, step, directions · hidden), and a pair like ``state``.
        """
        y, last = self._forward(x, state, lengths)
        return y, (stack([h for h, _ in last]), stack([c for _, c in last]))

    def _run(
        self, x: Tensor, i: int, first: Any, parameters: list[Parameter], **options: Any
    ) -> Any:
        weight_ih, weight_hh, bias_ih, bias_hh = parameters
        n = self.hidden
        start = zeros((x.shape[0], n), dtype=x.dtype)
        h, c = (start, start) if first is None else (first[0][i], first[1][i])
        both = lstm(linear(x, weight_ih, bias_ih + bias_hh), h, c, weight_hh, **options)
        end = both[:, 0 if options["reverse"] else -1]
        return both[:, :, :n], (end[:, :n], end[:, n:])
