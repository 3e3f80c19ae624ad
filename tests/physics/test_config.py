"""Descriptions: weaver-core's YAML, our TOML, and what is wrong with them."""

import itertools

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.physics.jets.features import KINEMATIC
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.streams import JetStream, read_jets

pytest.importorskip("awkward")

TOML = """
selection = "(jet_pt > 500) & (np.abs(jet_eta) < 2.5)"
vectors = ["part_energy", "part_px", "part_py", "part_pz"]
observers = ["jet_pt", "jet_eta"]
weight = "np.where(label_Tbqq, 0.5, 2.0)"

[new_variables]
part_pt_log = "np.log(np.hypot(part_px, part_py))"

[inputs.pf_features]
length = 32
vars = [["part_pt_log", 1.7, 0.7], "part_deta", { name = "part_charge", pad_value = -1 }]

[inputs.jet_observables]
vars = [["jet_mass", "auto"], ["jet_tau21", "auto"]]

[labels]
type = "index"
value = "label_Tbqq"
names = ["QCD", "top"]
"""


@pytest.fixture
def toml_file(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(TOML)
    return path


@pytest.mark.parametrize("kind", ["ttree", "rntuple", "parquet"])
def test_a_configuration_of_weaver_runs_unchanged(kind, weaver_file, file_of, jets):
    pytest.importorskip("yaml")
    config = DataConfig.load(weaver_file)
    read = read_jets(file_of(kind), config)
    chosen = (jets.pt > 500) & (np.abs(jets.eta) < 2.5)
    expected = jets[chosen]
    np.testing.assert_array_equal(read.vectors, expected.vectors)
    np.testing.assert_array_equal(read.labels, expected.labels)
    assert read.label_names == ("label_QCD", "label_Tbqq")
    # What the published constants make of the columns, computed here in another way.
    values, offsets = config.inputs.ragged(read, "features")
    pt = np.hypot(*expected.vectors.T[1:3])
    np.testing.assert_array_equal(offsets[:2], [0, min(32, expected.counts[0])])
    starts = expected.offsets
    kept = np.concatenate([np.arange(a, min(b, a + 32)) for a, b in itertools.pairwise(starts)])
    np.testing.assert_allclose(
        values[:, 0], np.clip((np.log(pt[kept]) - 1.7) * 0.7, -5, 5), atol=1e-5
    )
    np.testing.assert_array_equal(values[:, 5], expected.features["charge"][kept])
    assert set(read.observers) == {"jet_pt", "jet_eta", "jet_mass", "label_QCD", "label_Tbqq"}


def test_wrapped_rectangles_repeat_the_jet_and_the_mask_does_not(weaver_file, columns):
    pytest.importorskip("yaml")
    config = DataConfig.load(weaver_file)
    jets = read_jets(columns, config)
    values, mask = config.inputs.dense(jets, "features")
    short = int(np.argmin(jets.counts))
    n = jets.counts[short]
    assert n < 32
    np.testing.assert_array_equal(values[short, n], values[short, 0])
    flags, _ = config.inputs.dense(jets, "mask")
    np.testing.assert_array_equal(flags[..., 0], mask)
    assert mask[short].sum() == n


def test_other_selection_when_tagging(weaver_file, columns, jets):
    pytest.importorskip("yaml")
    config = DataConfig.load(weaver_file)
    stream = JetStream(columns, config, training=False)
    read = stream.read()
    assert len(read) == (jets.pt > 400).sum()
    assert set(read.observers) == {"jet_pt", "jet_eta"}
    without_truth = {k: v for k, v in columns.items() if not k.startswith("label_")}
    blind = JetStream(without_truth, config, training=False, truth=False).read()
    assert blind.labels is None
    np.testing.assert_array_equal(blind.vectors, read.vectors)


def test_our_toml_has_the_same_entries_and_more(toml_file, columns, jets):
    config = DataConfig.load(toml_file)
    read = read_jets(columns, config)
    assert read.label_names == ("QCD", "top")
    np.testing.assert_array_equal(np.unique(read.weights), [0.5, 2.0])
    inputs = config.inputs.fit(read)
    values = inputs.per_jet(read, "observables")
    np.testing.assert_allclose(np.median(values, axis=0), 0, atol=1e-6)
    dense, mask = inputs.dense(read, "features")
    assert (dense[~mask] == [0, 0, -1]).all()


def test_toml_and_yaml_give_the_same(weaver_file, tmp_path, columns):
    yaml = pytest.importorskip("yaml")
    from fieldgrad.engine.toml import to_toml

    table = yaml.safe_load(weaver_file.read_text())
    for group in table["inputs"].values():  # TOML has no null: "none" stands for it
        group["vars"] = [["none" if part is None else part for part in v] for v in group["vars"]]
    (tmp_path / "same.toml").write_text(to_toml(table))
    first, second = DataConfig.load(weaver_file), DataConfig.load(tmp_path / "same.toml")
    assert first.inputs == second.inputs
    ours, theirs = read_jets(columns, first), read_jets(columns, second)
    np.testing.assert_array_equal(ours.features["part_deltaR"], theirs.features["part_deltaR"])


def test_text_of_a_description_survives(weaver_file, toml_file, columns):
    pytest.importorskip("yaml")
    for path in (weaver_file, toml_file):
        config = DataConfig.load(path)
        again = DataConfig.from_json(config.to_json())
        assert again.inputs == config.inputs
        np.testing.assert_array_equal(
            read_jets(columns, again).vectors, read_jets(columns, config).vectors
        )


def test_automatic_standardization_skips_what_is_given():
    table = {
        "preprocess": {"method": "auto"},
        "inputs": {
            "pf_features": {"vars": ["a", ["b", None], ["c", 1.0, 2.0]], "length": 4},
            "pf_mask": {"vars": ["part_mask"], "length": 4},
        },
    }
    config = DataConfig.from_table(table)
    assert [v.center for v in config.inputs.group("features").variables] == ["auto", None, 1.0]
    assert config.inputs.group("mask").variables[0].center is None
    found = {"length": 4, "pad_mode": "constant", "center": 0.5, "scale": 3.0, "min": -5, "max": 5,
             "pad_value": 0}  # fmt: skip
    table["preprocess"]["params"] = {"a": found}  # as in an .auto.yaml
    variable = DataConfig.from_table(table).inputs.group("features").variables[0]
    assert (variable.center, variable.scale) == (0.5, 3.0)


def test_columns_follow_from_the_four_vectors_where_a_file_has_none(jets):
    read = read_jets(jets)  # constituents alone, in memory
    values, _ = KINEMATIC.ragged(read, "features")
    assert values.shape == (len(jets.vectors), 7)
    np.testing.assert_allclose(read.observers["jet_pt"], jets.pt, rtol=1e-6)
    np.testing.assert_array_equal(read.labels, jets.labels)
    assert read.label_names == jets.label_names


def test_custom_labels_are_classes_and_targets(columns, jets):
    value = {"truth": "ak.values_astype(label_Tbqq, 'int64')", "log_mass": "np.log(jet_mass)"}
    table = {"labels": {"type": "custom", "value": value}}
    read = read_jets(columns, DataConfig.from_table(table))
    np.testing.assert_array_equal(read.labels, jets.labels)
    np.testing.assert_allclose(read.observers["log_mass"], np.log(jets.mass), rtol=1e-4)


def test_names_of_branches_and_files_can_be_replaced(columns, file_of):
    path = file_of("ttree", "sample_top")
    table = {
        "branch_magic": {"pfcand_": "part_"},
        "file_magic": {"is_top": {"sample_top": 1, "sample_qcd": 0}, "is_w": {"sample_w": 1}},
        "vectors": ["pfcand_energy", "pfcand_px", "pfcand_py", "pfcand_pz"],
        "inputs": {"pf_features": {"vars": ["pfcand_deta"], "length": 8}},
        "observers": ["is_top", "is_w"],
    }
    read = read_jets(path, DataConfig.from_table(table))
    assert set(read.observers["is_top"]) == {1}
    assert set(read.observers["is_w"]) == {0}
    np.testing.assert_array_equal(
        read.features["pfcand_deta"], np.concatenate(columns["part_deta"].to_list(), dtype="f4")
    )


def test_functions_can_be_named_by_import_path(columns, jets):
    table = {"functions": {"double": "numpy:negative"}, "observers": ["y"],
             "new_variables": {"y": "double(jet_pt)"}}  # fmt: skip
    read = read_jets(columns, DataConfig.from_table(table))
    np.testing.assert_allclose(read.observers["y"], -jets.pt, rtol=1e-6)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"selektion": "x > 1"}, "no entry 'selektion'; did you mean 'selection'"),
        ({"selection": "open('x')"}, "there is no function 'open'"),
        ({"new_variables": {"a": "b", "b": "a"}}, "in a circle"),
        ({"inputs": {"f": {"vars": []}}}, "inputs.f: vars are missing"),
        ({"inputs": {"f": {"vars": ["a"], "lenght": 3}}}, "did you mean 'length'"),
        ({"inputs": {"f": {"vars": ["a"], "pad_mode": "edge"}}}, "expected 'constant' or 'wrap'"),
        ({"inputs": {"f": {"vars": [["a", "x"]]}}}, "expected numbers, null or 'auto'"),
        ({"inputs": {"f": {"vars": ["a"], "length": 0}}}, "length is 0"),
        ({"labels": {"type": "simple", "value": "a"}}, "expected\ntype simple and a list"),
        ({"labels": {"type": "simple", "value": ["a", "a"]}}, "expected different columns"),
        ({"unit": "Gev"}, "unit is 'Gev'; did you mean 'GeV'"),
        ({"vectors": ["px", "py"]}, "expected four columns"),
        ({"observers": "jet_pt"}, "expected a list"),
        ({"preprocess": {"method": "standard"}}, "expected 'manual' or 'auto'"),
        ({"weights": {"reweight_method": "flat"}}, "expected reweight_vars"),
        ({"weights": {"reweight_metod": "flat"}}, "did you mean 'reweight_method'"),
    ],
)
def test_wrong_entries_are_named(table, message):
    with pytest.raises(DataError, match=message):
        DataConfig.from_table(table)


def test_files_that_are_no_descriptions_are_named(tmp_path):
    pytest.importorskip("yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("selection: [")
    with pytest.raises(FileError, match=r"broken\.yaml is not YAML"):
        DataConfig.load(broken)
    (tmp_path / "x.toml").write_text("a = ")
    with pytest.raises(FileError, match=r"x\.toml is not TOML"):
        DataConfig.load(tmp_path / "x.toml")
    with pytest.raises(FileError, match="No such file"):
        DataConfig.load(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(DataError, match="expected a table of entries"):
        DataConfig.load(tmp_path / "list.yaml")
