"""scatter beside loops."""

import numpy as np
import pytest

import fieldgrad.engine as fg

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5))
INDEX = np.array([[0, 4, -1], [1, 1, 1]])
SOURCE = RNG.normal(size=(2, 3))
FOLD = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}


def by_loop(x, index, source, axis, reduce, include_self):
    meet = {at: [v] if include_self else [] for at, v in np.ndenumerate(x)}
    for at in np.ndindex(*index.shape):
        to = list(at)
        to[axis] = index[at] % x.shape[axis]
        meet[tuple(to)].append(source[at])
    out = x.copy()
    for at, values in meet.items():
        if values:
            out[at] = values[-1] if reduce is None else FOLD[reduce](values)
    return out


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", [None, "sum", "mean", "max", "min"])
@pytest.mark.parametrize(
    ("axis", "index", "source"), [(1, INDEX, SOURCE), (0, INDEX.T % 3, SOURCE.T)]
)
def test_values_are_those_of_a_loop_and_gradients_of_differences(
    axis, index, source, reduce, include_self
):
    def call(x, s):
        return fg.scatter(x, index, s, axis=axis, reduce=reduce, include_self=include_self)

    want = by_loop(X, index, source, axis, reduce, include_self)
    np.testing.assert_allclose(call(X, source).numpy(), want, rtol=1e-13)
    leaves = [fg.tensor(a, requires_grad=True) for a in (X, source)]
    for order in (1, 2):
        fg.gradcheck(call, leaves, order=order)


def test_equal_extrema_share_the_gradient():
    x = fg.tensor([1.0, 2.0], requires_grad=True)
    source = fg.tensor([2.0, 2.0], requires_grad=True)
    y = fg.scatter(x, [1, 1], source, axis=0, reduce="max")
    assert y.tolist() == [1.0, 2.0]
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [1, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(source.grad.numpy(), [1 / 3, 1 / 3], rtol=1e-6)


def test_nothing_whole_numbers_and_nan():
    x = fg.tensor([1, 2])
    nothing = np.zeros(0, int)
    assert fg.scatter(x, nothing, nothing, axis=0, reduce="max").tolist() == [1, 2]
    assert fg.scatter(x, [0], [7], axis=0, reduce="min", include_self=False).tolist() == [7, 2]
    y = fg.scatter(fg.tensor([1.0, 2.0]), [0], fg.tensor([np.nan]), axis=0, reduce="max").numpy()
    np.testing.assert_array_equal(y, [np.nan, 2])


def test_wrong_sizes_and_names_are_told():
    with pytest.raises(fg.errors.ShapeError, match="source has shape"):
        fg.scatter(X, INDEX, SOURCE[:1], axis=1)
    with pytest.raises(fg.errors.ShapeError, match="none longer"):
        fg.scatter(X[:1], INDEX, SOURCE, axis=1)
    with pytest.raises(ValueError, match="reduce = 'prod'"):
        fg.scatter(X, INDEX, SOURCE, axis=1, reduce="prod")
    with pytest.raises(IndexError):
        fg.scatter(X, INDEX + 9, SOURCE, axis=1)
