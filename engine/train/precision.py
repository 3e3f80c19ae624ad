"""The precision of a training: float32, and why not bfloat16.

docs/decisions/0006-bfloat16.md has the measurements and what would change the decision.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fieldgrad.engine.errors import RecipeError

__all__ = ["Precision", "choose_precision"]

# Instruction sets with products of bfloat16 numbers, as Linux names them.
_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")  # the last one is Arm's


@dataclass(frozen=True)
class Precision:
    """What a training computes in, and why.

    Parameters
    ----------
    name : str
        "float32".
    reason : str
        Why this and no other, in one sentence.
    """

    name: str
    reason: str


def choose_precision(
    wanted: Literal["auto", "float32", "bfloat16"] = "auto", cpuinfo: Path = Path("/proc/cpuinfo")
) -> Precision:
    """Choose the precision of a training on this machine.

    Parameters
    ----------
    wanted : {"auto", "float32", "bfloat16"}
        "auto" takes bfloat16 for products where that is known to be faster, with weights, losses
        and norms in float32; this version never finds it so.
    cpuinfo : Path, default /proc/cpuinfo
        Where Linux lists the processor's instructions.

    Returns
    -------
    Precision
        What will be used, with the reason.

    Raises
    ------
    RecipeError
        If bfloat16 is asked for and cannot be had, or the name is unknown.

    Examples
    --------
    >>> choose_precision().name
    'float32'
    """
    if wanted not in ("auto", "float32", "bfloat16"):
        raise RecipeError(f"precision is {wanted!r}; expected auto, float32 or bfloat16.")
    if wanted == "float32":
        return Precision("float32", "asked for")
    reason = _why_not(cpuinfo)
    if wanted == "bfloat16":
        raise RecipeError(f"precision is bfloat16, but {reason}. Use float32, or auto.")
    return Precision("float32", reason)


def _why_not(cpuinfo: Path) -> str:
    flags: set[str] = set()
    with suppress(OSError):
        flags = set(cpuinfo.read_text(encoding="utf-8", errors="replace").split())
    found = [name for name in _INSTRUCTIONS if name in flags]
    if not found:
        return (
            "this processor has no instructions for bfloat16 (AVX-512 BF16, AMX), without which it "
            "is slower than float32"
        )
    return f"this version of fieldgrad has no bfloat16 kernels for the processor's {found[0]}"
