"""Copies between memory layouts."""

import itertools

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.bindings import base_kernels


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.float16])
@pytest.mark.parametrize(
    "shape",
    [(), (1,), (7,), (3, 5), (2, 70, 33), (3, 17, 130), (2, 3, 40, 9), (1, 5, 1, 6), (2, 0)],
)
def test_every_order_to_every_order(shape, dtype):
    x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    orders = list(itertools.permutations(range(len(shape))))
    for first, second in itertools.product(orders, orders):
        source = base_kernels.empty(shape, dtype, first)
        source[...] = x
        out = base_kernels.empty(shape, dtype, second)
        base_kernels.copy_to(out, source)
        np.testing.assert_array_equal(out, x)


def test_views_with_gaps_repeats_and_reversed_axes():
    x = np.random.default_rng(0).normal(size=(6, 50, 70)).astype(np.float32)
    wide = np.zeros((8, 60, 90), np.float32)
    sources = [
        x[::2, 3:, ::-1],
        x.transpose(2, 0, 1)[::-3, :, 5::2],
        np.broadcast_to(x[:, :1], (6, 9, 70)),
        np.broadcast_to(x[0, 0, 0], (4, 5)),
    ]
    for source in sources:
        for out in (np.empty(source.shape, np.float32), np.empty(source.T.shape, np.float32).T):
            base_kernels.copy_to(out, source)
            np.testing.assert_array_equal(out, source)
    base_kernels.copy_to(wide[1:7, 5:55, 10:80], x)
    np.testing.assert_array_equal(wide[1:7, 5:55, 10:80], x)
    assert np.count_nonzero(wide) == np.count_nonzero(x)


def test_an_array_that_is_not_aligned_or_of_another_byte_order():
    x = np.arange(12, dtype=np.float32)
    shifted = np.frombuffer(b"." + x.tobytes(), np.uint8)[1:].view(np.float32)
    for source in (shifted, x.astype(">f4")):
        out = np.empty(12, np.float32)
        base_kernels.copy_to(out, source)
        np.testing.assert_array_equal(out, x)


@pytest.mark.parametrize("last", [False, True])
def test_concat_and_pad_keep_the_memory_order(last):
    arrays = [
        np.random.default_rng(i).normal(size=(2, c, 6, 5, 9)) for i, c in enumerate((3, 16, 4))
    ]
    if last:
        arrays = [np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1) for a in arrays]
    joined = fg.concat(arrays, axis=1).numpy()
    np.testing.assert_array_equal(joined, np.concatenate(arrays, axis=1))
    padding = ((0, 0), (1, 0), (2, 1), (0, 0), (0, 3))
    padded = fg.pad(joined, padding, value=2.0).numpy()
    np.testing.assert_array_equal(padded, np.pad(joined, padding, constant_values=2.0))
    for a in (joined, padded):
        assert (a.transpose(0, 2, 3, 4, 1) if last else a).flags.c_contiguous
