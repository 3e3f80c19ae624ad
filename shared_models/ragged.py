"""Ragged batches: the rows of all items end to end, and offsets that say where each item begins.

Item i is ``values[offsets[i]:offsets[i + 1]]``; nothing is padded. Offsets are integers that
describe the layout, so they are NumPy arrays and no part of what is differentiated.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldgrad.engine import Tensor, gather
from fieldgrad.engine.errors import ShapeError
from fieldgrad.engine.op import TensorLike

__all__ = ["dense_rows", "pairs_of_rows", "rows_of_items", "segment_ids", "to_dense"]

Integers = NDArray[np.int64]


def segment_ids(offsets: ArrayLike, n_rows: int | None = None) -> Integers:
    """Give the number of the item that each row belongs to.

    Parameters
    ----------
    offsets : array_like of int, shape (n_items + 1,)
        Where each item begins, from 0 to the number of rows.
    n_rows : int, optional
        The number of rows there are, to check the offsets.

    Returns
    -------
    ndarray of int64, shape (n_rows,)
        0 to n_items - 1, ascending.

    Raises
    ------
    ShapeError
        If the offsets do not rise from 0 to the number of rows.

    Examples
    --------
    >>> segment_ids([0, 2, 2, 3]).tolist()
    [0, 0, 2]
    """
    bounds = np.asarray(offsets, np.int64)
    counts = np.diff(bounds)
    if bounds.ndim != 1 or not bounds.size or bounds[0] != 0 or (counts < 0).any():
        raise ShapeError(
            f"offsets have shape {bounds.shape} and begin with {bounds.ravel()[:3].tolist()}; "
            "expected (n_items + 1,) whole numbers that rise from 0 to the number of rows."
        )
    if n_rows is not None and bounds[-1] != n_rows:
        raise ShapeError(
            f"offsets end with {bounds[-1]}, but there are {n_rows} rows; expected the last offset "
            "to be the number of rows."
        )
    return np.repeat(np.arange(counts.size, dtype=np.int64), counts)


def rows_of_items(offsets: Integers, items: Integers) -> tuple[Integers, Integers]:
    """Give the rows of some of the items, one item after the other.

    Parameters
    ----------
    offsets : ndarray of int64, shape (n_items + 1,)
        Where each item begins.
    items : ndarray of int64, shape (n_wanted,)
        Which items, in the order wanted.

    Returns
    -------
    rows : ndarray of int64, shape (n_rows,)
        Their row numbers.
    begins : ndarray of int64, shape (n_wanted + 1,)
        Where each of the wanted items begins in `rows`: the offsets of a batch of them.

    Examples
    --------
    >>> rows, begins = rows_of_items(np.array([0, 2, 2, 5]), np.array([2, 0]))
    >>> rows.tolist(), begins.tolist()
    ([2, 3, 4, 0, 1], [0, 3, 5])
    """
    counts = offsets[items + 1] - offsets[items]
    begins = np.zeros(len(items) + 1, np.int64)
    np.cumsum(counts, out=begins[1:])
    return np.arange(begins[-1]) + np.repeat(offsets[items] - begins[:-1], counts), begins


def dense_rows(offsets: ArrayLike, length: int | None = None) -> Integers:
    """Give the number of the row at each place of a padded batch.

    Parameters
    ----------
    offsets : array_like of int, shape (n_items + 1,)
        Where each item begins.
    length : int, optional
        Places of each item; longer items are cut. Default: those of the longest.

    Returns
    -------
    ndarray of int64, shape (n_items, length)
        Row numbers, and -1 for no row.

    Examples
    --------
    >>> dense_rows([0, 2, 3]).tolist()
    [[0, 1], [2, -1]]
    """
    bounds = np.asarray(offsets, np.int64)
    counts = np.diff(bounds)
    place = np.arange(int(counts.max(initial=0)) if length is None else length)
    return np.where(place < counts[:, None], bounds[:-1, None] + place, -1)


def to_dense(values: TensorLike, rows: NDArray[np.integer[Any]], /) -> Tensor:
    """Lay the rows of a ragged batch out with padding.

    Parameters
    ----------
    values : Tensor
        Shape (n_rows, …).
    rows : ndarray of int, shape (n_items, length)
        From `dense_rows`; -1 gives zeros.

    Returns
    -------
    Tensor
        Shape (n_items, length, …).

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> to_dense(fg.tensor([[1.0], [2.0], [3.0]]), dense_rows([0, 2, 3])).tolist()
    [[[1.0], [2.0]], [[3.0], [0.0]]]
    """
    return gather(values, rows, skip_missing=True)


def pairs_of_rows(offsets: ArrayLike, *, ordered: bool = True) -> tuple[Integers, Integers]:
    """Give the pairs of rows of one item.

    Parameters
    ----------
    offsets : array_like of int, shape (n_items + 1,)
        Where each item begins.
    ordered : bool, default True
        Give every pair of different rows in both orders. Otherwise each once, and also each row
        with itself.

    Returns
    -------
    first, second : ndarray of int64, shape (n_pairs,)
        Row numbers; the first ascend, and for each of them the second do.

    Examples
    --------
    >>> first, second = pairs_of_rows([0, 2, 3, 5])
    >>> first.tolist(), second.tolist()
    ([0, 1, 3, 4], [1, 0, 4, 3])
    >>> first, second = pairs_of_rows([0, 2, 3], ordered=False)
    >>> first.tolist(), second.tolist()
    ([0, 0, 1, 2], [0, 1, 1, 2])
    """
    bounds = np.asarray(offsets, np.int64)
    counts = np.diff(bounds)
    row = np.arange(bounds[-1])
    begin = np.repeat(bounds[:-1], counts) if ordered else row  # of the partners of each row
    partners = np.repeat(counts - 1, counts) if ordered else np.repeat(bounds[1:], counts) - row
    first = np.repeat(row, partners)
    number = np.arange(first.size) - np.repeat(np.cumsum(partners) - partners, partners)
    second = np.repeat(begin, partners) + number
    return first, second + (second >= first) if ordered else second
