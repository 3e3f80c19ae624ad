"""LBFGS: steps of a quasi-Newton method, for losses without noise."""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.optim.base import Array, check, check_params

__all__ = ["LBFGS"]


class LBFGS:
    """Limited-memory BFGS: the inverse Hessian from the last changes of weights and gradient.

    Parameters
    ----------
    params : iterable of Tensor
        All parameters; they are taken together as one vector, in float64.
    lr : float, default 1.0
        Length of a step along the quasi-Newton direction, or the first length that the line search
        tries. The very first step is at most ``lr / |g|₁`` times the gradient.
    max_iter : int, default 20
        Most iterations in one call of `step`.
    history_size : int, default 100
        Number of changes that are kept.
    line_search : bool, default False
        Search for a length that satisfies the strong Wolfe conditions, with c1 = 1e-4 and c2 = 0.9.
    tolerance_grad : float, default 1e-7
        Stop where no element of the gradient is larger.
    tolerance_change : float, default 1e-9
        Stop where no element of a step, and no change of the loss, is larger.

    Attributes
    ----------
    params : list of Tensor
        All parameters.
    lr : float
        May be set between steps.
    n_evaluations : int
        How often the loss was evaluated so far.

    References
    ----------
    Nocedal, Wright, "Numerical optimization", 2nd edition, Springer 2006, algorithms 7.4 and 7.5
    (the direction), 3.5 and 3.6 (the line search).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> w = fg.tensor([3.0, -1.0], requires_grad=True)
    >>> optimizer = fg.optim.LBFGS([w], line_search=True)
    >>> loss = optimizer.step(lambda: ((w - 1.0) ** 4).sum())
    >>> [round(x, 1) for x in w.tolist()]
    [1.0, 1.0]
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1.0,
        *,
        max_iter: int = 20,
        history_size: int = 100,
        line_search: bool = False,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
    ) -> None:
        check("lr", lr, lr > 0, "a positive number")
        check("max_iter", max_iter, max_iter >= 1, "1 or more")
        check("history_size", history_size, history_size >= 1, "1 or more")
        self.params = list(params)
        check_params("LBFGS", self.params)
        self.lr, self.max_iter, self.line_search = lr, max_iter, line_search
        self.tolerance_grad, self.tolerance_change = tolerance_grad, tolerance_change
        self.n_evaluations = 0
        self._pairs: deque[tuple[Array, Array]] = deque(maxlen=history_size)
        self._started = False

    def step(self, loss: Callable[[], Tensor]) -> float:
        """Minimize for up to max_iter iterations.

        Parameters
        ----------
        loss : callable
            Computes the loss at the present weights; the gradient is taken here.

        Returns
        -------
        float
            The loss before the first iteration.

        Raises
        ------
        RecipeError
            If the loss does not depend on the parameters.
        """
        w = np.concatenate([p.data.ravel() for p in self.params]).astype(np.float64)
        first, g = self._evaluate(loss, w)
        value = first
        for _ in range(self.max_iter):
            if np.abs(g).max(initial=0.0) <= self.tolerance_grad:
                break
            direction = self._direction(g)
            slope = _dot(g, direction)
            length = self.lr
            if not self._started:
                length *= min(1.0, 1.0 / float(np.abs(g).sum()))
            if slope > -self.tolerance_change:
                break
            if self.line_search:
                along = partial(self._along, loss, w, direction)
                length, new_value, new_g = _strong_wolfe(along, value, slope, length)
            else:
                new_value, new_g = self._evaluate(loss, w + length * direction)
            w = w + length * direction
            self._started = True
            change = float(np.abs(length * direction).max(initial=0.0))
            done = change <= self.tolerance_change or abs(new_value - value) < self.tolerance_change
            value, g, before = new_value, new_g, g
            self._remember(length * direction, g - before)
            if done:
                break
        self._put(w)
        return first

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.params:
            parameter.grad = None

    def _put(self, w: Array) -> None:
        start = 0
        for p in self.params:
            p.assign(w[start : start + p.size].reshape(p.shape))
            start += p.size

    def _evaluate(self, loss: Callable[[], Tensor], w: Array) -> tuple[float, Array]:
        self._put(w)
        self.zero_grad()
        y = loss()
        self.n_evaluations += 1
        if not y.requires_grad:
            raise RecipeError("LBFGS: the loss does not depend on the parameters.")
        y.backward()
        parts = [
            np.zeros(p.size) if p.grad is None else p.grad.data.ravel().astype(np.float64)
            for p in self.params
        ]
        return float(y.item()), np.concatenate(parts)

    def _along(
        self, loss: Callable[[], Tensor], w: Array, direction: Array, length: float
    ) -> tuple[float, float, Array]:
        """Loss and slope at a length, and the gradient."""
        value, g = self._evaluate(loss, w + length * direction)
        return value, _dot(g, direction), g

    def _remember(self, s: Array, y: Array) -> None:
        if _dot(s, y) > 1e-10:  # the Hessian stays positive
            self._pairs.append((s, y))

    def _direction(self, g: Array) -> Array:
        """-H g by the two-loop recursion."""
        q = -g
        taken: list[tuple[float, float, Array, Array]] = []
        for s, y in reversed(self._pairs):
            rho = 1.0 / _dot(s, y)
            a = rho * _dot(s, q)
            q = q - a * y
            taken.append((rho, a, s, y))
        if self._pairs:
            s, y = self._pairs[-1]
            q = q * (_dot(s, y) / _dot(y, y))
        for rho, a, s, y in reversed(taken):
            q = q + (a - rho * _dot(y, q)) * s
        return q


def _dot(x: Array, y: Array) -> float:
    """Sum of products, in an order that does not depend on the number of threads."""
    return float((x * y).sum())


def _strong_wolfe(
    along: Callable[[float], tuple[float, float, Any]],
    value: float,
    slope: float,
    first: float,
    c1: float = 1e-4,
    c2: float = 0.9,
) -> tuple[float, float, Any]:
    """A length with f(a) <= f(0) + c1 a f'(0) and |f'(a)| <= c2 |f'(0)|: length, loss, gradient."""
    low: tuple[float, float, float] = (0.0, value, slope)
    a = first
    for i in range(25):
        new_value, new_slope, g = along(a)
        if not new_value <= value + c1 * a * slope or (i and new_value >= low[1]):
            return _zoom(along, low, (a, new_value, new_slope), value, slope, c1, c2)
        if abs(new_slope) <= -c2 * slope:
            return a, new_value, g
        if new_slope >= 0:
            return _zoom(along, (a, new_value, new_slope), low, value, slope, c1, c2)
        low, a = (a, new_value, new_slope), 2.0 * a
    return low[0], new_value, g


def _zoom(
    along: Callable[[float], tuple[float, float, Any]],
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    value: float,
    slope: float,
    c1: float,
    c2: float,
) -> tuple[float, float, Any]:
    """The same between two lengths, of which `low` has the lower loss."""
    for _ in range(25):
        a = _cubic_minimum(low, high)
        new_value, new_slope, g = along(a)
        if not new_value <= value + c1 * a * slope or new_value >= low[1]:
            high = (a, new_value, new_slope)
            continue
        if abs(new_slope) <= -c2 * slope:
            return a, new_value, g
        if new_slope * (high[0] - low[0]) >= 0:
            high = low
        low = (a, new_value, new_slope)
    new_value, _, g = along(low[0])
    return low[0], new_value, g


def _cubic_minimum(p: tuple[float, float, float], q: tuple[float, float, float]) -> float:
    """Where the cubic with these values and slopes is lowest, well inside the interval."""
    (a, fa, da), (b, fb, db) = p, q
    middle, inside = (a + b) / 2, 0.1 * abs(b - a)
    d1 = da + db - 3 * (fa - fb) / (a - b)
    root = d1 * d1 - da * db
    if not np.isfinite(root) or root < 0:
        return middle
    d2 = float(np.sign(b - a) * np.sqrt(root))
    if db - da + 2 * d2 == 0:
        return middle
    found = b - (b - a) * (db + d2 - d1) / (db - da + 2 * d2)
    return float(np.clip(found, min(a, b) + inside, max(a, b) - inside))
