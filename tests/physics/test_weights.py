"""Weights: sums with signs, and reweighting whose spectra can be checked."""

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.weights import Reweighting, check_weights, sum_weights

PT = (500.0, 550.0, 600.0, 700.0)
MASS = (0.0, 50.0, 100.0, 200.0)


def make_jets(n=4000, weights=None, seed=0):
    """Class 1 has higher pt and mass, and a third of the jets."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 1 / 3).astype(int)
    return JetBatch(
        np.zeros(n + 1, int),
        np.empty((0, 4)),
        labels=labels,
        label_names=("qcd", "top"),
        weights=weights,
        observers={
            "pt": 500 + 200 * rng.random(n) ** np.where(labels == 1, 0.5, 2.0),
            "mass": 200 * rng.random(n) ** np.where(labels == 1, 0.7, 1.5),
            "is_qcd": labels == 0,
            "is_top": labels == 1,
        },
    )


def settings(method="flat", **options):
    variables = {"pt": PT, "mass": MASS}
    return Reweighting(method, variables, ("is_qcd", "is_top"), threshold=0, **options)


def spectrum(jets, label, variable="pt", edges=PT):
    own = jets.labels == label
    return np.histogram(jets.observers[variable][own], edges, weights=jets.weights[own])[0]


def test_flat_weights_make_every_bin_of_every_class_alike():
    jets = make_jets()
    even = settings().fit(jets).apply(jets)
    for label in (0, 1):
        table, *_ = np.histogram2d(
            *(even.observers[name][even.labels == label] for name in ("pt", "mass")),
            bins=(PT, MASS), weights=even.weights[even.labels == label],
        )  # fmt: skip
        np.testing.assert_allclose(table, table[0, 0], rtol=1e-9)
    assert even.weights.sum() == pytest.approx(len(jets))


def test_a_reference_gives_its_spectrum_to_the_others():
    jets = make_jets()
    shaped = settings("ref").fit(jets).apply(jets)
    ratio = spectrum(shaped, 1) / spectrum(shaped, 0)
    np.testing.assert_allclose(ratio, 1, rtol=1e-9)
    original = spectrum(jets, 0)
    np.testing.assert_allclose(spectrum(shaped, 0) / original, spectrum(shaped, 0)[0] / original[0])


def test_classes_have_the_shares_asked_for():
    jets = make_jets()
    weighted = settings(class_weights=(3.0, 1.0)).fit(jets).apply(jets)
    qcd, top = sum_weights(weighted)
    assert qcd.total / top.total == pytest.approx(3.0)


def test_negative_weights_keep_their_signs_and_count():
    rng = np.random.default_rng(1)
    jets = make_jets(weights=np.where(rng.random(4000) < 0.2, -1.0, 1.0))
    fitted = settings().fit(jets)
    weighted = fitted.apply(jets)
    np.testing.assert_array_equal(np.sign(weighted.weights), np.sign(jets.weights))
    np.testing.assert_allclose(spectrum(weighted, 1), spectrum(weighted, 0), rtol=1e-9)
    drawn = fitted.resample(jets, np.random.default_rng(0), 60_000)
    assert set(drawn.weights) == {-1.0, 1.0}
    np.testing.assert_allclose(spectrum(drawn, 1), spectrum(drawn, 0), rtol=0.08)


def test_resampling_keeps_jets_in_order_at_most_once():
    jets = make_jets()
    drawn = settings().fit(jets).resample(jets, np.random.default_rng(1))
    assert 0 < len(drawn) < len(jets)
    assert (drawn.weights == 1).all()
    pt = drawn.observers["pt"]
    assert len(np.unique(pt)) == len(pt)
    top, qcd = spectrum(drawn, 1), spectrum(drawn, 0)
    assert (np.abs(top - qcd) < 4 * np.sqrt(top + qcd)).all()  # the statistical error


def test_jets_outside_of_the_bins_are_dropped_or_counted_in_the_nearest():
    jets = make_jets()
    jets.observers["pt"][:50] = 900.0
    assert (settings().fit(jets).factors(jets)[:50] == 0).all()
    kept = settings(discard_outside=False).fit(jets)
    assert (kept.factors(jets)[:50] > 0).all()


def test_the_threshold_keeps_rare_bins_from_ruling():
    jets = make_jets()
    gentle = Reweighting("flat", {"pt": PT}, ("is_qcd", "is_top"), threshold=60).fit(jets)
    factors = gentle.factors(jets)
    rare = (jets.labels == 0) & (jets.observers["pt"] >= 600)
    full = settings().fit(jets).factors(jets)
    assert factors[rare].max() / factors[jets.labels == 0].min() < (
        full[rare].max() / full[jets.labels == 0].min()
    )


def test_a_table_found_elsewhere_is_used_as_it_is():
    entry = {
        "use_precomputed_weights": False,
        "reweight_method": "flat",
        "reweight_vars": {"pt": list(PT)},
        "reweight_classes": ["is_qcd", "is_top"],
        "reweight_hists": {"is_qcd": [0.1, 0.2, 0.3], "is_top": [1.0, 1.0, 1.0]},
    }
    jets = make_jets()
    factors = Reweighting.from_table(entry).factors(jets)
    k = np.searchsorted(PT, jets.observers["pt"], side="right") - 1
    expected = np.where(jets.labels == 1, 1.0, np.array([0.1, 0.2, 0.3])[k])
    np.testing.assert_array_equal(factors, expected)


def test_sums_are_reported_with_their_signs():
    jets = make_jets(weights=np.where(np.arange(4000) % 4 == 0, -1.0, 1.0))
    for row, label in zip(sum_weights(jets), (0, 1), strict=True):
        w = jets.weights[jets.labels == label]
        assert (row.n_jets, row.n_negative) == (len(w), (w < 0).sum())
        assert (row.total, row.absolute) == (w.sum(), len(w))
        assert row.effective == pytest.approx(w.sum() ** 2 / len(w))


def test_weights_that_sum_to_nothing_are_refused():
    jets = make_jets(weights=np.zeros(4000))
    with pytest.raises(DataError, match="class qcd sum to 0"):
        check_weights(jets)
    with pytest.raises(DataError, match="no positive sum in any"):
        settings().fit(jets)
    check_weights(make_jets())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "flt"}, "expected flat or ref"),
        ({"class_weights": (1.0,)}, "expected 2 positive numbers"),
        ({"variables": {"pt": (1.0, 1.0)}}, "two or more, rising"),
        ({"threshold": 100}, "a percentile"),
        ({"classes": ()}, "reweight_classes"),
    ],
)
def test_wrong_settings_are_named(change, message):
    good = {"method": "flat", "variables": {"pt": PT}, "classes": ("is_qcd", "is_top")}
    with pytest.raises(DataError, match=message):
        Reweighting(**good | change)


def test_missing_columns_are_named():
    with pytest.raises(DataError, match="no 'ptt' among their observers; did you mean 'pt'"):
        Reweighting("flat", {"ptt": PT}, ("is_qcd",)).fit(make_jets())
    with pytest.raises(DataError, match=r"call Reweighting\.fit"):
        settings().apply(make_jets())


def test_classes_that_share_no_bin_cannot_follow_the_reference():
    jets = make_jets()
    jets.observers["pt"][:] = np.where(jets.labels == 1, 510.0, 650.0)
    with pytest.raises(DataError, match="is_top shares no bin with is_qcd"):
        settings("ref").fit(jets)
