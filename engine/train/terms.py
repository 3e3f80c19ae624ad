"""A loss of several terms, whose weights can be turned while the training runs."""

from collections.abc import Callable, Mapping
from typing import Any

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.train.knobs import Knob

__all__ = ["WeightedTerms"]


class WeightedTerms:
    """Weighted sum of losses.

    Parameters
    ----------
    terms : mapping of str to callable
        Losses by name, each called with prediction and targets.
    weights : mapping of str to float, optional
        Their weights; 1 for those left out. The knob of a term is ``weight_<name>``.

    Attributes
    ----------
    last : dict of str to float
        Value of each term, without its weight, in the last batch.

    Raises
    ------
    RecipeError
        If there is no term, or a weight of an unknown one.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> loss = WeightedTerms({"square": lambda y, t: fg.mean((y - t) ** 2),
    ...                       "size": lambda y, t: fg.mean(abs(y))}, {"size": 0.5})
    >>> loss(fg.tensor([1.0, 3.0]), fg.tensor([0.0, 0.0])).item(), loss.last
    (6.0, {'square': 5.0, 'size': 2.0})
    """

    def __init__(
        self, terms: Mapping[str, Callable[..., Tensor]], weights: Mapping[str, float] | None = None
    ) -> None:
        unknown = set(weights or {}) - set(terms)
        if unknown or not terms:
            raise RecipeError(
                f"WeightedTerms: weights of {sorted(unknown)}, but the terms are {sorted(terms)}; "
                "expected at least one term and weights of these."
            )
        self.terms = dict(terms)
        self.weights = {name: float((weights or {}).get(name, 1.0)) for name in terms}
        self.last: dict[str, float] = {}

    def __call__(self, prediction: Any, *targets: Any) -> Tensor:
        values = {name: term(prediction, *targets) for name, term in self.terms.items()}
        self.last = {name: float(value) for name, value in values.items()}
        total = None
        for name, value in values.items():
            part = value * self.weights[name]
            total = part if total is None else total + part
        assert total is not None
        return total

    def knobs(self) -> dict[str, Knob]:
        """Offer the weights.

        Returns
        -------
        dict of str to Knob
            ``weight_<name>`` for each term.
        """
        return {f"weight_{name}": self._knob(name) for name in self.terms}

    def _knob(self, name: str) -> Knob:
        def write(weight: float) -> None:
            self.weights[name] = weight

        return Knob(lambda: self.weights[name], write, f"weight of the loss term {name}", low=0)
