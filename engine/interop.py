"""Weights from and to other libraries, as named arrays; none of them is imported."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine.errors import DataError, ShapeError, suggest
from fieldgrad.engine.nn.module import Module
from fieldgrad.engine.nn.norm import BatchNorm

__all__ = ["from_torch_state_dict", "to_torch_state_dict"]

# PyTorch's batch norms count their batches, which nothing here depends on.
_COUNTER = "num_batches_tracked"


def from_torch_state_dict(
    model: Module, state: Mapping[str, Any], *, prefix: str = ""
) -> dict[str, NDArray[Any]]:
    """A state of PyTorch as one of a model here, checked name by name.

    Layers of both have the same names and shapes, in the same order of gates and heads, so that a
    model with the same attributes takes PyTorch's weights as they are.

    Parameters
    ----------
    model : Module
        That the state is for.
    state : mapping of str to array or torch.Tensor
        As from PyTorch's ``state_dict()``, or from a safetensors file.
    prefix : str, default ""
        What to take off the names, such as "module."; other names are left out.

    Returns
    -------
    dict of str to ndarray
        For ``model.load_state_dict``.

    Raises
    ------
    DataError
        If the model has a name that the state lacks, or the other way around.
    ShapeError
        If an array has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> import fieldgrad.engine as fg
    >>> layer = fg.nn.Linear(2, 1, bias=False)
    >>> state = {"module.weight": np.array([[3.0, 4.0]])}
    >>> layer.load_state_dict(fg.interop.from_torch_state_dict(layer, state, prefix="module."))
    >>> layer.weight.tolist()
    [[3.0, 4.0]]
    """
    given = {
        name.removeprefix(prefix): value
        for name, value in state.items()
        if name.startswith(prefix) and name.rpartition(".")[2] != _COUNTER
    }
    own = model.state_dict()
    missing, unknown = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    if missing or unknown:
        hint = suggest(missing[0], unknown) if missing else ""
        raise DataError(
            f"from_torch_state_dict: the state lacks {missing[:3]} and has unknown {unknown[:3]} "
            f"({len(missing)} and {len(unknown)} names){hint} Expected the names of "
            f"{type(model).__name__}.state_dict(): name its attributes as PyTorch's, or rename."
        )
    found = {name: _array(given[name]) for name in own}
    for name, array in found.items():
        if array.shape != own[name].shape:
            raise ShapeError(
                f"from_torch_state_dict: {name} has shape {array.shape} in the state, but "
                f"{own[name].shape} in {type(model).__name__}. Build it with the same sizes."
            )
    return found


def to_torch_state_dict(model: Module) -> dict[str, NDArray[Any]]:
    """The state of a model with all the names that PyTorch expects.

    Parameters
    ----------
    model : Module
        Of layers that PyTorch has too.

    Returns
    -------
    dict of str to ndarray
        For ``{name: torch.from_numpy(array)}`` and PyTorch's ``load_state_dict``.
    """
    counters = {
        f"{name}.{_COUNTER}" if name else _COUNTER: np.zeros((), np.int64)
        for name, module in model.named_modules()
        if isinstance(module, BatchNorm)
    }
    return {**model.state_dict(), **counters}


def _array(value: Any) -> NDArray[Any]:
    """The values of an array, or of a tensor of PyTorch without importing it."""
    if hasattr(value, "detach"):
        value = value.detach()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        value = value.cpu().numpy() if hasattr(value, "cpu") else value
    return np.asarray(value)
