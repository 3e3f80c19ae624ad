"""The state of a training in a checkpoint: all that is needed to go on bit for bit."""

import json
import os
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fieldgrad.engine import checkpoint
from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.ops import random
from fieldgrad.engine.optim import EMA
from fieldgrad.engine.train.events import takes_part

if TYPE_CHECKING:
    from fieldgrad.engine.train.learner import Learner

__all__ = ["load", "load_weights", "save"]


def save(learner: "Learner", path: str | os.PathLike[str]) -> None:
    """Write all that is needed to go on from here to a safetensors file.

    Parameters
    ----------
    learner : Learner
        What is trained; its model, optimizer, callbacks and position are saved.
    path : str or os.PathLike
        The file; an older one is replaced when the new one is complete.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    parts = _parts(learner)
    arrays = {
        f"{part}.{name}": array
        for part, owner in parts.items()
        for name, array in owner.state_dict().items()
    }
    training = {
        "step": learner.step,
        "epoch": learner.epoch,
        "batch_index": learner.batch_index,
        "steps_per_epoch": len(learner.train),
        "finished": learner.finished,
        "elapsed": learner.elapsed,
        "train_loss": [learner.train_loss.total, learner.train_loss.weight],
        "plan": learner.plan.state_dict(),
        "generator": random.get_state(),
        "history": learner.history,
        "knobs": learner.knobs.state(),
        "lr_ratios": getattr(learner.optimizer, "lr_ratios", []),
    }
    checkpoint.save(path, arrays, {**learner.notes, "training": json.dumps(training)})


def load(learner: "Learner", path: str | os.PathLike[str]) -> dict[str, Any]:
    """Take over what `save` wrote.

    Parameters
    ----------
    learner : Learner
        What is trained; its model, optimizer, callbacks and position are replaced.
    path : str or os.PathLike
        A checkpoint of a learner with the same model, optimizer, data and callbacks.

    Returns
    -------
    dict
        What it keeps of the knobs, for `Knobs.load_state`.

    Raises
    ------
    FileError
        If the file is missing, damaged or no checkpoint of a training.
    DataError
        If it does not fit to this learner.
    """
    arrays, text = checkpoint.load(path)
    if "training" not in text:
        raise FileError(f"{path} holds no state of a training. Use last.safetensors.", path)
    training = json.loads(text["training"])
    if training["steps_per_epoch"] != len(learner.train):
        raise DataError(
            f"{path} is of a run with {training['steps_per_epoch']} batches in an epoch, here "
            f"there are {len(learner.train)}. Use the same data and batch size, or start anew."
        )
    parts = _parts(learner)
    strangers = {name.partition(".")[0] for name in arrays} - parts.keys()
    if strangers:
        raise DataError(f"{path} has the state of {sorted(strangers)}, which this learner lacks.")
    for part, owner in parts.items():
        owner.load_state_dict(_part(arrays, part))
    learner.step, learner.epoch = training["step"], training["epoch"]
    learner.batch_index = training["batch_index"]
    learner.finished = training["finished"]
    learner.elapsed = training["elapsed"]
    learner.train_loss.total, learner.train_loss.weight = training["train_loss"]
    learner.plan.load_state_dict(training["plan"])
    learner.history = training["history"]
    random.set_state(training["generator"])
    learner.notes = {key: value for key, value in text.items() if key != "training"}
    if training.get("lr_ratios"):
        learner.optimizer.lr_ratios = training["lr_ratios"]
    return dict(training.get("knobs", {}))


def load_weights(model: Module, path: str | os.PathLike[str]) -> dict[str, str]:
    """Load the weights that validation saw from a checkpoint, to predict with.

    Parameters
    ----------
    model : Module
        Built with the settings of the training.
    path : str or os.PathLike
        A checkpoint of `Learner`, such as ``best.safetensors``. If the run averaged its weights
        (`EMAWeights`), the averages are taken.

    Returns
    -------
    dict of str to str
        The text in the checkpoint, such as the resolved recipe.

    Raises
    ------
    FileError
        If the file is missing or damaged.
    KeyError, ShapeError
        If the weights are of another model.
    """
    arrays, text = checkpoint.load(path)
    model.load_state_dict(_part(arrays, "model"))
    averages = _part(arrays, "EMAWeights")
    if averages:
        average = EMA(model.parameters())
        average.load_state_dict(averages)
        average.swap()
    return text


def _parts(learner: "Learner") -> dict[str, Any]:
    """Give everything with a state_dict, under the name that its arrays begin with."""
    callbacks = {type(c).__name__: c for c in learner.callbacks if takes_part(c, "state_dict")}
    return {"model": learner.model, "optimizer": learner.optimizer, **callbacks}


def _part(arrays: dict[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    start = f"{name}."
    return {key[len(start) :]: array for key, array in arrays.items() if key.startswith(start)}
