"""One entry of torch's table on its sample inputs: torch's results and ours, side by side."""

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map

import fieldgrad.engine as fg
from benchmarks.conformance.entries.adapter import Entry, LeftOut

__all__ = ["Finding", "check"]

MOST = 200  # samples of an entry and dtype; of more, so many are taken at even distances
# Relative to the element, and to the largest element: sums of many terms lose digits with them.
TOLERANCE = {"float32": (1e-4, 1e-5), "complex64": (1e-4, 1e-5)}
TIGHT = (1e-7, 1e-9)
# What we refuse everywhere, by a part of the message, and why.
ON_PURPOSE = {
    "array of 0 axes": "an axis of a 0-d array: does not exist here, as in NumPy",
    "is 0-d": "an axis of a 0-d array: does not exist here, as in NumPy",
    "have an imaginary part": "the imaginary part of numbers is not dropped silently",
    "dtype complex128 is not supported": "real numbers only, as in NumPy and SciPy",
    "not supported for the input types": "real numbers only, as in NumPy and SciPy",
    "maximum or minimum of no elements": "the maximum of nothing: does not exist, as in NumPy",
    "expected float32 or float64": "random numbers are real",
    "Integers to negative integer powers": "whole numbers have no negative powers, as in NumPy",
    "of non-negative sizes": "negative widths: slices cut off",
}


@dataclass
class Finding:
    """What was found for an entry in one dtype."""

    n_samples: int = 0
    n_agree: int = 0
    n_gradients: int = 0
    missing: str = ""  # the function of ours that does not exist
    left_out: Counter[str] = field(default_factory=Counter)  # on purpose, with the reason
    refused: Counter[str] = field(default_factory=Counter)  # by an error of ours
    wrong: Counter[str] = field(default_factory=Counter)


def check(info: Any, entry: Entry, dtype: torch.dtype) -> Finding:
    """Run an entry on the samples that torch's table has for it in a dtype.

    Parameters
    ----------
    info : OpInfo
        From torch's ``op_db``.
    entry : Entry
        How we do the same.
    dtype : torch.dtype
        Of the inputs.

    Returns
    -------
    Finding
        Counts, and the messages of what went wrong.
    """
    found = Finding()
    for sample in evenly(samples(info, dtype)):
        arguments = (sample.input, sample.args, sample.kwargs)
        ours = to_ours(arguments)  # first: the function may write to its arguments
        try:
            theirs = info.op(*prepared(entry, torch, *arguments), **sample.kwargs)
        except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError):
            continue  # no reference in this dtype
        found.n_samples += 1
        try:
            got = entry.call(*prepared(entry, fg, *ours), **ours[2])
            try:
                found.n_gradients += compare(entry, theirs, got, arguments, ours)
            except Imprecise:  # one of us; what torch does in float64 decides
                if dtype is not torch.float32:
                    raise
                arguments = tree_map(doubled, arguments)
                theirs = info.op(*prepared(entry, torch, *arguments), **arguments[2])
                found.n_gradients += compare(entry, theirs, got, arguments, ours, single=True)
            found.n_agree += 1
        except LeftOut as reason:
            found.left_out[str(reason)] += 1
        except Disagreement as message:
            found.wrong[str(message)] += 1
        except AttributeError as error:
            if getattr(error.obj, "__name__", "").startswith("fieldgrad."):
                found.missing = f"{error.obj.__name__}.{error.name}"
                return found
            found.refused[described(error)] += 1
        except Exception as error:  # whatever ours raises is a finding
            on_purpose = next((r for text, r in ON_PURPOSE.items() if text in str(error)), None)
            if on_purpose:
                found.left_out[on_purpose] += 1
            else:
                found.refused[described(error)] += 1
    return found


def prepared(entry: Entry, library: Any, first: Any, others: Any, keywords: Any) -> Any:
    """The positional arguments, as the entry wants them."""
    if entry.prepare is None:
        return (first, *others)
    return entry.prepare(library, first, *others, **keywords)


def described(error: Exception) -> str:
    """Type and first line of an error."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def samples(info: Any, dtype: torch.dtype) -> list[Any]:
    """Give torch's sample inputs of an entry; none where it has no such dtype."""
    torch.manual_seed(0)
    wants = info.supports_autograd and dtype.is_floating_point
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(info.sample_inputs("cpu", dtype, requires_grad=wants))


def evenly(items: list[Any]) -> list[Any]:
    """Take no more than `MOST` of them, from all over the list."""
    if len(items) <= MOST:
        return items
    return [items[i * len(items) // MOST] for i in range(MOST)]


class Disagreement(Exception):
    """Torch's result and ours differ; the text says how."""


class Imprecise(Disagreement):
    """Values differ, by more than rounding."""


def doubled(x: Any) -> Any:
    """A float64 leaf of the values of a float32 tensor; anything else as it is."""
    if isinstance(x, torch.Tensor) and x.dtype is torch.float32:
        return x.detach().double().requires_grad_(x.requires_grad)
    return torch.float64 if x is torch.float32 else x


def to_ours(tree: Any) -> Any:
    """Our tensors, NumPy's dtypes and plain tuples for torch's, in any nesting."""
    made: dict[int, fg.Tensor] = {}

    def convert(x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            if id(x) not in made:
                made[id(x)] = fg.tensor(values(x).copy(), requires_grad=x.requires_grad)
            return made[id(x)]
        return numpy_dtype(x) if isinstance(x, torch.dtype) else x

    return tree_map(convert, tree)


def values(x: torch.Tensor) -> np.ndarray:
    """The values, whatever the tensor's storage does lazily."""
    return x.numpy(force=True)


def numpy_dtype(dtype: torch.dtype) -> Any:
    """NumPy's type of the same name."""
    if dtype in (torch.bfloat16, torch.complex32):
        raise LeftOut(f"{str(dtype).removeprefix('torch.')} has no NumPy dtype")
    return torch.empty(0, dtype=dtype).numpy().dtype


def compare(
    entry: Entry, theirs: Any, got: Any, arguments: Any, ours: Any, *, single: bool = False
) -> int:
    """Raise if results or gradients differ; return whether gradients were compared.

    With ``single`` torch's results are in float64 and ours in float32, of the same numbers.
    """
    if entry.view is not None:
        theirs, got = entry.view(theirs), entry.view(got)
    wanted = [y for y in tree_leaves(theirs) if isinstance(y, torch.Tensor)]
    outputs = [y for y in tree_leaves(got) if isinstance(y, fg.Tensor | np.generic | np.ndarray)]
    if len(wanted) != len(outputs):
        raise Disagreement(f"{len(outputs)} results, torch gives {len(wanted)}")
    pairs = [
        (want, y if isinstance(y, fg.Tensor) else fg.tensor(y))
        for want, y in zip(wanted, outputs, strict=True)
    ]
    for want, y in pairs:
        if tuple(want.shape) != y.shape:
            raise Disagreement(f"shape {y.shape}, torch gives {tuple(want.shape)}")
        if numpy_dtype(want.dtype) != y.dtype and not single:
            if want.dtype is torch.int64 and y.dtype == np.float32:
                raise LeftOut("integers go through float32 here")
            if want.dtype is torch.int32 and y.dtype == np.int64:
                raise LeftOut("indices are int64 here")
            if want.dtype is torch.float64 and y.dtype == np.float32 and integers(arguments):
                raise LeftOut("the dtype is that of the floating input here")
            if want.dtype is torch.float32 and y.dtype == np.float64 and integers(arguments):
                raise LeftOut("int64 with float32 makes float64 here, as in NumPy")
            raise Disagreement(f"dtype {y.dtype}, torch gives {str(want.dtype)[6:]}")
        if not entry.shapes_only:
            agree(y.data, values(want), "values", entry.torch_error)
    smooth = [part for want, y in pairs if want.requires_grad for part in real_parts(want, y)]
    if not smooth or entry.shapes_only:
        return 0
    return compare_gradients(smooth, arguments, ours, single)


def real_parts(want: torch.Tensor, y: fg.Tensor) -> list[tuple[torch.Tensor, fg.Tensor]]:
    """The results as real numbers: two of complex ones."""
    if not want.dtype.is_complex:
        return [(want, y)]
    return [(torch.real(want), fg.real(y)), (torch.imag(want), fg.imag(y))]


def compare_gradients(pairs: list[tuple[Any, Any]], arguments: Any, ours: Any, single: bool) -> int:
    """Gradients of a random weighting of the results for all inputs that want one."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(y.shape).astype(y.dtype) for _, y in pairs]
    leaves = list(distinct(arguments, torch.Tensor))
    inputs = list(distinct(ours, fg.Tensor))
    want = torch.autograd.grad(
        [y for y, _ in pairs],
        leaves,
        [
            torch.from_numpy(np.asarray(w)).to(y.dtype)
            for (y, _), w in zip(pairs, weights, strict=True)
        ],
        allow_unused=True,
    )
    recorded = [(y, w) for (_, y), w in zip(pairs, weights, strict=True) if y.requires_grad]
    terms = [fg.sum(y * fg.tensor(w)) for y, w in recorded]
    total = sum(terms[1:], terms[0]) if terms else None
    found = (
        fg.grad(total, inputs, allow_unused=True, retain_graph=True)
        if total is not None
        else [None] * len(inputs)
    )
    for i, (leaf, x, w, g) in enumerate(zip(leaves, inputs, want, found, strict=True)):
        nothing = np.zeros(x.shape, x.dtype)
        a = nothing if g is None else g.data
        b = nothing if w is None else values(w)
        if leaf.dtype.is_complex:
            continue
        if a.shape != b.shape or (a.dtype != b.dtype and not single):
            raise Disagreement(
                f"gradient {i}: {a.shape} {a.dtype}, torch gives {b.shape} {b.dtype}"
            )
        agree(a, b, f"gradient {i}")
    return 1


def distinct(tree: Any, kind: type) -> Iterator[Any]:
    """Tensors of a tree that want a gradient, each once."""
    seen = set()
    for x in tree_leaves(tree):
        if isinstance(x, kind) and x.requires_grad and id(x) not in seen:
            seen.add(id(x))
            yield x


def integers(arguments: Any) -> bool:
    """Whether there is a tensor of integers among the arguments."""
    kinds = [x.dtype for x in tree_leaves(arguments) if isinstance(x, torch.Tensor)]
    return any(not (d.is_floating_point or d.is_complex or d is torch.bool) for d in kinds)


def agree(got: np.ndarray, want: np.ndarray, what: str, torch_error: float = 0.0) -> None:
    """Raise if arrays differ by more than rounding."""
    if not want.size:
        return
    relative, to_largest = TOLERANCE.get(str(got.dtype), TIGHT)
    to_largest = max(to_largest, torch_error)
    with np.errstate(all="ignore"):
        finite = np.abs(want[np.isfinite(want)]).astype(np.float64)
        largest = max(1.0, float(finite.max()) if finite.size else 0.0)
        if np.allclose(got, want, rtol=relative, atol=to_largest * largest, equal_nan=True):
            return
        error = np.abs(np.asarray(got, complex) - np.asarray(want, complex))
    at = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), want.shape)
    raise Imprecise(f"{what}: {got[at]:.9g} at {tuple(map(int, at))}, torch gives {want[at]:.9g}")
