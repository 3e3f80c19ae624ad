"""The different elements of an array; NaNs differ, as in the array API standard."""

from typing import NamedTuple

import numpy as np

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.ops.layout import reshape


class UniqueAll(NamedTuple):
    """What `unique_all` gives.

    Parameters
    ----------
    values : Tensor
        The different elements in ascending order.
    indices : Tensor
        Where each first occurs.
    inverse_indices : Tensor
        Which of the values each element is, shape of the array.
    counts : Tensor
        How often each occurs.
    """

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` gives.

    Parameters
    ----------
    values : Tensor
        The different elements in ascending order.
    counts : Tensor
        How often each occurs.
    """

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` gives.

    Parameters
    ----------
    values : Tensor
        The different elements in ascending order.
    inverse_indices : Tensor
        Which of the values each element is, shape of the array.
    """

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Tensor, /) -> UniqueAll:
    """The different elements, where they first occur, which of them each element is, how often.

    Parameters
    ----------
    x : Tensor
        Any shape; its elements are taken in C order.

    Returns
    -------
    UniqueAll
        ``values`` in ascending order and, of int64, ``indices`` of their first occurrences,
        ``inverse_indices`` of the shape of x, so that values[inverse_indices] is x, and ``counts``.

    Notes
    -----
    The gradient of a value goes to its first occurrence.

    Examples
    --------
    >>> import fieldgrad.engine as fg
    >>> values, indices, inverse, counts = fg.unique_all(fg.tensor([5, 2, 5]))
    >>> values.tolist(), indices.tolist(), inverse.tolist(), counts.tolist()
    ([2, 5], [1, 0], [1, 0, 1], [1, 2])
    """
    _, indices, inverse, counts = np.unique(
        x.data, return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    values = reshape(x, (-1,))[indices]
    return UniqueAll(values, Tensor(indices), Tensor(inverse.reshape(x.shape)), Tensor(counts))


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The different elements, and how often each occurs.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    UniqueCounts
        ``values`` in ascending order and ``counts`` of int64.

    See Also
    --------
    unique_all : All there is to know.
    """
    unique = unique_all(x)
    return UniqueCounts(unique.values, unique.counts)


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The different elements, and which of them each element is.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    UniqueInverse
        ``values`` in ascending order and ``inverse_indices`` of int64, shape of x.

    See Also
    --------
    unique_all : All there is to know.
    """
    unique = unique_all(x)
    return UniqueInverse(unique.values, unique.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """The different elements in ascending order.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        One axis.

    See Also
    --------
    unique_all : All there is to know.
    """
    return unique_all(x).values
