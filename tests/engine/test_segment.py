"""Segments and rows by index: what is special about them beyond the op table."""

import numpy as np
import pytest

import fieldgrad.engine as fg

REDUCTIONS = (fg.segment_sum, fg.segment_mean, fg.segment_max, fg.segment_min, fg.segment_softmax)


def graph(n_rows=3000, n_segments=170, n_features=21, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    return x, rng.integers(0, n_segments, n_rows), n_segments


def with_gradient(reduction, x, ids, n):
    leaf = fg.tensor(x, requires_grad=True)
    y = reduction(leaf, ids, num_segments=n)
    g = np.linspace(1, 2, y.size, dtype=x.dtype).reshape(y.shape)
    return y.numpy(), fg.grad(y, leaf, fg.tensor(g)).numpy()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_results_are_bitwise_the_same_for_any_number_of_threads(reduction):
    x, ids, n = graph(n_rows=40_000)
    before, found = fg.get_num_threads(), []
    try:
        for n_threads in (1, 2, 3, 4):
            fg.set_num_threads(n_threads)
            found.append(with_gradient(reduction, x, ids, n))
    finally:
        fg.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(other[0], found[0][0])
        np.testing.assert_array_equal(other[1], found[0][1])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_sorting_the_rows_by_segment_changes_nothing(reduction):
    x, ids, n = graph()
    order = np.argsort(ids, kind="stable")
    want, want_gradient = with_gradient(reduction, x, ids, n)
    got, got_gradient = with_gradient(reduction, x[order], ids[order], n)
    rows = order if reduction is fg.segment_softmax else slice(None)
    np.testing.assert_array_equal(got, want[rows])
    if reduction is not fg.segment_softmax:  # whose incoming gradients stay in place
        np.testing.assert_array_equal(got_gradient, want_gradient[order])


@pytest.mark.parametrize("reduction", REDUCTIONS[:4])
def test_a_segment_does_not_depend_on_the_others(reduction):
    x, ids, n = graph()
    together = reduction(x, ids, num_segments=n).numpy()
    for s in (0, 7, n - 1):
        alone = reduction(x[ids == s], np.zeros((ids == s).sum(), int), num_segments=1)
        np.testing.assert_array_equal(alone.numpy()[0], together[s])


def test_segments_without_rows():
    x, ids = np.ones((2, 3), np.float32), np.array([1, 1])
    values = {r: r(x, ids, num_segments=3).numpy()[[0, 2]] for r in REDUCTIONS[:4]}
    assert (values[fg.segment_sum] == 0).all()
    assert (values[fg.segment_mean] == 0).all()
    assert (values[fg.segment_max] == -np.inf).all()
    assert (values[fg.segment_min] == np.inf).all()
    assert fg.segment_sum(np.ones((0, 3)), np.zeros(0, int), num_segments=0).shape == (0, 3)


@pytest.mark.parametrize("ids", [[0, 3, 1], [0, -1, 1]])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_an_id_out_of_range_is_named(reduction, ids):
    with pytest.raises(IndexError, match=rf"segment_ids\[1\] = {ids[1]}; expected 0 to 2"):
        reduction(np.ones(3), np.array(ids), num_segments=3)


def test_an_index_out_of_range_is_named():
    with pytest.raises(IndexError, match=r"index\[1, 0\] = 4; expected 0 to 3"):
        fg.gather(np.ones(4), np.array([[0, 1], [4, 2]]))
    with pytest.raises(IndexError, match=r"index\[0\] = -2"):
        fg.gather(np.ones(4), np.array([-2]), skip_missing=True)


def test_ids_must_be_integers():
    with pytest.raises(fg.errors.DTypeError, match="segment_ids has dtype float64"):
        fg.segment_sum(np.ones(3), np.zeros(3), num_segments=1)


def test_there_must_be_an_id_for_each_row():
    with pytest.raises(fg.errors.ShapeError, match="one id for each row"):
        fg.segment_sum(np.ones(3), np.zeros(2, int), num_segments=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_stays_in_its_segment_and_feature(dtype):
    x = np.arange(8.0, dtype=dtype).reshape(4, 2)
    x[2, 1] = np.nan
    ids = np.array([0, 1, 1, 0])
    for reduction in REDUCTIONS:
        y = reduction(x, ids, num_segments=2).numpy()
        if reduction is fg.segment_softmax:
            np.testing.assert_array_equal(np.isnan(y), [[0, 0], [0, 1], [0, 1], [0, 0]])
        else:
            np.testing.assert_array_equal(np.isnan(y), [[0, 0], [0, 1]])


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_a_long_float32_sum_is_accurate(offset):
    x, ids, _ = graph(n_rows=200_000, n_features=3)
    x += np.float32(offset)
    got = fg.segment_sum(x, ids % 2, num_segments=2).numpy()
    want = np.stack([x[ids % 2 == s].sum(axis=0, dtype=np.float64) for s in range(2)])
    assert np.linalg.norm(got - want) <= 1e-5 * np.linalg.norm(want)


def test_the_gradient_of_a_maximum_goes_to_the_first_of_equals():
    x = fg.tensor([2.0, 5.0, 5.0, 2.0], requires_grad=True)
    fg.segment_max(x, np.array([0, 1, 1, 0]), num_segments=3)[:2].sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_softmax_survives_large_values():
    y = fg.segment_softmax(np.float32([1e30, -1e30, 1e30, -np.inf]), np.zeros(4, int),
                           num_segments=1)  # fmt: skip
    assert y.tolist() == [0.5, 0.0, 0.5, 0.0]


def test_missing_rows_give_zeros_and_get_nothing():
    x = fg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = fg.gather(x, np.array([[1, -1]]), skip_missing=True)
    assert y.tolist() == [[[3.0, 4.0], [0.0, 0.0]]]
    y.sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_gather_takes_any_dtype():
    for dtype in (np.int64, np.int16, bool, np.float64):
        x = np.array([[0, 1, 1], [1, 1, 0]], dtype)
        assert fg.gather(x, np.array([1, 0, 1])).numpy().tolist() == x[[1, 0, 1]].tolist()


def test_indexing_with_an_array_has_the_gradient_of_gather():
    rng = np.random.default_rng(0)
    x, index = rng.normal(size=(6, 2)), np.array([[0, -1], [5, 2]])
    leaves = [fg.tensor(x, requires_grad=True) for _ in range(2)]
    g = rng.normal(size=(2, 2, 2))
    leaves[0][index].backward(g)
    fg.gather(leaves[1], index % 6).backward(g)
    assert leaves[0].grad.tolist() == leaves[1].grad.tolist()
