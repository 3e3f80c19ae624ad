import threading
import time

import numpy as np
import pytest

from fieldgrad.engine.data import Loader, collate, collate_ragged
from fieldgrad.engine.errors import DataError


class Noisy:
    """Items that show their index and their generator; sleeps let threads finish out of order."""

    def __init__(self, size=11, sleep=0.0, broken=None):
        self.size, self.sleep, self.broken = size, sleep, broken
        self.made = 0

    def __len__(self):
        return self.size

    def item(self, index, rng):
        self.made += 1
        if self.sleep:
            time.sleep(self.sleep * (index % 3))
        if index == self.broken:
            raise ZeroDivisionError("no such patch")
        return index, rng.normal(size=3).astype(np.float32)


def stream(loader, epoch=0, start=0):
    return [(index.tolist(), values.tolist()) for index, values in loader.iterate(epoch, start)]


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("fieldgrad-loader")]


@pytest.mark.parametrize("n_workers", [1, 2, 5])
def test_stream_is_the_same_for_any_number_of_workers(n_workers):
    options = {"batch_size": 2, "shuffle": True, "seed": 3}
    inline = Loader(Noisy(), **options)
    threaded = Loader(Noisy(sleep=0.001), **options, n_workers=n_workers)
    for epoch in range(2):
        assert stream(threaded, epoch) == stream(inline, epoch)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_stream_restarts_at_any_batch(n_workers):
    loader = Loader(Noisy(), 2, shuffle=True, seed=1, n_workers=n_workers)
    whole = stream(loader, epoch=4)
    for start in range(len(loader) + 1):
        assert stream(loader, epoch=4, start=start) == whole[start:]


def test_an_array_is_a_sequence_of_its_rows():
    [batch] = Loader(np.arange(6).reshape(3, 2), 3)
    assert batch.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_epochs_differ_and_plain_loops_advance_them():
    loader = Loader(Noisy(), 2, shuffle=True)
    first = [i for index, _ in loader for i in index.tolist()]
    second = [i for index, _ in loader for i in index.tolist()]
    assert loader.epoch == 2
    assert first != second
    assert sorted(first) == sorted(second) == list(range(11))


def test_seeds_give_different_orders_and_noise():
    one, two = (stream(Loader(Noisy(), 11, shuffle=True, seed=seed)) for seed in (1, 2))
    assert one[0][0] != two[0][0]
    assert one[0][1] != two[0][1]


def test_item_noise_differs_between_positions_and_epochs():
    loader = Loader(Noisy(), 1)
    draws = [values for epoch in range(3) for _, [values] in stream(loader, epoch)]
    assert len({tuple(values) for values in draws}) == 33


def test_unshuffled_order_and_drop_last():
    kept = Loader(list(range(5)), 2)
    dropped = Loader(list(range(5)), 2, drop_last=True)
    assert [batch.tolist() for batch in kept] == [[0, 1], [2, 3], [4]]
    assert [batch.tolist() for batch in dropped] == [[0, 1], [2, 3]]
    assert (len(kept), len(dropped)) == (3, 2)


def test_endless_epochs_draw_every_item_before_any_twice():
    loader = Loader(list(range(6)), 2, shuffle=True, n_batches=5, seed=4)
    drawn = [batch for epoch in range(3) for batch in loader.iterate(epoch)]
    assert len(loader) == 5
    flat = np.concatenate(drawn)
    for start in range(0, 30, 6):
        assert sorted(flat[start : start + 6].tolist()) == list(range(6))


def test_failing_item_keeps_its_error_and_names_its_index():
    for n_workers in (0, 2):
        loader = Loader(Noisy(broken=7), 2, n_workers=n_workers)
        batches = loader.iterate(0)
        with pytest.raises(ZeroDivisionError, match="no such patch") as caught:
            list(batches)
        assert "item 7 (epoch 0, batch 3)" in caught.value.__notes__[0]
        assert not loader_threads()


def test_stopping_early_leaves_no_thread_and_little_work():
    dataset = Noisy(size=1000, sleep=0.001)
    batches = Loader(dataset, 4, n_workers=3).iterate(0)
    next(batches)
    assert loader_threads()
    batches.close()
    assert not loader_threads()
    assert dataset.made <= 4 * 6  # the batch given, and at most n_workers + 2 in the making


def test_finished_epoch_leaves_no_thread():
    assert len(list(Loader(Noisy(), 2, n_workers=2))) == 6
    assert not loader_threads()


def test_prefetch_is_bounded():
    dataset = Noisy(size=100)
    batches = Loader(dataset, 1, n_workers=2).iterate(0)
    next(batches)
    time.sleep(0.05)
    assert dataset.made <= 1 + 4
    batches.close()


def test_collate_keeps_structure_and_dtype():
    items = [{"x": np.full((2, 2), i, np.int16), "y": (i, 0.5)} for i in range(3)]
    batch = collate(items)
    assert batch["x"].shape == (3, 2, 2)
    assert batch["x"].dtype == np.int16
    assert batch["y"][0].tolist() == [0, 1, 2]
    assert batch["y"][1].dtype == np.float32


def test_unequal_shapes_name_both_items_and_the_dataset_indices():
    dataset = [(np.zeros((2, k)), 0) for k in (3, 3, 4, 3)]
    loader = Loader(dataset, 3)
    with pytest.raises(DataError, match=r"item\[0\] is shape \(2, 4\) in item 2") as caught:
        next(iter(loader))
    assert "collate_ragged" in str(caught.value)
    assert "items [0, 1, 2]" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([(1, 2), (1, 2, 3)], "a tuple of 3"),
        ([{"a": 1}, {"b": 1}], r"a dict of \['b'\]"),
        ([np.zeros(2, np.float32), np.zeros(2)], "dtype float64"),
        (["name", "name"], "item is a str; expected an array"),
        ([(1, [2]), (1, [2])], r"item\[1\] is a list"),
    ],
)
def test_collate_refuses_mixed_structures(items, message):
    with pytest.raises(DataError, match=message):
        collate(items)


def test_collate_ragged_joins_unequal_and_equal_lengths_alike():
    rng = np.random.default_rng(0)
    jets = [rng.normal(size=(n, 4)) for n in (3, 0, 2)]
    (values, offsets), weight = collate_ragged([(jet, 1.0) for jet in jets])
    assert offsets.tolist() == [0, 3, 3, 5]
    for i, jet in enumerate(jets):
        np.testing.assert_array_equal(values[offsets[i] : offsets[i + 1]], jet)
    assert weight.shape == (3,)
    assert collate_ragged([np.ones(2), np.ones(2)])[1].tolist() == [0, 2, 4]


def test_collate_ragged_refuses_other_axes_that_differ():
    with pytest.raises(DataError, match=r"shape \(1, 3\) in item 1 .* shape \(n, 4\)"):
        collate_ragged([np.ones((2, 4)), np.ones((1, 3))])


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ([], {}, "dataset is empty"),
        ([1], {"batch_size": 0}, "batch_size is 0"),
        ([1], {"seed": -1}, "seed is -1"),
        ([1], {"batch_size": 2, "drop_last": True}, "no full batch"),
        ({1, 2}, {}, r"dataset is a set; expected"),
    ],
)
def test_loader_refuses_bad_arguments(dataset, options, message):
    with pytest.raises(DataError, match=message):
        Loader(dataset, **{"batch_size": 1, **options})
