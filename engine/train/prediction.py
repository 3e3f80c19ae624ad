"""Predictions for whole data sets, averaged over views of the data and over models."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.autograd import no_grad
from fieldgrad.engine.data import Loader, as_tensors
from fieldgrad.engine.errors import DataError
from fieldgrad.engine.nn.module import Module, ModuleList
from fieldgrad.engine.ops.layout import flip

if TYPE_CHECKING:
    from fieldgrad.engine.train.learner import Learner

__all__ = ["Ensemble", "Predictions", "View", "flips", "members", "predict", "restore"]

# How to change the model's input, and how to change its prediction back.
View: TypeAlias = tuple[Callable[[Any], Any], Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Predictions:
    """What a model gives for a data set, and what it should have given.

    Parameters
    ----------
    prediction : ndarray, shape (n_items, ...)
        Predictions of all items, in order.
    targets : tuple of ndarray, shape (n_items, ...)
        The other entries of the batches.
    """

    prediction: NDArray[Any]
    targets: tuple[NDArray[Any], ...]


def members(network: Module) -> list[Module]:
    """List the networks of an ensemble, or the one that is none.

    Parameters
    ----------
    network : Module
        An `Ensemble` or any other network.

    Returns
    -------
    list of Module
        At least one.
    """
    return list(network.members) if isinstance(network, Ensemble) else [network]


def restore(make: Callable[[], Module], arrays: dict[str, NDArray[Any]]) -> Module:
    """Build a network from its weights, or the ensemble of several if the weights are of one.

    Parameters
    ----------
    make : callable
        Gives a new network.
    arrays : dict of str to ndarray
        As ``state_dict`` of the network, or of an `Ensemble` of such.

    Returns
    -------
    Module
        With these weights.

    Raises
    ------
    KeyError, ShapeError
        If the weights are of another network.
    """
    numbers = {name.split(".")[1] for name in arrays if name.startswith("members.")}
    network = Ensemble(make() for _ in numbers) if numbers else make()
    network.load_state_dict(arrays)
    return network


class Ensemble(Module):
    """The mean of several models' predictions.

    Parameters
    ----------
    models : iterable of Module
        Models for the same task, such as those of a cross-validation.
    activation : callable, optional
        Applied to each prediction before the mean, such as ``softmax``, so that probabilities and
        not scores are averaged.

    References
    ----------
    Lakshminarayanan, Pritzel, Blundell, "Simple and scalable predictive uncertainty estimation
    using deep ensembles", NeurIPS 2017, arXiv:1612.01474, section 2.4.
    """

    def __init__(
        self, models: Iterable[Module], activation: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        self.members = ModuleList(models)
        self.activation = activation
        if not len(self.members):
            raise DataError("Ensemble: there is no model; expected at least one.")

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Give the mean of the members' predictions."""
        total = None
        for member in self.members:
            found = member(*args, **kwargs)
            found = found if self.activation is None else self.activation(found)
            total = found if total is None else total + found
        assert total is not None
        return total * (1.0 / len(self.members))


def flips(axes: Sequence[int], *, back: bool = True) -> list[View]:
    """Make the views of an image that is mirrored along every combination of some axes.

    Parameters
    ----------
    axes : sequence of int
        Axes of the model's input, such as (2, 3) of (batch, channel, n0, n1).
    back : bool, default True
        Whether the prediction is an image with the same axes, to be mirrored back; False where it
        is one answer for the whole image.

    Returns
    -------
    list of View
        ``2 ** len(axes) - 1`` views, without the image as it is.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> [(change, undo)] = flips([1])
    >>> change(fg.tensor([[1.0, 2.0]])).tolist()
    [[2.0, 1.0]]
    """
    sets = chain.from_iterable(combinations(axes, n) for n in range(1, len(axes) + 1))

    def view(chosen: tuple[int, ...]) -> View:
        def mirror(x: Tensor) -> Tensor:
            return flip(x, axis=chosen)

        return (mirror, mirror) if back else (mirror, lambda prediction: prediction)

    return [view(chosen) for chosen in sets]


def predict(
    learner: "Learner", data: Loader | None, views: bool | Sequence[View] = False
) -> Predictions:
    """Apply a learner's model to data; see `Learner.predict`.

    Parameters
    ----------
    learner : Learner
        Its model is used, in evaluation mode.
    data : Loader or None
        Batches; the learner's validation data if None.
    views : bool or sequence of View, default False
        Further views of the data, over which is averaged; True for the learner's own.

    Returns
    -------
    Predictions
        Of all items, in order.

    Raises
    ------
    DataError
        If there are no data, or batches differ in anything but their length, or the learner has
        no views of its own.
    """
    if isinstance(views, bool):
        if views and not learner.views:
            raise DataError(
                "predict: tta=True, and training has seen the data from no other side (mirrored, "
                "for instance), so that other views are strange to the model.\nTrain with such an "
                "augmentation, or pass views that you have reasons for: tta=flips([2])."
            )
        views = learner.views if views else ()
    data = learner.valid if data is None else data
    if data is None:
        raise DataError("predict: there are no validation data. Pass a Loader.")
    model, training = learner.model, learner.model.training
    found: list[NDArray[Any]] = []
    wanted: list[list[NDArray[Any]]] = []
    model.eval()
    try:
        with no_grad():
            for arrays in data.iterate(0):
                x, *targets = as_tensors(arrays)
                total = model(x)
                for change, undo in views:
                    total = total + undo(model(change(x)))
                found.append(np.asarray(total * (1.0 / (1 + len(views)))))
                wanted.append([np.asarray(target) for target in targets])
    finally:
        model.train(training)
    try:
        targets = tuple(np.concatenate(column) for column in zip(*wanted, strict=True))
        return Predictions(np.concatenate(found), targets)
    except ValueError as error:
        raise DataError(
            f"predict: the batches cannot be joined ({error}). Give a Loader with batches of one "
            "shape, or apply the model yourself."
        ) from error
