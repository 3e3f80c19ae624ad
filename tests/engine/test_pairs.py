import numpy as np
import pytest

import fieldgrad.engine as fg

RNG = np.random.default_rng(0)


def made(n=6, n_pairs=9, shape=(5,)):
    x, w = RNG.normal(size=(n, *shape)), RNG.normal(size=(n_pairs, *shape))
    return x, w, RNG.integers(0, n, (2, n_pairs))


@pytest.mark.parametrize("antisymmetric", [False, True])
@pytest.mark.parametrize("shape", [(5,), (), (3, 17), (0,)])
def test_pair_ops_are_their_composites(shape, antisymmetric):
    x, w, pairs = made(shape=shape)
    i, j = pairs
    sign = -1 if antisymmetric else 1
    want = np.zeros_like(x)
    np.add.at(want, i, x[j] * w)
    np.add.at(want, j, sign * x[i] * w)
    got = fg.pair_sum(x, w, pairs, antisymmetric=antisymmetric)
    np.testing.assert_allclose(got.numpy(), want, atol=1e-12)
    got = fg.pair_product(x, x[::-1].copy(), pairs, antisymmetric=antisymmetric)
    want = x[i] * x[::-1][j] + sign * x[j] * x[::-1][i]
    np.testing.assert_allclose(got.numpy(), want, atol=1e-12)


def test_pair_sum_does_not_depend_on_the_number_of_threads():
    n, threads = 20_000, fg.get_num_threads()
    x = RNG.normal(size=(1000, 48)).astype(np.float32)
    w = RNG.normal(size=(n, 48)).astype(np.float32)
    pairs = RNG.integers(0, 1000, (2, n))
    found = []
    try:
        for count in (1, 3):
            fg.set_num_threads(count)
            found.append(fg.pair_sum(x, w, pairs).numpy())
    finally:
        fg.set_num_threads(threads)
    np.testing.assert_array_equal(*found)


def test_pair_sum_refuses_rows_that_do_not_exist():
    x, w, pairs = made()
    pairs[1, 4] = 6
    with pytest.raises(IndexError, match=r"pairs\[1, 4\] = 6; expected 0 to 5"):
        fg.pair_sum(x, w, pairs)
    with pytest.raises(fg.errors.ShapeError, match=r"expected \(row, …\), \(pair, …\)"):
        fg.pair_sum(x, w[1:], pairs)
    with pytest.raises(fg.errors.ShapeError, match="expected"):
        fg.pair_product(x, x[1:], pairs)
