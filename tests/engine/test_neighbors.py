"""Distances and nearest neighbors: what is special about them beyond the op table."""

import itertools

import numpy as np
import pytest
from references import REFERENCES

import fieldgrad.engine as fg


def clouds(n_clouds=5, n=64, dims=3, dtype=np.float32):
    return np.random.default_rng(0).normal(size=(n_clouds, n, dims)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "dims", "k"), [(64, 2, 16), (33, 3, 1), (601, 2, 20), (128, 130, 7)])
def test_neighbors_are_those_of_all_pairs(n, dims, k, dtype):
    x = clouds(2, n, dims, dtype)
    got = fg.knn(x, k=k).numpy()
    # Squares in the kernel's precision: the order of nearly equal ones may differ from float64.
    squares = fg.cdist(x, x, squared=True).numpy()
    want = REFERENCES["knn"](x.astype(np.float64), k=k)
    given, wanted = (np.take_along_axis(squares, index, axis=-1) for index in (got, want))
    np.testing.assert_allclose(given, wanted, rtol=1e-5)
    assert (got == want).mean() > 0.999
    assert not (got == np.arange(n)[:, None]).any()


def test_of_equal_distances_the_lower_number_comes_first():
    grid = np.stack(np.meshgrid(*[np.arange(5.0)] * 2), axis=-1).reshape(1, 25, 2)
    np.testing.assert_array_equal(fg.knn(grid, k=9), REFERENCES["knn"](grid, k=9))
    same = np.zeros((1, 7, 2))
    assert fg.knn(same, k=3).tolist()[0][0] == [1, 2, 3]
    assert fg.knn(same, k=3, include_self=True).tolist()[0][5] == [0, 1, 2]


def test_masked_points_are_nobodys_neighbors():
    x, lengths = clouds(4, 20), np.array([0, 1, 7, 20])
    mask = np.arange(20) < lengths[:, None]
    x[~mask] = 0.0
    index = fg.knn(x, mask, k=8).numpy()
    for cloud, length in enumerate(lengths):
        assert (index[cloud, length:] == -1).all()
        if length:
            alone = fg.knn(x[cloud, :length], k=8).numpy()
            np.testing.assert_array_equal(index[cloud, :length], alone)
    assert (index[2, :7, 6:] == -1).all()
    assert (index[2, :7, :6] >= 0).all()


def test_clouds_of_unequal_size_are_as_each_alone():
    counts = np.array([3, 0, 40, 1, 17, 300, 8])
    offsets = np.concatenate([[0], counts.cumsum()])
    x = clouds(1, offsets[-1])[0].round(1)  # with ties
    index = fg.knn(x, k=8, offsets=offsets).numpy()
    for begin, end in itertools.pairwise(offsets):
        if end > begin:
            alone = fg.knn(x[begin:end], k=8).numpy()
            np.testing.assert_array_equal(index[begin:end], np.where(alone < 0, -1, alone + begin))
    with pytest.raises(IndexError, match="rise from 0 to the number of points"):
        fg.knn(x, k=8, offsets=offsets[:-1])
    with pytest.raises(fg.errors.ShapeError, match="the points of all clouds end to end"):
        fg.knn(x[None], k=8, offsets=offsets)


def test_points_at_undefined_or_infinite_distance_are_no_neighbors():
    x = np.array([[0.0], [np.nan], [1.0], [np.inf]])
    with np.errstate(invalid="ignore"):
        assert fg.knn(x, k=2).tolist() == [[2, -1], [-1, -1], [0, -1], [-1, -1]]


@pytest.mark.parametrize("k", [0, 257])
def test_k_is_limited(k):
    with pytest.raises(fg.errors.ShapeError, match=f"k = {k}; expected 1 to 256"):
        fg.knn(clouds(), k=k)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distances_survive_a_large_offset(dtype):
    x = clouds(dtype=dtype)
    x = (x + dtype(4096)).astype(dtype)
    want = REFERENCES["cdist"](x.astype(np.float64), x.astype(np.float64))
    got = fg.cdist(x, x).numpy()
    assert np.linalg.norm(got - want) <= 1e-6 * np.linalg.norm(want)


def test_gradients_survive_a_large_offset():
    x = clouds()
    gradients = []
    for points in (x + np.float32(4096), (x + np.float32(4096)).astype(np.float64)):
        leaf = fg.tensor(points, requires_grad=True)
        gradients.append(fg.grad(fg.square(fg.cdist(leaf, leaf)).sum(), leaf).numpy())
    assert np.linalg.norm(gradients[0] - gradients[1]) <= 1e-5 * np.linalg.norm(gradients[1])


def test_the_gradient_at_coincident_points_is_zero():
    x = fg.tensor(np.zeros((2, 3)), requires_grad=True)
    first = fg.grad(fg.cdist(x, x).sum(), x, create_graph=True)
    assert first.tolist() == [[0.0] * 3] * 2
    assert np.isfinite(fg.grad(first.sum(), x).numpy()).all()


def test_nan_stays_with_its_point():
    x = clouds(1, 6)[0]
    x[2, 1] = np.nan
    nan = np.isnan(fg.cdist(x, x).numpy())
    assert nan[2].all()
    assert nan[:, 2].all()
    assert nan.sum() == 11


def test_results_are_bitwise_the_same_for_any_number_of_threads_and_batch():
    x = clouds(40, 70)
    before, found = fg.get_num_threads(), []
    try:
        for n_threads in (1, 2, 3, 4):
            fg.set_num_threads(n_threads)
            leaf = fg.tensor(x, requires_grad=True)
            y = fg.cdist(leaf, leaf)
            found.append((y.numpy(), fg.grad(y.sum(), leaf).numpy(), fg.knn(x, k=5).numpy()))
    finally:
        fg.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(fg.cdist(x[7], x[7]), found[0][0][7])
    np.testing.assert_array_equal(fg.knn(x[7], k=5), found[0][2][7])


def test_neighbors_hold_their_rows_and_give_gradients_back():
    x = fg.tensor(clouds(3, 9), requires_grad=True)
    mask = np.arange(9) < np.array([[9], [3], [0]])
    index = fg.knn(x, mask, k=4).numpy()
    y = fg.gather_neighbors(x, index)
    for place in np.ndindex(index.shape):
        want = x.numpy()[place[0], index[place]] if index[place] >= 0 else np.zeros(3)
        np.testing.assert_array_equal(y.numpy()[place], want)
    y.sum().backward()
    counts = [np.bincount(c[c >= 0], minlength=9) for c in index]
    np.testing.assert_array_equal(x.grad.numpy()[..., 0], counts)


def test_a_neighbor_beyond_the_cloud_is_an_error():
    with pytest.raises(IndexError, match="index 9; expected -1 to 8"):
        fg.gather_neighbors(fg.tensor(clouds(1, 9)), np.full((1, 2, 2), 9))
