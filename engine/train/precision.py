"""Mixed precision: products in bfloat16 where that is faster, all else in float32.

docs/decisions/0006-bfloat16.md has the measurements, and why it is not the default.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.bindings import base_kernels
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.train.events import Callback

if TYPE_CHECKING:
    from fieldgrad.engine.train.learner import Learner

__all__ = ["MixedPrecision", "Precision", "choose_precision", "products_in"]

log = logging.getLogger("fieldgrad.train")

_SIZE, _REPEATS = 512, 5  # of the matrices that are measured
_FASTER = 1.25  # times, or the rounding is not worth it


@dataclass(frozen=True)
class Precision:
    """What products are computed in, and why.

    Parameters
    ----------
    name : {"float32", "bfloat16"}
        What their factors are rounded to; sums are float32.
    reason : str
        Why this and not the other, in a few words.
    """

    name: Literal["float32", "bfloat16"]
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def choose_precision(wanted: str = "auto") -> Precision:
    """Choose the precision of products on this machine.

    Parameters
    ----------
    wanted : {"auto", "float32", "bfloat16"}
        "auto" measures a product of matrices in both and takes bfloat16 where it is clearly
        faster, which needs a processor with AMX.

    Returns
    -------
    Precision
        What to use, with the reason.

    Raises
    ------
    RecipeError
        If bfloat16 is asked for and cannot be had, or the name is unknown.

    Examples
    --------
    >>> choose_precision("float32")
    Precision(name='float32', reason='as set')
    """
    if wanted == "float32":
        return Precision("float32", "as set")
    try:
        with products_in("bfloat16" if wanted == "auto" else wanted):
            rounded = _seconds()
    except RecipeError as error:
        if wanted != "auto":
            raise
        return Precision("float32", str(error).partition(".")[0])
    if wanted == "bfloat16":
        return Precision("bfloat16", "as set")
    with products_in("float32"):
        full = _seconds()
    measured = f"a product of matrices takes {rounded * 1e3:.2g} ms, {full * 1e3:.2g} ms in float32"
    return Precision("bfloat16" if full > _FASTER * rounded else "float32", measured)


@contextmanager
def products_in(name: str) -> Iterator[None]:
    """Within this context, let large products round their factors to bfloat16, or not.

    Matrix products and convolutions of float32 tensors do so, and their gradients that are computed
    here, for sizes where it pays; sums, all other ops, and products of float64 tensors are as ever.
    Like the number of threads, this holds for all threads of the process.

    Parameters
    ----------
    name : {"float32", "bfloat16"}
        The precision.

    Raises
    ------
    RecipeError
        If it is bfloat16 and the kernels in use have none, or the name is unknown.

    Examples
    --------
    >>> from fieldgrad.engine import ones
    >>> with products_in("float32"):
    ...     (ones((2, 3)) @ ones((3, 2))).tolist()
    [[3.0, 3.0], [3.0, 3.0]]
    """
    if name not in ("float32", "bfloat16"):
        raise RecipeError(f"precision is {name!r}; expected auto, float32 or bfloat16.")
    try:
        before = base_kernels.round_products(name == "bfloat16")
    except ValueError as error:
        raise RecipeError(f"{error}. Use float32, or auto.") from error
    try:
        yield
    finally:
        base_kernels.round_products(before)


class MixedPrecision(Callback):
    """Train with products in bfloat16 where that is faster; see `choose_precision`, `products_in`.

    Weights, their gradients and updates, losses, norms and sums are float32.

    Parameters
    ----------
    wanted : {"auto", "float32", "bfloat16"}
        What to use; "auto" measures once, now.

    Attributes
    ----------
    precision : Precision
        What was chosen, and why; the record of the run has it too.

    References
    ----------
    Kalamkar et al., "A study of bfloat16 for deep learning training", 2019, arXiv:1905.12322.
    """

    def __init__(self, wanted: str = "auto") -> None:
        self.precision = choose_precision(wanted)
        self._before = ""

    def __repr__(self) -> str:
        return f"MixedPrecision({self.precision.name})"

    def before_fit(self, learner: "Learner") -> None:
        """Round from now to the end, however it comes."""
        if self._before not in ("", self.precision.name):
            log.warning(
                "the checkpoint was trained in %s; this goes on in %s (%s) and will not end at the "
                "same bits", self._before, self.precision.name, self.precision.reason,
            )  # fmt: skip
        learner.cleanup.enter_context(products_in(self.precision.name))

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Give what was chosen."""
        return {"bfloat16": np.array(self.precision.name == "bfloat16")}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Know what the checkpoint was trained in."""
        if "bfloat16" in state:
            self._before = "bfloat16" if state["bfloat16"] else "float32"


def _seconds() -> float:
    x = Tensor(np.random.default_rng(0).standard_normal((_SIZE, _SIZE)).astype(np.float32))
    best = float("inf")
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        x @ x
        best = min(best, time.perf_counter() - begin)
    return best
