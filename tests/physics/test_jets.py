"""Jet batches: taking, joining, padding, and the way to awkward arrays and back."""

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError
from fieldgrad.physics.jets.batch import JetBatch, concatenate, pad


def make_jets(counts=(3, 0, 5, 1), seed=0):
    rng = np.random.default_rng(seed)
    n, n_jets = sum(counts), len(counts)
    momenta = rng.normal(0, 30, (n, 3))
    return JetBatch(
        np.cumsum([0, *counts]),
        np.column_stack([np.linalg.norm(momenta, axis=1), momenta]),
        features={"charge": rng.integers(-1, 2, n)},
        labels=rng.integers(0, 2, n_jets),
        label_names=("qcd", "top"),
        weights=rng.normal(1, 1, n_jets),
        observables={"tau21": rng.random(n_jets)},
        observers={"event": np.arange(n_jets)},
    )


def one_jet(jets, i):
    rows = slice(jets.offsets[i], jets.offsets[i + 1])
    return jets.vectors[rows], jets.features["charge"][rows], jets.labels[i], jets.weights[i]


@pytest.mark.parametrize(
    "index", [slice(1, 3), [3, 0, 0, 2], [False, True, True, False], -1, [], slice(None, None, -1)]
)
def test_taking_jets_takes_all_that_belongs_to_them(index):
    jets = make_jets()
    taken = jets[index]
    rows = np.atleast_1d(np.arange(len(jets))[np.asarray(index, int) if index == [] else index])
    assert len(taken) == len(rows)
    np.testing.assert_array_equal(taken.observers["event"], rows)
    np.testing.assert_array_equal(taken.observables["tau21"], jets.observables["tau21"][rows])
    for position, row in enumerate(rows):
        for ours, original in zip(one_jet(taken, position), one_jet(jets, row), strict=True):
            np.testing.assert_array_equal(ours, original)


def test_joining_parts_gives_the_whole():
    jets = make_jets()
    again = concatenate([jets[:1], jets[1:1], jets[1:]])
    np.testing.assert_array_equal(again.offsets, jets.offsets)
    np.testing.assert_array_equal(again.vectors, jets.vectors)
    np.testing.assert_array_equal(again.labels, jets.labels)
    np.testing.assert_array_equal(again.features["charge"], jets.features["charge"])


def test_joining_different_columns_is_refused():
    jets = make_jets()
    with pytest.raises(DataError, match="batch 1 differs from the first in its features charge"):
        concatenate([jets, jets.replace(features={})])


def test_jet_momenta_are_sums():
    jets = make_jets()
    for i in range(len(jets)):
        expected = one_jet(jets, i)[0].sum(0)
        np.testing.assert_allclose(jets.momenta[i], expected, atol=1e-12)
    assert jets.mass[1] == 0
    assert jets.pt[1] == 0
    squared = jets.momenta[:, 0] ** 2 - (jets.momenta[:, 1:] ** 2).sum(1)
    np.testing.assert_allclose(jets.mass[[0, 2]] ** 2, squared[[0, 2]])


def test_dense_and_mask_hold_the_same_constituents():
    jets = make_jets()
    dense, mask = jets.to_dense()
    assert dense.shape == (4, 5, 4)
    assert mask.sum() == 9
    np.testing.assert_array_equal(dense[mask], jets.vectors)
    assert not dense[~mask].any()
    cut, mask = jets.to_dense(2, ["charge"])
    assert cut.shape == (4, 2, 1)
    assert mask.sum(1).tolist() == [2, 0, 2, 1]
    np.testing.assert_array_equal(cut[2, :, 0], jets.features["charge"][3:5])


def test_wrapping_repeats_the_jet():
    dense, mask = pad(np.arange(4), np.array([0, 3, 3, 4]), 7, mode="wrap", value=-1)
    assert dense.tolist() == [[0, 1, 2, 0, 1, 2, 0], [-1] * 7, [3] * 7]
    assert mask.sum(1).tolist() == [3, 0, 1]


def test_awkward_round_trip_keeps_everything():
    pytest.importorskip("vector")
    jets = make_jets()
    array = jets.to_awkward()
    np.testing.assert_allclose(array.constituents.pt[2], np.hypot(*jets.vectors[3:8, 1:3].T))
    again = JetBatch.from_awkward(array.constituents, labels=array.label, weights=array.weight)
    np.testing.assert_array_equal(again.vectors, jets.vectors)
    np.testing.assert_array_equal(again.offsets, jets.offsets)
    np.testing.assert_array_equal(again.features["charge"], jets.features["charge"])
    np.testing.assert_array_equal(again.labels, jets.labels)


def test_awkward_polar_components_are_understood():
    ak = pytest.importorskip("awkward")
    jets = make_jets()
    vectors = jets.to_awkward().constituents
    polar = ak.zip({name: getattr(vectors, name) for name in ("pt", "eta", "phi", "mass")})
    again = JetBatch.from_awkward(polar)
    np.testing.assert_allclose(again.vectors, jets.vectors, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1, 2, 0]}, r"the label of jet 2 is 2; expected 0 to 1 \(qcd, top\)"),
        ({"labels": [0, 0.5, 1, 0]}, "the label of jet 1 is 0.5"),
        ({"weights": [1, np.nan, 1, 1]}, "the weight of jet 1 is nan"),
        ({"weights": [1, 1]}, r"weights has shape \(2,\); the offsets say \(4,\)"),
        ({"offsets": [0, 5, 3, 9, 9]}, "do not fall"),
        ({"vectors": np.full((9, 4), np.nan)}, "9 four-vectors are not finite, the first in jet 0"),
        ({"observers": {"run": [1]}}, r"observers\['run'\] has shape \(1,\)"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        make_jets().replace(**change)
