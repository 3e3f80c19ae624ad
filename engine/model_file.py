"""Model files: the weights of a trained network, and in words of its field how to use them.

A model file is a checkpoint (safetensors) whose text says what kind of model it holds, which
version wrote it, and, as JSON, what must be known beside the weights: settings of the network,
units, names of labels.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine import checkpoint
from fieldgrad.engine.errors import FileError

__all__ = ["ModelFile"]


@dataclass(frozen=True)
class ModelFile:
    """One kind of model file: what it is called, how it is written and read.

    Parameters
    ----------
    kind : str
        The class whose models it holds, such as ``"fieldgrad.neuro.Segmenter"``.
    noun : str
        What a user calls that, for messages: ``"segmentation model"``.
    source : str
        Where such files come from, for messages: ``"a training run"``.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from fieldgrad.engine.model_file import ModelFile
    >>> spectra = ModelFile("astro.Spectra", "model of spectra", "fieldgrad astro train")
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> spectra.write(path, {"weight": np.ones(3, np.float32)}, {"unit": "nm"})
    >>> with spectra.read(path) as (arrays, description):
    ...     print(arrays["weight"], description["unit"])
    [1. 1. 1.] nm
    """

    kind: str
    noun: str
    source: str

    def write(
        self,
        path: str | os.PathLike[str],
        arrays: Mapping[str, NDArray[np.generic]],
        description: Mapping[str, Any],
    ) -> None:
        """Write a model file, whole or not at all.

        Parameters
        ----------
        path : path-like
            The .safetensors file; an older one is replaced.
        arrays : mapping of str to ndarray
            The weights, and other numbers that belong to them.
        description : mapping
            What must be known beside them, of values that JSON has.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        text = {
            "kind": self.kind,
            "version": metadata.version("fieldgrad"),
            "description": json.dumps(description, indent=1),
        }
        checkpoint.save(path, arrays, text)

    @contextmanager
    def read(
        self, path: str | os.PathLike[str]
    ) -> Iterator[tuple[dict[str, NDArray[Any]], dict[str, Any]]]:
        """Read a model file, and refuse it if the model cannot be made from what it holds.

        Parameters
        ----------
        path : path-like
            File that `write` wrote.

        Yields
        ------
        arrays : dict of str to ndarray
            The weights and other numbers.
        description : dict
            What was described beside them.

        Raises
        ------
        FileError
            If the file is missing, damaged or of another kind; or if the block under ``with``
            finds a name missing or a value wrong (KeyError, TypeError, ValueError).
        """
        name = os.fspath(path)
        arrays, text = checkpoint.load(path)
        if text.get("kind") != self.kind:
            held = f" (it holds {text['kind']})" if "kind" in text else ""
            raise FileError(
                f"{name} is no {self.noun}{held}; expected the model.safetensors of {self.source}.",
                path,
            )
        try:
            yield arrays, json.loads(text["description"])
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{error} is missing" if type(error) is KeyError else f"{error}"
            raise FileError(
                f"{name}: the {self.noun}'s description does not fit its weights "
                f"({reason.rstrip('.')}); it was written by fieldgrad "
                f"{text.get('version', 'of unknown version')}. Train it again, or use that "
                "version.",
                path,
            ) from error
