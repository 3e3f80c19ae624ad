"""The Tagger: a trained network that tells classes of jets apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import Tensor, no_grad, softmax
from fieldgrad.engine.errors import DataError
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.train.learner import Learner
from fieldgrad.engine.train.metrics import Metric
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.features import KINEMATIC
from fieldgrad.physics.jets.preprocessing import Preprocessing
from fieldgrad.physics.reading.streams import JetStream
from fieldgrad.physics.tagging import losses
from fieldgrad.physics.tagging.model import JetModel, Jets
from fieldgrad.physics.tagging.network import make_network
from fieldgrad.physics.tagging.pictures import draw_scores
from fieldgrad.physics.tagging.validation import ClassScores

__all__ = ["Tagger"]


class Tagger(JetModel):
    """A network with the inputs, constants and class names that belong to it.

    Make one with `build`, read one with `load`.

    Parameters
    ----------
    network : Module
        One of `fieldgrad.physics.models`, or an `Ensemble` of such.
    settings : mapping
        The keyword arguments that each network was made with.
    preprocessing : Preprocessing
        The inputs and the constants of their standardization.
    labels : sequence of str
        Names of the classes, in the order of the network's outputs.
    description : str, optional
        The analysis description that the jets were read with, as `DataConfig.to_json` gives it.
    temperature : float, default 1.0
        What logits are divided by before the softmax; see `fieldgrad.physics.figures.calibration`.
    about : mapping of str to str, optional
        How it was made: recipe, data.

    Examples
    --------
    >>> from fieldgrad.physics.jets.batch import JetBatch
    >>> p = np.random.default_rng(0).normal(size=(40, 3)) + [30.0, 0, 0]
    >>> vectors = np.c_[np.linalg.norm(p, axis=1), p]
    >>> jets = JetBatch(np.arange(0, 41, 4), vectors, labels=[0, 1] * 5, label_names=["QCD", "top"])
    >>> tagger = Tagger.build("pfn", jets)
    >>> tagger.fit(jets, budget="1 epochs").step
    1
    >>> tagger.predict(jets).shape
    (10, 2)
    """

    _loss = staticmethod(losses.cross_entropy)

    def __init__(
        self,
        network: Module,
        settings: Mapping[str, Any],
        preprocessing: Preprocessing,
        labels: Sequence[str],
        *,
        description: str | None = None,
        temperature: float = 1.0,
        about: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(network, settings, preprocessing, description=description, about=about)
        self.label_names = tuple(labels)
        self.temperature = temperature

    @classmethod
    def build(
        cls,
        model: str | Callable[..., Module],
        jets: Jets,
        *,
        preprocessing: Preprocessing = KINEMATIC,
        observables: Sequence[str] = (),
        label_names: Sequence[str] = (),
        description: str | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> Tagger:
        """Make a new tagger for jets like these.

        Parameters
        ----------
        model : str or callable
            Name of a model (``"pfn"``, ``"particle_net_lite"``, …; see
            `fieldgrad.physics.tagging.network.model_class`), or one of the classes of
            `fieldgrad.physics.models`, perhaps with settings bound to it.
        jets : JetBatch or JetStream
            Training jets, by which constants of the inputs are found; of a stream, a sample.
        preprocessing : Preprocessing, default `KINEMATIC`
            The inputs.
        observables : sequence of str, optional
            Observables of the jet that the network sees beside the constituents.
        label_names : sequence of str, optional
            Names of the classes; default those of the jets.
        description : str, optional
            The analysis description that the jets were read with.
        seed : int, default 0
            Of the initial weights.
        **settings : object
            Settings of the model.

        Returns
        -------
        Tagger
            Not trained yet.

        Raises
        ------
        DataError
            If the jets have no labels, or lack a column.
        RecipeError
            If there is no such model, or it has no such setting.
        """
        some = jets.sample() if isinstance(jets, JetStream) else jets
        names = tuple(label_names) or some.label_names
        if not names and some.labels is not None:
            names = tuple(f"class_{i}" for i in range(int(some.labels.max(initial=1)) + 1))
        if len(names) < 2:
            raise DataError(
                f"Tagger: {len(names)} classes ({', '.join(names) or 'no labels'}); expected at "
                "least two. Read the jets with their labels."
            )
        network, settings, fitted = make_network(
            model,
            some,
            len(names),
            preprocessing=preprocessing,
            observables=observables,
            seed=seed,
            settings=settings,
        )
        return cls(network, settings, fitted, names, description=description)

    def targets(self, jets: JetBatch) -> tuple[NDArray[Any], ...]:
        """Give the labels of jets.

        Parameters
        ----------
        jets : JetBatch
            With labels.

        Returns
        -------
        tuple of ndarray of int64, shape (n_jets,)
            The class of each jet.

        Raises
        ------
        DataError
            If there are no labels, or one is no class of the tagger.
        """
        if jets.labels is None:
            raise DataError("Tagger: the jets have no labels; read them with their labels.")
        if len(jets) and jets.labels.max() >= len(self.label_names):
            raise DataError(
                f"Tagger: a jet has the label {jets.labels.max()}; the classes are "
                f"{', '.join(self.label_names)}. Train a tagger with all classes."
            )
        return (jets.labels,)

    def predict(self, jets: Any, **options: Any) -> NDArray[np.float32]:
        """Probabilities of the classes.

        Parameters
        ----------
        jets : JetBatch or awkward.Array
            Any jets; an awkward array holds the four-vectors of the constituents of each, see
            `JetBatch.from_awkward`.
        **options : object
            ``batch_size`` and ``progress``, as for `outputs`.

        Returns
        -------
        ndarray of float32, shape (n_jets, n_classes)
            In the order of the jets; each row sums to 1.

        Raises
        ------
        DataError
            If the jets lack a column that the network sees.
        """
        logits = self.outputs(jets, **options)
        with no_grad():
            return np.array(softmax(Tensor(logits / np.float32(self.temperature)), axis=1))

    def columns(self, prediction: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Name the columns of a prediction: ``score_…`` by class.

        Parameters
        ----------
        prediction : ndarray, shape (n_jets, n_classes)
            From `predict`.

        Returns
        -------
        dict of str to ndarray, shape (n_jets,)
            By name.
        """
        return {f"score_{name}": prediction[:, k] for k, name in enumerate(self.label_names)}

    @property
    def _n_outputs(self) -> int:
        return len(self.label_names)

    def _metrics(self) -> list[Metric]:
        return [ClassScores()]

    def _draw(self, learner: Learner) -> Mapping[str, bytes]:
        (scores,) = (metric for metric in learner.metrics if isinstance(metric, ClassScores))
        return draw_scores(*scores.seen(), self.label_names, learner.step)

    def _own_settings(self) -> dict[str, Any]:
        return {"labels": list(self.label_names), "temperature": self.temperature}
