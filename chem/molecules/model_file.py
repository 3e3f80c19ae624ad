"""The file of a Predictor: weights as arrays, everything else as text; reading it runs no code."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from importlib import metadata
from typing import Any

from numpy.typing import NDArray

from fieldgrad.chem.molecules.calibration import (
    Calibration,
    PlattScaling,
    TemperatureScaling,
)
from fieldgrad.chem.molecules.descriptors import Scaler, n_descriptors
from fieldgrad.chem.molecules.estimates import Domain
from fieldgrad.chem.molecules.predictor import MODELS, Predictor
from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.engine.model_file import ModelFile
from fieldgrad.engine.nn.module import Module

__all__ = ["read_model", "write_model"]

MODEL_FILE = ModelFile("fieldgrad.chem.Predictor", "model of molecules", "fieldgrad chem train")
_SETTINGS = ("descriptors", "task", "n_models", "variance")


def write_model(predictor: Predictor, path: str | os.PathLike[str]) -> None:
    """Write a model file; see `Predictor.save`.

    Parameters
    ----------
    predictor : Predictor
        A fitted one.
    path : path-like
        The .safetensors file.

    Raises
    ------
    FileError
        If the file cannot be written.
    DataError
        If the model has not been fitted.
    """
    if not predictor.networks:
        raise DataError("this Predictor has not been fitted. Call fit first.")
    arrays = _named(
        {
            "labels": {"mean": predictor.mean, "scale": predictor.scale},
            "calibration": vars(predictor.calibration),
            "scaler": {} if predictor.scaler is None else vars(predictor.scaler),
            **{f"network.{i}": net.state_dict() for i, net in enumerate(predictor.networks)},
        }
    )
    description = {name: getattr(predictor, name) for name in _SETTINGS} | {
        "model": _describe_model(predictor.model),
        "targets": predictor.targets,
        "classes": predictor.classes,
        "flat": predictor.flat,
        "domain": asdict(predictor.domain),
        "about": predictor.about,
        "rdkit": metadata.version("rdkit"),
    }
    MODEL_FILE.write(path, arrays, description)


def read_model(
    path: str | os.PathLike[str], model: Callable[..., Module] | None = None
) -> Predictor:
    """Read a model file; see `Predictor.load`.

    Parameters
    ----------
    path : path-like
        File that `write_model` wrote.
    model : callable, optional
        What the network was made with, if that was a callable of the user's own.

    Returns
    -------
    Predictor
        Ready to predict.

    Raises
    ------
    FileError
        If the file is missing, damaged, no model of this kind, or of an RDKit with other
        descriptors; or if the network is one of the user's own and `model` is missing.
    """
    with MODEL_FILE.read(path) as (arrays, description):
        return _build(arrays, description, os.fspath(path), model)


def _build(
    arrays: Mapping[str, NDArray[Any]],
    table: Mapping[str, Any],
    name: str,
    model: Callable[..., Module] | None,
) -> Predictor:
    made = model or _model_of(table["model"])
    if made is None:
        raise FileError(
            f"{name} holds a network of your own ({table['model']['name']}). Say how to "
            "make it: Predictor.load(path, model=...).",
            name,
        )
    predictor = Predictor(model=made, **{key: table[key] for key in _SETTINGS})
    predictor.targets, predictor.flat = table["targets"], table["flat"]
    predictor.classes = tuple(map(tuple, table.get("classes", ())))
    predictor.domain = Domain(tuple(table["domain"]["elements"]), table["domain"]["max_atoms"])
    predictor.about = table["about"]
    predictor.mean, predictor.scale = arrays["labels.mean"], arrays["labels.scale"]
    own = _part(arrays, "calibration")
    kinds: dict[str, Any] = {
        "classification": PlattScaling, "multiclass": TemperatureScaling
    }  # fmt: skip
    predictor.calibration = kinds.get(predictor.task, Calibration)(**own)
    width = 0
    if predictor.descriptors != "none":
        predictor.scaler = Scaler(**_part(arrays, "scaler"))
        width = len(predictor.scaler.mean)
        n_now = n_descriptors(predictor.descriptors)
        if n_now != width:
            raise FileError(
                f"{name} was trained with {width} descriptors of RDKit {table['rdkit']}; RDKit "
                f"{metadata.version('rdkit')} has {n_now}. Install that RDKit, or train again.",
                name,
            )
    for i in range(predictor.n_models):
        network = predictor.build_network(width)
        network.load_state_dict(_part(arrays, f"network.{i}"))
        predictor.networks.append(network.eval())
    return predictor


def _named(groups: Mapping[str, Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {f"{g}.{name}": array for g, own in groups.items() for name, array in own.items()}


def _part(arrays: Mapping[str, NDArray[Any]], group: str) -> dict[str, NDArray[Any]]:
    start = f"{group}."
    return {key[len(start) :]: array for key, array in arrays.items() if key.startswith(start)}


def _describe_model(model: str | Callable[..., Module]) -> dict[str, Any]:
    """Say in plain values how a network is made; settings of None mark one that is not ours."""
    if isinstance(model, str):
        return {"name": model, "settings": {}}
    made, settings = model, {}
    if isinstance(model, partial) and not model.args:
        made, settings = model.func, model.keywords
    names = [name for name, known in MODELS.items() if known is made]
    plain = all(isinstance(v, str | int | float | bool | None) for v in settings.values())
    if names and plain:
        return {"name": names[0], "settings": settings}
    return {"name": getattr(made, "__name__", type(made).__name__), "settings": None}


def _model_of(table: Mapping[str, Any]) -> Any:
    if table["settings"] is None:
        return None
    made = MODELS[table["name"]]
    return partial(made, **table["settings"]) if table["settings"] else table["name"]
