"""Rows of a table by their numbers: embeddings, sums of them, one-hot codes."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.engine.op import TensorLike, as_tensor, values_of
from fieldgrad.engine.ops.arithmetic import (
    where,
)
from fieldgrad.engine.ops.layout import expand_dims
from fieldgrad.engine.ops.segment import gather, segment_max, segment_sum

__all__ = ["embedding", "embedding_bag", "one_hot"]


def embedding(
    index: TensorLike,
    weight: TensorLike,
    /,
    *,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> Tensor:
    """Rows of a table by their numbers.

    Parameters
    ----------
    index : Tensor or array of int
        Any shape; 0 to n - 1.
    weight : Tensor
        Shape (n, feature).
    padding_idx : int, optional
        A row that gets no gradient.
    max_norm : float, optional
        Rows that are used and longer than this are shortened to it first, in the table itself.
    norm_type : float, default 2.0
        Exponent of that norm.
    scale_grad_by_freq : bool, default False
        Divide the gradient of a row by how often it is used.

    Returns
    -------
    Tensor
        Shape (\\*index.shape, feature).

    Raises
    ------
    IndexError
        If an index is out of range.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.embedding([[1, 1, 0]], fg.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[[3.0, 4.0], [3.0, 4.0], [1.0, 2.0]]]
    """
    table, numbers = as_tensor(weight), as_tensor(index)
    if max_norm is not None:
        _shorten(table, numbers.data, max_norm, norm_type)
    rows = gather(table, numbers)
    if scale_grad_by_freq:
        counts = np.bincount(numbers.data.ravel(), minlength=len(table))
        share = (1.0 / np.maximum(counts, 1)).astype(table.dtype)[numbers.data][..., None]
        rows = rows * share + rows.detach() * (1 - share)
    if padding_idx is not None:
        padding = expand_dims(numbers == padding_idx % len(table), axis=-1)
        rows = where(padding, rows.detach(), rows)
    return rows


def _shorten(table: Tensor, numbers: NDArray[np.integer], max_norm: float, p: float) -> None:
    used = np.unique(numbers)
    lengths = np.linalg.norm(table.data[used], ord=p, axis=1, keepdims=True)
    rows = np.where(lengths > max_norm, max_norm / (lengths + 1e-7), 1.0) * table.data[used]
    table.data[used] = rows
    table.bump_version()


def embedding_bag(
    index: TensorLike,
    weight: TensorLike,
    offsets: ArrayLike | None = None,
    /,
    *,
    mode: Literal["sum", "mean", "max"] = "mean",
    per_sample_weights: TensorLike | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> Tensor:
    """Sum, mean or maximum over bags of rows of a table.

    Parameters
    ----------
    index : Tensor or array of int
        Shape (bag, length): every bag has the same number of rows; or (row,), with offsets.
    weight : Tensor
        Shape (n, feature).
    offsets : array_like of int, optional
        Shape (bag,): where each bag begins in a flat index, the first at 0.
    mode : {"mean", "sum", "max"}
        How to reduce a bag; a bag without rows gives 0.
    per_sample_weights : Tensor, optional
        Shape of the index: a factor for each row; for "sum" only.
    include_last_offset : bool, default False
        Whether offsets end with where the last bag ends.
    padding_idx : int, optional
        A row that is left out.
    max_norm, norm_type : float, optional
        As for `embedding`.
    scale_grad_by_freq : bool, default False
        As for `embedding`.

    Returns
    -------
    Tensor
        Shape (bag, feature).

    Raises
    ------
    ShapeError, DataError
        If index, offsets and weights do not belong together.
    IndexError
        If an index is out of range.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> table = fg.tensor([[1.0], [2.0], [4.0]])
    >>> fg.embedding_bag([0, 2, 1], table, [0, 2], mode="sum").tolist()
    [[5.0], [2.0]]
    """
    table, numbers = as_tensor(weight), np.asarray(index)
    bags, n_bags = _bags(numbers, offsets, include_last_offset)
    if mode not in ("sum", "mean", "max") or (per_sample_weights is not None and mode != "sum"):
        raise DataError(
            f"embedding_bag: mode = {mode!r}{' with weights' * (per_sample_weights is not None)}; "
            "expected 'sum', 'mean' or 'max', and weights with 'sum' only."
        )
    kept = np.ones(numbers.size, bool)
    if padding_idx is not None:
        kept = numbers.ravel() != padding_idx % len(table)
    flat, bags = numbers.ravel()[kept], bags[kept]
    rows = embedding(
        flat,
        table,
        max_norm=max_norm,
        norm_type=norm_type,
        scale_grad_by_freq=scale_grad_by_freq,
    )
    if per_sample_weights is not None:
        factors = as_tensor(per_sample_weights)
        if factors.shape != numbers.shape:
            raise ShapeError(
                f"embedding_bag: per_sample_weights have shape {factors.shape}, index has "
                f"{numbers.shape}; expected equal shapes."
            )
        rows = rows * expand_dims(factors.reshape(-1)[kept], axis=-1)
    counts = np.bincount(bags, minlength=n_bags)[:, None]
    if mode == "max":
        return where(counts > 0, segment_max(rows, bags, num_segments=n_bags), 0.0)
    total = segment_sum(rows, bags, num_segments=n_bags)
    return total if mode == "sum" else total / np.maximum(counts, 1).astype(total.dtype)


def _bags(
    numbers: NDArray[np.integer], offsets: ArrayLike | None, with_end: bool
) -> tuple[NDArray[np.intp], int]:
    """The bag of each row, and how many there are."""
    if numbers.ndim == 2 and offsets is None:
        return np.repeat(np.arange(len(numbers)), numbers.shape[1]), len(numbers)
    starts = np.asarray([] if offsets is None else offsets, np.intp)
    if numbers.ndim != 1 or offsets is None or starts.ndim != 1:
        raise ShapeError(
            f"embedding_bag: index has shape {numbers.shape}, offsets "
            f"{'None' if offsets is None else starts.shape}; expected (bag, length) without "
            "offsets, or (row,) and (bag,)."
        )
    ends = starts[1:] if with_end else np.append(starts[1:], numbers.size)
    starts = starts[: len(ends)]
    sizes = ends - starts
    if len(starts) and (starts[0] != 0 or sizes.min() < 0 or ends[-1] > numbers.size):
        raise DataError(
            f"embedding_bag: offsets go from {starts[0]} to {ends[-1]} in {numbers.size} rows; "
            "expected them to start at 0, to ascend, and to end within the rows."
        )
    return np.repeat(np.arange(len(starts)), sizes), len(starts)


def one_hot(index: TensorLike, /, num_classes: int = -1) -> Tensor:
    """1 at the place that an integer names, 0 elsewhere, along a new last axis.

    Parameters
    ----------
    index : Tensor or array of int
        Any shape; 0 to num_classes - 1.
    num_classes : int, default -1
        Length of the new axis; -1 for one more than the largest index.

    Returns
    -------
    Tensor of int64
        Shape (\\*index.shape, num_classes).

    Raises
    ------
    DataError
        If an index is not a class.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> fg.one_hot([2, 0]).tolist()
    [[0, 0, 1], [1, 0, 0]]
    """
    numbers = as_tensor(index)
    if numbers.dtype.kind not in "iu" or (num_classes < 0 and not numbers.size):
        raise DataError(
            f"one_hot: index has dtype {numbers.dtype} and shape {numbers.shape}; expected "
            "integers, and num_classes for none of them."
        )
    n = int(numbers.data.max()) + 1 if num_classes < 0 else num_classes
    values = values_of(numbers)
    if values is not None and values.size and not (values.min() >= 0 and values.max() < n):
        raise DataError(
            f"one_hot: indices go from {values.min()} to {values.max()}; expected 0 to {n - 1}."
        )
    return (expand_dims(numbers, axis=-1) == np.arange(n)).astype(np.int64)
