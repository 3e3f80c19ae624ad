"""The Regressor: a trained network that estimates a number of each jet, such as its mass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.train.learner import Learner
from fieldgrad.engine.train.metrics import Metric
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.features import KINEMATIC
from fieldgrad.physics.jets.preprocessing import Preprocessing, Variable
from fieldgrad.physics.reading.streams import JetStream
from fieldgrad.physics.tagging import losses
from fieldgrad.physics.tagging.inputs import jet_column
from fieldgrad.physics.tagging.model import JetModel, Jets
from fieldgrad.physics.tagging.network import make_network
from fieldgrad.physics.tagging.pictures import draw_response
from fieldgrad.physics.tagging.validation import Errors

__all__ = ["Regressor"]


class Regressor(JetModel):
    """A network with the inputs, constants and target that belong to it.

    Make one with `build`, read one with `load`.

    Parameters
    ----------
    network : Module
        One of `fieldgrad.physics.models`, or an `Ensemble` of such.
    settings : mapping
        The keyword arguments that each network was made with.
    preprocessing : Preprocessing
        The inputs and the constants of their standardization.
    target : str
        What is estimated: an observer or observable of the jets.
    center, scale : float
        What standardizes the target: (t - center) · scale.
    quantiles : sequence of float, optional
        What the outputs are: quantiles of the target, ascending; without any, one estimate.
    description : str, optional
        The analysis description that the jets were read with, as `DataConfig.to_json` gives it.
    about : mapping of str to str, optional
        How it was made: recipe, data.

    Examples
    --------
    >>> from fieldgrad.physics.reading.datasets import made_up_jets
    >>> jets = made_up_jets(100)
    >>> regressor = Regressor.build("pfn", jets, target="jet_mass", quantiles=[0.16, 0.5, 0.84])
    >>> regressor.fit(jets, budget="1 epochs").step
    1
    >>> list(regressor.columns(regressor.predict(jets)))
    ['predicted_jet_mass_q16', 'predicted_jet_mass_q50', 'predicted_jet_mass_q84']
    """

    _loss = staticmethod(losses.log_cosh)

    def __init__(
        self,
        network: Module,
        settings: Mapping[str, Any],
        preprocessing: Preprocessing,
        target: str,
        *,
        center: float,
        scale: float,
        quantiles: Sequence[float] = (),
        description: str | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(network, settings, preprocessing, description=description, about=about)
        self.target, self.center, self.scale = target, center, scale
        self.quantiles = tuple(quantiles)

    @classmethod
    def build(
        cls,
        model: str | Callable[..., Module],
        jets: Jets,
        *,
        target: str,
        quantiles: Sequence[float] = (),
        preprocessing: Preprocessing = KINEMATIC,
        observables: Sequence[str] = (),
        description: str | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> Regressor:
        """Make a new regressor for jets like these.

        Parameters
        ----------
        model : str or callable
            As for `Tagger.build`.
        jets : JetBatch or JetStream
            Training jets, by which constants of inputs and target are found; of a stream, a
            sample.
        target : str
            What is to be estimated: an observer or observable of the jets.
        quantiles : sequence of float, optional
            Quantiles to learn, such as (0.16, 0.5, 0.84); without any, one estimate.
        preprocessing : Preprocessing, default `KINEMATIC`
            The inputs.
        observables : sequence of str, optional
            Observables of the jet that the network sees beside the constituents.
        description : str, optional
            The analysis description that the jets were read with.
        seed : int, default 0
            Of the initial weights.
        **settings : object
            Settings of the model.

        Returns
        -------
        Regressor
            Not trained yet.

        Raises
        ------
        DataError
            If the jets lack the target or a column, or the quantiles do not rise in (0, 1).
        RecipeError
            If there is no such model, or it has no such setting.
        """
        levels = [0.0, *quantiles, 1.0]
        if any(low >= high for low, high in pairwise(levels)):
            raise DataError(
                f"Regressor: quantiles are {list(quantiles)}; expected rising numbers between 0 "
                "and 1, such as [0.16, 0.5, 0.84]."
            )
        if target in observables:
            raise DataError(
                f"Regressor: the target {target!r} is among the observables that the network sees, "
                "which would only copy it. Leave it out of them."
            )
        some = jets.sample() if isinstance(jets, JetStream) else jets
        fitted = Variable(target, center="auto").fitted(jet_column(some, target))
        network, settings, inputs = make_network(
            model,
            some,
            max(len(quantiles), 1),
            preprocessing=preprocessing,
            observables=observables,
            seed=seed,
            settings=settings,
        )
        assert isinstance(fitted.center, float)
        return cls(
            network,
            settings,
            inputs,
            target,
            center=fitted.center,
            scale=fitted.scale,
            quantiles=quantiles,
            description=description,
        )

    def targets(self, jets: JetBatch) -> tuple[NDArray[Any], ...]:
        """Give the standardized target.

        Parameters
        ----------
        jets : JetBatch
            With the target.

        Returns
        -------
        tuple of ndarray of float32, shape (n_jets,)
            (t - center) · scale.

        Raises
        ------
        DataError
            If the jets lack the target, or it is not finite.
        """
        values = jet_column(jets, self.target)
        return (((values - self.center) * self.scale).astype(np.float32),)

    def learner(self, train: Jets, valid: Jets | None = None, **options: Any) -> Learner:
        """Make the learner that trains the network in place.

        Parameters
        ----------
        train, valid : JetBatch or JetStream
            Jets with the target and weights, to train on and to watch.
        **options : object
            As for `JetModel.learner`; the loss is LogCosh, or with quantiles the pinball loss.

        Returns
        -------
        Learner
            Not trained yet.
        """
        if options.get("loss") is None and self.quantiles:
            options["loss"] = partial(losses.quantile, q=self.quantiles)
        return super().learner(train, valid, **options)

    def predict(self, jets: Any, **options: Any) -> NDArray[np.float32]:
        """Estimates, in the units of the target.

        Parameters
        ----------
        jets : JetBatch or awkward.Array
            Any jets.
        **options : object
            ``batch_size`` and ``progress``, as for `outputs`.

        Returns
        -------
        ndarray of float32, shape (n_jets, n_outputs)
            In the order of the jets: the estimate, or the quantiles, ascending.

        Raises
        ------
        DataError
            If the jets lack a column that the network sees.

        References
        ----------
        Chernozhukov, Fernández-Val, Galichon, "Quantile and probability curves without crossing",
        Econometrica 78 (2010) 1093: quantiles that cross are put in order, which is never worse.
        """
        found = self.outputs(jets, **options) / self.scale + self.center
        return np.sort(found, axis=1).astype(np.float32)

    def columns(self, prediction: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Name the columns of a prediction: ``predicted_…``, by quantile if there are any.

        Parameters
        ----------
        prediction : ndarray, shape (n_jets, n_outputs)
            From `predict`.

        Returns
        -------
        dict of str to ndarray, shape (n_jets,)
            By name.
        """
        name = f"predicted_{self.target}"
        tails = [f"_q{100 * q:g}".replace(".", "p") for q in self.quantiles] or [""]
        return {f"{name}{tail}": prediction[:, k] for k, tail in enumerate(tails)}

    @property
    def estimate(self) -> int:
        """Which output stands for the target: the only one, or the quantile nearest to 0.5."""
        return int(np.argmin(np.abs(np.asarray(self.quantiles or [0.5]) - 0.5)))

    @property
    def _n_outputs(self) -> int:
        return max(len(self.quantiles), 1)

    def _metrics(self) -> list[Metric]:
        return [Errors(self.estimate, self.center, self.scale)]

    def _draw(self, learner: Learner) -> Mapping[str, bytes]:
        (errors,) = (metric for metric in learner.metrics if isinstance(metric, Errors))
        return draw_response(*errors.seen(), self.target, learner.step)

    def _own_settings(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "center": self.center,
            "scale": self.scale,
            "quantiles": list(self.quantiles),
        }
