"""A fresh network for given jets: its sizes and the constants of its inputs follow from them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from fieldgrad.engine.errors import DataError, RecipeError, suggest
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.ops.random import manual_seed
from fieldgrad.physics import models
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.preprocessing import Preprocessing
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.tagging.inputs import seeing_observables, with_columns

__all__ = ["as_described", "make_network", "model_class", "roles_of"]

# What the data say about a model's size.
_SIZES = ("in_features", "n_outputs", "n_observables")


def make_network(
    model: str | Callable[..., Module],
    jets: JetBatch,
    n_outputs: int,
    *,
    preprocessing: Preprocessing,
    observables: Sequence[str] = (),
    seed: int = 0,
    settings: Mapping[str, Any],
) -> tuple[Module, dict[str, Any], Preprocessing]:
    """Make a new network for jets like these.

    Parameters
    ----------
    model : str or callable
        Name of a model, or one of the classes of `fieldgrad.physics.models`, perhaps with settings
        bound to it.
    jets : JetBatch
        Jets by which constants of the inputs are found.
    n_outputs : int
        Number of outputs.
    preprocessing : Preprocessing
        The inputs.
    observables : sequence of str, optional
        Observables of the jet that the network sees beside the constituents.
    seed : int, default 0
        Of the initial weights.
    settings : mapping
        Settings of the model.

    Returns
    -------
    network : Module
        With fresh weights.
    settings : dict
        All that it was made with.
    preprocessing : Preprocessing
        With every constant.

    Raises
    ------
    DataError
        If the jets lack a column.
    RecipeError
        If there is no such model, or it has no such setting.
    """
    made: Any = model_class(model) if isinstance(model, str) else model
    if isinstance(made, partial):
        made, settings = made.func, {**made.keywords, **settings}
    if observables:
        preprocessing = seeing_observables(preprocessing, observables)
    parameters = inspect.signature(made).parameters
    settings = {key: value for key, value in settings.items() if key not in _SIZES}
    unknown = [key for key in settings if key not in parameters]
    if unknown:
        own = [key for key in parameters if key not in _SIZES]
        raise RecipeError(
            f"{made.__name__} has no setting {unknown[0]!r}{suggest(unknown[0], own)}. "
            f"Settings: {', '.join(own)}."
        )
    with_jets = "observables" in preprocessing
    if "observables" in getattr(made, "inputs", ()) and not with_jets:
        raise DataError(
            f"{made.__name__} sees observables of the jet, and none are given. Give "
            f"observables=[…] of {', '.join(jets.observables) or 'the jets, which have none'}."
        )
    used = roles_of(made, preprocessing)
    fitted = preprocessing.fit(with_columns(jets, preprocessing, used))
    sizes = {
        "in_features": len(fitted.group("features").names) if "features" in used else 0,
        "n_outputs": n_outputs,
        "n_observables": len(fitted.group("observables").names) if with_jets else 0,
    }
    settings = {key: size for key, size in sizes.items() if key in parameters} | settings
    manual_seed(seed)
    return made(**settings), settings, fitted


def model_class(name: str) -> Callable[..., Module]:
    """Find a model by its name.

    Parameters
    ----------
    name : str
        Name of a class of `fieldgrad.physics.models`, such as "ParticleNetLite", or the same in
        small letters with or without underscores, such as "particle_net_lite".

    Returns
    -------
    type
        The class.

    Raises
    ------
    RecipeError
        If there is none of this name.

    Examples
    --------
    >>> model_class("particle_net").__name__
    'ParticleNet'
    """
    found = {known.lower(): known for known in models.__all__}
    key = name.lower().replace("_", "").replace("-", "")
    if key not in found:
        raise RecipeError(
            f"there is no model {name!r}{suggest(name, models.__all__) or '.'} Models: "
            f"{', '.join(models.__all__)}."
        )
    made: Callable[..., Module] = getattr(models, found[key])
    return made


def as_described(description: DataConfig | None) -> dict[str, Any]:
    """Give the inputs and the description of a model, as jets were read.

    Parameters
    ----------
    description : DataConfig or None
        What they were read with; None for jets that came from memory.

    Returns
    -------
    dict
        Keyword arguments of `Tagger.build` and `Regressor.build`.
    """
    if description is None:
        return {}
    return {"preprocessing": description.inputs, "description": description.to_json()}


def roles_of(network: Any, preprocessing: Preprocessing) -> tuple[str, ...]:
    """Name the arrays that a network sees.

    Parameters
    ----------
    network : Module or type
        The network, or its class.
    preprocessing : Preprocessing
        The inputs.

    Returns
    -------
    tuple of str
        Observables of the jet last.
    """
    roles = tuple(getattr(network, "inputs", ()))
    extra = "observables" in preprocessing and "observables" not in roles
    return (*roles, "observables") if extra else roles
