"""Data: items made one by one, gathered into batches by threads, in a repeatable order.

A dataset is any object with ``__len__`` and ``item(index, rng)``, or a plain sequence of items.
An item is an array, a number, or a tuple or dictionary of these; a batch has the same structure.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from fieldgrad.engine._core import Tensor
from fieldgrad.engine.errors import DataError

__all__ = [
    "Batch",
    "Dataset",
    "Item",
    "Loader",
    "as_tensors",
    "balanced_weights",
    "collate",
    "collate_ragged",
]

Item: TypeAlias = "NDArray[Any] | float | tuple[Item, ...] | dict[str, Item]"
Batch: TypeAlias = "NDArray[Any] | tuple[Batch, ...] | dict[str, Batch]"

# First number of the spawn keys below: the order of an epoch and the items' own randomness are
# different streams of one seed.
_ORDER, _ITEM = 0, 1


class Dataset(Protocol):
    """Items that are made on request, with randomness from the generator they are given."""

    def __len__(self) -> int:
        """Give the number of items."""
        ...

    def item(self, index: int, rng: np.random.Generator) -> Item:
        """Make one item.

        Called from several threads at once when the loader has workers: an item may read what
        the dataset holds, and must not change it.

        Parameters
        ----------
        index : int
            Which item, ``0 <= index < len(dataset)``.
        rng : numpy.random.Generator
            The only source of randomness (augmentation, patch positions); it depends on the
            loader's seed, the epoch and the position in the epoch, and on nothing else.

        Returns
        -------
        array, number, tuple or dict
            The item; every item of a dataset has the same structure.
        """
        ...


def collate(items: Sequence[Item]) -> Batch:
    """Stack items of equal shape along a new first axis.

    Parameters
    ----------
    items : sequence of (array, number, tuple or dict)
        The items of one batch, all of the same structure.

    Returns
    -------
    array, tuple or dict
        The structure of one item, each array of shape ``(n_items, *shape)``. Arrays keep their
        dtype; Python floats become float32, the engine's default, and integers int64.

    Raises
    ------
    DataError
        If an array's shape or dtype, a tuple's length or a dictionary's keys differ between
        items, or an item holds something else than arrays and numbers.

    Examples
    --------
    >>> x, y = collate([(np.zeros((1, 4)), 0), (np.ones((1, 4)), 1)])
    >>> x.shape, y
    ((2, 1, 4), array([0, 1]))
    """
    return _gather(items, _stack, "")


def collate_ragged(items: Sequence[Item]) -> Batch:
    """Join items of unequal length end to end and say where each begins.

    For jets with any number of constituents or molecules with any number of atoms. Whether an
    entry is joined depends on its number of axes only, so every batch has the same structure.

    Parameters
    ----------
    items : sequence of (array, number, tuple or dict)
        The items of one batch. Arrays have shape ``(n_i, *shape)``: the first axis may differ
        between items, the others may not. Numbers and 0-d arrays are stacked.

    Returns
    -------
    array, tuple or dict
        The structure of one item, each array replaced by ``(values, offsets)``: ``values`` of
        shape ``(sum n_i, *shape)`` and ``offsets`` int64 of shape ``(n_items + 1,)``; item i is
        ``values[offsets[i]:offsets[i + 1]]``.

    Raises
    ------
    DataError
        As `collate`, and if axes other than the first differ.

    Examples
    --------
    >>> (values, offsets), y = collate_ragged([(np.ones((2, 3)), 0), (np.ones((1, 3)), 1)])
    >>> values.shape, offsets, y
    ((3, 3), array([0, 2, 3]), array([0, 1]))
    """
    return _gather(items, _join, "")


def balanced_weights(labels: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
    """Weights with which items of every class are drawn equally often.

    Parameters
    ----------
    labels : sequence of n hashable
        Class of each item.

    Returns
    -------
    numpy.ndarray, shape (n,)
        One over the number of items of its class, for `Loader`'s ``weights``.

    Examples
    --------
    >>> balanced_weights(["signal", "background", "background"]).tolist()
    [1.0, 0.5, 0.5]
    """
    _, place, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = 1.0 / counts[place]
    return weights


def as_tensors(batch: Any) -> Any:
    """Wrap the arrays of a batch as tensors, without a copy.

    Parameters
    ----------
    batch : array, tuple or dict
        As from a `Loader`.

    Returns
    -------
    Tensor, tuple or dict
        The same structure.
    """
    if isinstance(batch, tuple):
        return tuple(as_tensors(entry) for entry in batch)
    if isinstance(batch, dict):
        return {key: as_tensors(entry) for key, entry in batch.items()}
    return Tensor(batch)


def _gather(
    items: Sequence[Item], leaf: Callable[[list[NDArray[Any]], str], Batch], where: str
) -> Batch:
    """Walk the common structure of `items` and apply `leaf` to the arrays at each of its ends."""
    first = items[0]
    if isinstance(first, tuple):
        for i, item in enumerate(items):
            if not isinstance(item, tuple) or len(item) != len(first):
                raise _different(where, i, _kind(item), _kind(first))
        columns = zip(*cast("Sequence[tuple[Item, ...]]", items), strict=True)
        return tuple(_gather(column, leaf, f"{where}[{k}]") for k, column in enumerate(columns))
    if isinstance(first, dict):
        for i, item in enumerate(items):
            if not isinstance(item, dict) or item.keys() != first.keys():
                raise _different(where, i, _kind(item), _kind(first))
        rows = cast("Sequence[dict[str, Item]]", items)
        return {
            key: _gather([row[key] for row in rows], leaf, f"{where}[{key!r}]") for key in first
        }
    arrays = [_as_array(item, where) for item in items]
    for i, array in enumerate(arrays):
        if array.dtype != arrays[0].dtype:
            raise _different(where, i, f"dtype {array.dtype}", f"dtype {arrays[0].dtype}")
    return leaf(arrays, where)


def _stack(arrays: list[NDArray[Any]], where: str) -> NDArray[Any]:
    for i, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise _different(
                where,
                i,
                f"shape {array.shape}",
                f"shape {arrays[0].shape}",
                "Crop, pad or resample to one shape, use collate=collate_ragged, or "
                "set batch_size=1.",
            )
    return np.stack(arrays)


def _join(arrays: list[NDArray[Any]], where: str) -> Batch:
    if arrays[0].ndim == 0:
        return _stack(arrays, where)
    for i, array in enumerate(arrays):
        if array.ndim == 0 or array.shape[1:] != arrays[0].shape[1:]:
            raise _different(
                where,
                i,
                f"shape {array.shape}",
                f"shape {('n', *arrays[0].shape[1:])}".replace("'", ""),
            )
    offsets = np.zeros(len(arrays) + 1, np.int64)
    np.cumsum([len(array) for array in arrays], out=offsets[1:])
    return np.concatenate(arrays), offsets


def _as_array(item: Item, where: str) -> NDArray[Any]:
    if isinstance(item, np.ndarray | np.generic):
        return np.asarray(item)
    if isinstance(item, float):
        return np.asarray(item, np.float32)
    if isinstance(item, int):
        return np.asarray(item)
    raise DataError(
        f"collate: item{where} is a {type(item).__name__}; expected an array, a number, or a "
        "tuple or dict of these. Leave it out of the item, or pass your own collate= to Loader."
    )


def _kind(item: Item) -> str:
    if isinstance(item, tuple):
        return f"a tuple of {len(item)}"
    if isinstance(item, dict):
        return f"a dict of {sorted(item)}"
    return f"a {type(item).__name__}"


def _different(
    where: str,
    i: int,
    found: str,
    expected: str,
    remedy: str = "All items of a dataset need one structure.",
) -> DataError:
    return DataError(
        f"collate: item{where} is {found} in item {i} of the batch, but {expected} "
        f"in item 0. {remedy}"
    )


class Loader:
    """Batches of a dataset, in an order and with a randomness that can be repeated.

    The stream depends on the seed, the epoch and the position in it: it is the same for any
    number of workers, and can begin in the middle of any epoch. Workers are threads, since the
    engine's kernels and NumPy release Python's lock; each makes whole batches.

    Parameters
    ----------
    dataset : Dataset or sequence of (array, number, tuple or dict)
        What to draw from: an object with ``item(index, rng)``, or a plain list, tuple or array
        of items.
    batch_size : int
        Number of items in a batch.
    shuffle : bool, default False
        Visit the items in a new random order each time round; otherwise in their own order.
    seed : int, default 0
        Seed of order and items, not negative.
    n_workers : int, default 0
        Number of threads that prepare batches ahead; 0 makes each batch when it is asked for.
    drop_last : bool, default False
        Leave out the last batch of an epoch if it is smaller than `batch_size`.
    collate : callable, default `collate`
        Makes a batch of a list of items.
    n_batches : int, optional
        Length of an epoch for datasets that are rather a source than a list (random patches,
        synthetic images). Epochs then continue where the last one ended, so that each item is
        drawn once before any is drawn again.
    weights : sequence of n_items float, optional
        Draw items at random with these weights, with replacement, instead of each once; see
        `balanced_weights`.

    Attributes
    ----------
    epoch : int
        The epoch that the next plain ``for`` loop over the loader will give; starts at 0.

    Raises
    ------
    DataError
        If the dataset is empty, or an argument is out of its range.

    Notes
    -----
    At most ``n_workers + 2`` batches are held ready or in the making. An exception raised while
    an item is made ends the iteration with that exception, to which a note with the item's
    index is added.

    Examples
    --------
    >>> loader = Loader(list(range(5)), batch_size=2, shuffle=True, seed=1)
    >>> len(loader)
    3
    >>> [batch.tolist() for batch in loader.iterate(0, start_batch=1)]
    [[1, 2], [0]]
    """

    def __init__(
        self,
        dataset: Dataset | Sequence[Item],
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        n_workers: int = 0,
        drop_last: bool = False,
        collate: Callable[[Sequence[Item]], Batch] = collate,
        n_batches: int | None = None,
        weights: Sequence[float] | NDArray[Any] | None = None,
    ) -> None:
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
            ("n_workers", n_workers, 0),
            ("n_batches", n_batches, 1),
        ):
            if value is not None and value < least:
                raise DataError(f"Loader: {name} is {value}; expected {least} or more.")
        plain = isinstance(dataset, Sequence | np.ndarray)  # an ndarray's item() is another thing
        if not plain and not hasattr(dataset, "item"):
            raise DataError(
                f"Loader: dataset is a {type(dataset).__name__}; expected an object with __len__ "
                "and item(index, rng), or a sequence of items. For arrays x and y: "
                "list(zip(x, y))."
            )
        if len(dataset) == 0:
            raise DataError(
                "Loader: the dataset is empty (its length is 0); expected at least "
                "one item. Check the folder or the filter it was made from."
            )
        if n_batches is None and drop_last and len(dataset) < batch_size:
            raise DataError(
                f"Loader: {len(dataset)} items make no full batch of {batch_size}, and "
                "drop_last leaves out the rest. Lower batch_size or set n_batches."
            )
        self.weights = None if weights is None else _chances(weights, len(dataset))
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.n_workers = n_workers
        self.drop_last = drop_last
        self.collate = collate
        self.n_batches = n_batches
        self.epoch = 0
        self._plain = plain

    def __len__(self) -> int:
        """Give the number of batches in an epoch."""
        if self.n_batches is not None:
            return self.n_batches
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        """Give the batches of the next epoch."""
        self.epoch += 1
        return self.iterate(self.epoch - 1)

    def iterate(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """Give the batches of one epoch, from one of them on.

        Parameters
        ----------
        epoch : int
            Which epoch, from 0.
        start_batch : int, default 0
            The first batch to give; those before it are neither made nor given.

        Yields
        ------
        array, tuple or dict
            What `collate` makes of each batch's items.
        """
        stop = threading.Event()
        order = self._order(epoch)
        numbers = range(start_batch, len(self))
        if self.n_workers == 0:
            for number in numbers:
                yield self._make(order, epoch, number, stop)
            return
        pool = ThreadPoolExecutor(self.n_workers, thread_name_prefix="fieldgrad-loader")
        ahead: deque[Future[Batch]] = deque()
        try:
            for number in numbers:
                ahead.append(pool.submit(self._make, order, epoch, number, stop))
                if len(ahead) == self.n_workers + 2:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Give the index of the item at each position of an epoch."""
        n = len(self.dataset)
        size = n if self.n_batches is None else self.n_batches * self.batch_size
        if self.weights is not None:
            return self._generator(_ORDER, epoch).choice(n, size, p=self.weights)
        rounds, positions = np.divmod(np.arange(epoch * size, (epoch + 1) * size), n)
        if self.shuffle:
            for k in np.unique(rounds):
                here = rounds == k
                positions[here] = self._generator(_ORDER, int(k)).permutation(n)[positions[here]]
        return positions

    def _make(
        self, order: NDArray[np.int64], epoch: int, number: int, stop: threading.Event
    ) -> Batch:
        start = number * self.batch_size
        indices = order[start : start + self.batch_size].tolist()
        items = []
        for position, index in enumerate(indices, start):
            if stop.is_set():
                raise CancelledError
            with _noting(f"Loader: while making item {index} (epoch {epoch}, batch {number})."):
                items.append(self._item(index, epoch, position))
        with _noting(f"Loader: this batch holds items {indices} (epoch {epoch}, batch {number})."):
            return self.collate(items)

    def _item(self, index: int, epoch: int, position: int) -> Item:
        if self._plain:
            return cast("Sequence[Item]", self.dataset)[index]
        return cast("Dataset", self.dataset).item(index, self._generator(_ITEM, epoch, position))

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key))
        )


def _chances(weights: Sequence[float] | NDArray[Any], n_items: int) -> NDArray[np.float64]:
    """Give weights as probabilities."""
    chances = np.asarray(weights, np.float64)
    good = chances.shape == (n_items,) and np.isfinite(chances).all() and (chances >= 0).all()
    if not good or chances.sum() <= 0:
        raise DataError(
            f"Loader: weights have shape {chances.shape}; expected ({n_items},), a number that is "
            "not negative for each item, and not all of them 0."
        )
    return chances / chances.sum()


@contextmanager
def _noting(note: str) -> Iterator[None]:
    """Add to any exception where it happened, keeping its type and its own message."""
    try:
        yield
    except Exception as error:
        error.add_note(note)
        raise
