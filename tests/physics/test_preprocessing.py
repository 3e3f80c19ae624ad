"""Standardization: its constants, where they are stored, and the file that CMSSW reads."""

import json

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError
from fieldgrad.physics.jets.batch import JetBatch
from fieldgrad.physics.jets.features import KINEMATIC, kinematic_columns, kinematic_features
from fieldgrad.physics.jets.preprocessing import InputGroup, Preprocessing, Variable
from fieldgrad.physics.reading.datasets import describe, made_up_jets
from fieldgrad.physics.reading.streams import read_jets


def group(*variables, **options):
    return Preprocessing((InputGroup("pf_features", variables, **options),))


@pytest.fixture
def jets():
    return kinematic_features(made_up_jets(50))


def test_median_and_percentiles_become_zero_and_one():
    rng = np.random.default_rng(0)
    values = rng.normal(3.0, 2.0, 100_000)
    fitted = Variable("x", "auto").fitted(values)
    assert fitted.center == pytest.approx(3.0, abs=0.03)
    assert 1 / fitted.scale == pytest.approx(2.0, rel=0.02)  # 84th percentile: one sigma
    assert Variable("x", "auto").fitted(np.full(10, 7.0)).scale == 1.0


def test_standardized_columns_stay_within_their_bounds():
    column = Variable("x", 1.0, 2.0, low=-3, high=4).apply(np.array([-100.0, 1.0, 2.0, 100.0]))
    assert column.tolist() == [-3.0, 0.0, 2.0, 4.0]
    assert column.dtype == np.float32
    assert Variable("x").apply(np.array([-100.0, 100.0])).tolist() == [-100.0, 100.0]


def test_large_offsets_do_not_lose_digits():
    column = Variable("x", 1e9, 1.0).apply(1e9 + np.array([0.25, 0.5]))
    assert column.tolist() == [0.25, 0.5]


def test_the_first_constituents_are_kept(jets):
    values, offsets = group(Variable("part_deta"), length=7).ragged(jets, "features")
    assert np.diff(offsets).tolist() == np.minimum(jets.counts, 7).tolist()
    for i in range(len(jets)):
        mine = values[offsets[i] : offsets[i + 1], 0]
        all_of_it = jets.features["part_deta"][jets.offsets[i] : jets.offsets[i + 1]]
        np.testing.assert_array_equal(mine, all_of_it[:7])


def test_ragged_and_dense_hold_the_same(jets):
    inputs = group(Variable("part_deta", "auto"), Variable("part_pt_log", "auto"), length=20)
    inputs = inputs.fit(jets)
    values, offsets = inputs.ragged(jets, "features")
    dense, mask = inputs.dense(jets, "features")
    np.testing.assert_array_equal(dense[mask], values)
    assert dense.shape == (50, 20, 2)
    assert mask.sum() == offsets[-1]


def test_constants_are_found_once_and_stored(jets):
    inputs = group(Variable("part_deta", "auto"))
    assert not inputs.is_fitted
    with pytest.raises(DataError, match="the median of 'part_deta' is still to be found"):
        inputs.ragged(jets, "features")
    fitted = inputs.fit(jets)
    again = Preprocessing.from_json(fitted.to_json())
    assert again == fitted
    assert again.is_fitted
    np.testing.assert_array_equal(
        again.ragged(jets[:3], "features")[0], fitted.ragged(jets, "features")[0][: jets.offsets[3]]
    )


def test_file_for_cmssw_has_its_keys(tmp_path):
    table = KINEMATIC.write_cmssw(tmp_path / "preprocess.json", ["QCD", "top"])
    assert json.loads((tmp_path / "preprocess.json").read_text()) == table
    assert table["output_names"] == ["QCD", "top"]
    assert table["input_names"] == ["pf_points", "pf_features", "pf_vectors", "pf_mask"]
    features = table["pf_features"]
    assert features["var_length"] == 128
    assert features["var_names"][0] == "part_pt_log"
    assert features["var_infos"]["part_pt_log"] == {
        "median": 1.7, "norm_factor": 0.7, "replace_inf_value": 0, "lower_bound": -5.0,
        "upper_bound": 5.0, "pad": 0.0,
    }  # fmt: skip
    assert features["var_infos"]["part_deta"]["upper_bound"] == 1e32
    with pytest.raises(DataError, match="Call fit first"):
        group(Variable("x", "auto")).write_cmssw(tmp_path / "x.json", [])


def test_what_the_jets_do_not_have_is_named(jets):
    with pytest.raises(DataError, match="no 'part_det'; did you mean 'part_deta'"):
        group(Variable("part_det")).ragged(jets, "features")
    with pytest.raises(DataError, match="no input 'feature'; did you mean 'pf_features'"):
        group(Variable("part_deta")).group("feature")
    observed = jets.replace(observables={"jet_mass": jets.mass})
    with pytest.raises(DataError, match="a number per jet"):
        group(Variable("jet_mass")).ragged(observed, "features")


def test_kinematic_columns_do_not_see_where_the_jet_points(jets):
    turned = jets.vectors.astype(float)
    angle = 2.0
    px, py = turned[:, 1].copy(), turned[:, 2].copy()
    turned[:, 1] = np.cos(angle) * px - np.sin(angle) * py
    turned[:, 2] = np.sin(angle) * px + np.cos(angle) * py
    names = KINEMATIC.group("features").names
    before = kinematic_columns(jets.replace(vectors=jets.vectors.astype(float)), names)
    after = kinematic_columns(jets.replace(vectors=turned), names)
    for name in names:
        np.testing.assert_allclose(after[name], before[name], atol=1e-9, err_msg=name)


def test_distances_change_sign_with_the_hemisphere(jets):
    mirrored = jets.vectors * np.float32([1, 1, 1, -1])
    before, after = (
        kinematic_columns(j, ["part_deta"])["part_deta"]
        for j in (jets, jets.replace(vectors=mirrored))
    )
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_observables_of_jets_are_computed_where_a_file_has_none(jets):
    bare = JetBatch(jets.offsets, jets.vectors)
    pytest.importorskip("awkward")
    config = describe(bare, observables=True)
    read = read_jets(bare, config)
    values = config.inputs.fit(read).per_jet(read, "observables")
    assert values.shape == (50, 10)
    np.testing.assert_allclose(read.observables["jet_mass"], jets.mass, rtol=1e-5)
