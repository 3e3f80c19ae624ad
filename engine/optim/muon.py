"""Muon: momentum whose matrices are made orthogonal."""

import math

import numpy as np

from fieldgrad.engine.bindings import optim_kernels
from fieldgrad.engine.bindings.linalg_kernels import matmul
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.optim.base import Array, Optimizer, Params, check

__all__ = ["Muon"]


class Muon(Optimizer):
    """Steps along the momentum of a weight matrix with all singular values made nearly equal.

    For the matrices of hidden layers; embeddings, last layers, norms and biases want `AdamW`.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
        Parameters of two axes or more, or groups ``{"params": [...], "lr": ..., "weight_decay":
        ...}``. Kernels of convolutions count as matrices (out, in · taps).
    lr : float, default 1e-3
        Learning rate.
    momentum : float, default 0.95
        Decay of the mean of the gradient, in [0, 1).
    nesterov : bool, default True
        Look ahead along it.
    weight_decay : float, default 0.1
        Each step first multiplies the weights by ``1 - lr * weight_decay``.
    ns_steps : int, default 5
        Number of Newton-Schulz iterations.
    ns_coefficients : tuple of float, default (3.4445, -4.775, 2.0315)
        Their polynomial a X + b (X Xᵀ) X + c (X Xᵀ)² X.
    eps : float, default 1e-7
        Least norm to divide a matrix by.
    adjust_lr : {"original", "match_rms_adamw"}
        Factor of the learning rate for a matrix of n rows and m columns: sqrt(max(1, n / m)), or
        0.2 sqrt(max(n, m)), which makes steps as large as those of AdamW.

    Raises
    ------
    RecipeError
        If a parameter is no matrix or a setting is out of its range.

    Notes
    -----
    ::

        m = momentum * m + (1 - momentum) * g
        u = orthogonal(momentum * m + (1 - momentum) * g)    or orthogonal(m)
        w = w - lr * factor * u

    The iterations run in the parameter's dtype; PyTorch's run in bfloat16, which differs by a
    few percent.

    References
    ----------
    Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024,
    https://kellerjordan.github.io/posts/muon. The factors: Liu et al., "Muon is scalable for LLM
    training", 2025, arXiv:2502.16982, section 2.2.
    """

    slots = ("mean",)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.95,
        *,
        nesterov: bool = True,
        weight_decay: float = 0.1,
        ns_steps: int = 5,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        adjust_lr: str = "original",
    ) -> None:
        check("ns_steps", ns_steps, ns_steps >= 1, "1 or more")
        check("eps", eps, eps > 0, "a positive number")
        if adjust_lr not in ("original", "match_rms_adamw"):
            raise RecipeError(
                f"Muon: adjust_lr is {adjust_lr!r}; expected 'original' or 'match_rms_adamw'."
            )
        super().__init__(params, lr, momentum, weight_decay, True)
        for i, p in enumerate(self.params):
            if p.ndim < 2:
                raise RecipeError(
                    f"Muon: parameter {i} has shape {p.shape}; expected two axes or more. Give "
                    "vectors to another optimizer, such as AdamW."
                )
        self.nesterov, self.ns_steps, self.ns_coefficients = nesterov, ns_steps, ns_coefficients
        self.eps, self.adjust_lr = eps, adjust_lr

    def update(self, chosen: list[int], t: Array, lr: Array, decay: Array, shrink: Array) -> None:
        """Change some parameters in place; see `Optimizer.update`."""
        momentum = float(self.momentum)
        for i, w, g, _, rate in self.changed(chosen, t, lr, decay, shrink):
            m = self._state["mean"][i]
            m += (1 - momentum) * (g - m)
            ahead = g + momentum * (m - g) if self.nesterov else m
            matrix = ahead.reshape(len(ahead), -1)
            n_rows, n_columns = matrix.shape
            if self.adjust_lr == "original":
                rate *= math.sqrt(max(1.0, n_rows / max(n_columns, 1)))
            else:
                rate *= 0.2 * math.sqrt(max(n_rows, n_columns))
            w -= rate * self._orthogonal(matrix).reshape(w.shape)

    def _orthogonal(self, x: Array) -> Array:
        """Singular values of a matrix brought near 1."""
        a, b, c = self.ns_coefficients
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        norm = math.sqrt(optim_kernels.sum_of_squares([np.ascontiguousarray(x)]))
        x = x / x.dtype.type(max(norm, self.eps))
        for _ in range(self.ns_steps):
            gram = matmul(x, x.T)
            x = a * x + matmul(b * gram + c * matmul(gram, gram), x)
        return x.T if tall else x
