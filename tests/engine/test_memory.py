"""The pool of memory: what it counts, keeps, reuses and gives back."""

import threading

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine import memory
from fieldgrad.engine.bindings import base_kernels

MIB = 1 << 20


@pytest.fixture(autouse=True)
def empty_pool():
    limit = memory.stats().limit
    memory.trim()
    yield
    memory.set_limit(limit)


def test_counts_what_arrays_use_and_keeps_it_for_the_next():
    before = memory.stats()
    x = base_kernels.empty((MIB,))
    address = x.ctypes.data
    assert address % 64 == 0
    assert memory.stats().used - before.used == 4 * MIB
    del x
    assert memory.stats().free == 4 * MIB
    assert base_kernels.empty((MIB,)).ctypes.data == address
    assert memory.trim() == 4 * MIB
    assert memory.stats().free == 0


def test_a_view_keeps_the_block():
    view = base_kernels.empty((MIB,))[::2]
    assert memory.stats().free == 0
    del view
    assert memory.stats().free == 4 * MIB


def test_a_block_serves_a_somewhat_smaller_array_too():
    large = base_kernels.empty((MIB,))
    del large
    small = base_kernels.empty((MIB * 3 // 4,))
    assert memory.stats().free == 0
    assert small.ctypes.data % 64 == 0


def test_holds_no_more_than_arrays_needed_at_some_time():
    memory.reset_peak()
    base = memory.stats().used
    for n in (1, 3, 5, 7, 9, 11):
        x = base_kernels.empty((n * MIB,))
        del x
    after = memory.stats()
    assert after.used == base
    assert after.free <= after.peak - base


def test_limit_bounds_what_is_kept():
    a, b = base_kernels.empty((MIB,)), base_kernels.empty((MIB,))
    memory.set_limit(5 * MIB)
    del a, b
    assert memory.stats().free == 4 * MIB
    memory.set_limit(0)
    assert memory.stats().free == 0
    with pytest.raises(ValueError, match="expected 0 or more"):
        memory.set_limit(-1)


def test_the_limit_at_start_is_a_share_of_the_memory():
    assert 0 < memory.stats().limit <= memory._available() // 4


def test_threads_share_the_pool():
    """Every thread sees its own values only, and all memory comes back."""
    before, wrong = memory.stats().used, []

    def work(value):
        for i in range(30):
            x = base_kernels.empty((50_000 + 1000 * i,))
            x.fill(value)
            y = fg.tensor(x) * 2.0
            if not (y.numpy() == 2 * value).all():
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(float(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert memory.stats().used == before


def test_a_training_step_reuses_the_memory_of_the_one_before():
    x = fg.tensor(np.ones((256, 1024), np.float32), requires_grad=True)

    def step():
        (fg.exp(x) * x).sum().backward()
        x.zero_grad()

    step()
    step()
    before = memory.stats()
    step()
    assert memory.stats() == before
