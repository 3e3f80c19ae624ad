"""What is wrong with data is said: which column, which jet, which cut, and how to go on."""

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError
from fieldgrad.physics.jets.features import KINEMATIC, kinematic_features
from fieldgrad.physics.reading.columns import find_vectors
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.datasets import describe, made_up_jets
from fieldgrad.physics.reading.streams import read_jets

ak = pytest.importorskip("awkward")

FEATURES = {"inputs": {"pf_features": {"vars": ["part_charge"], "length": 8}}}


def read(columns, **table):
    return read_jets(columns, DataConfig.from_table(table))


def test_missing_branches_are_listed_with_suggestions(columns):
    with pytest.raises(DataError, match=r"no column 'jet_tau9'; did you mean 'jet_") as caught:
        read(columns, observers=["jet_tau9"], selection="part_enrgy > 0")
    assert "'part_enrgy'; did you mean 'part_energy'" in str(caught.value)


def test_momenta_in_mev_are_noticed(columns):
    in_mev = {n: c * 1000 if n in ("part_px", "part_py", "part_pz", "part_energy") else c
              for n, c in columns.items()}  # fmt: skip
    with pytest.raises(DataError, match=r'seems to be in MeV[\s\S]*unit = "MeV"'):
        read(in_mev)
    converted, before = read(in_mev, unit="MeV"), read(columns)
    np.testing.assert_allclose(converted.vectors, before.vectors, rtol=1e-5)
    assert len(read(in_mev, unit="GeV")) == len(before)  # whoever says so is believed


def test_momenta_in_tev_are_noticed(columns):
    in_tev = {n: c / 1e5 if n.startswith("part_") else c for n, c in columns.items()}
    with pytest.raises(DataError, match="seems to be in TeV"):
        read(in_tev)


def test_a_selection_that_drops_all_says_which_cut_did_it(columns, jets):
    with pytest.raises(DataError) as caught:
        read(columns, selection="(jet_pt > 0) & (jet_pt > 580000) & (jet_eta < 9)")
    message = str(caught.value)
    assert f"drops all {len(jets)} jets: none is left after 'jet_pt > 580000'" in message
    assert f"jet_pt > 0: {len(jets)} pass it, {len(jets)} are left" in message
    assert f"jet_eta < 9: {len(jets)} pass it, 0 are left" in message


def test_features_that_are_nan_are_named(columns):
    table = {"new_variables": {"bad": "np.log(part_px)"},
             "inputs": {"pf_features": {"vars": [["bad", 0.0, 1.0]]}}}  # fmt: skip
    jets = read(columns, **table)
    config = DataConfig.from_table(table)
    with pytest.raises(DataError, match=r"'bad' is nan in jet \d+, and not finite in \d+ of"):
        config.inputs.ragged(jets, "features")
    replaced = DataConfig.from_table(table | {"replace_nan": 0.0}).inputs
    values, _ = replaced.ragged(jets, "features")
    assert np.isfinite(values).all()


def test_infinities_are_clipped_where_there_are_bounds():
    jets = kinematic_features(made_up_jets(3))
    features = dict(jets.features)
    features["part_pt_log"] = np.where(np.arange(len(jets.vectors)) == 2, -np.inf, 0)
    features["part_deta"] = np.where(np.arange(len(jets.vectors)) == 2, np.inf, 0)
    values, _ = KINEMATIC.ragged(jets.replace(features={**jets.features, **{
        "part_pt_log": features["part_pt_log"]}}), "features")  # fmt: skip
    assert values[2, 0] == -5
    with pytest.raises(DataError, match="'part_deta' is inf in jet 0"):
        KINEMATIC.ragged(jets.replace(features=features), "features")


def test_labels_out_of_range_are_named(columns):
    columns["truth"] = np.where(np.arange(60) == 7, 2, 0)
    label = {"type": "index", "value": "truth", "names": ["QCD", "top"]}
    with pytest.raises(DataError, match=r"label of jet 7 is 2; expected 0 to 1 \(QCD, top\)"):
        read(columns, labels=label)


def test_jets_without_exactly_one_label_are_named(columns):
    columns["label_QCD"] = columns["label_QCD"] & (np.arange(60) != 3)
    columns["label_Tbqq"] = columns["label_Tbqq"] & (np.arange(60) != 3)
    with pytest.raises(DataError, match=r"1 of 60 selected jets do not have exactly one label"):
        read(columns, labels={"type": "simple", "value": ["label_QCD", "label_Tbqq"]})


def test_columns_of_two_collections_are_refused(columns):
    columns["sv_mass"] = ak.Array([[1.0]] * 60)
    with pytest.raises(DataError, match=r"'sv_mass' has 1 entries in jet \d") as e:
        read(columns, inputs={"sv_features": {"vars": ["part_charge", "sv_mass"]}})
    assert "one collection" in str(e.value)


def test_padded_columns_are_trimmed(columns, jets):
    table = {"new_variables": {
        "regular": "ak.to_regular(ak.fill_none(ak.pad_none(part_charge, 64, clip=True), 9))",
        "padded": "_pad(part_charge, 64, value=9)"}}  # fmt: skip
    got = read(columns, **table, inputs={"f": {"vars": ["regular", "padded"]}})
    np.testing.assert_array_equal(got.features["regular"], jets.features["charge"])
    np.testing.assert_array_equal(got.features["padded"], jets.features["charge"])
    table["new_variables"]["padded"] = "_pad(part_charge, 4)"
    with pytest.raises(DataError, match="Leave out the padding"):
        read(columns, **table, inputs={"f": {"vars": ["padded"]}})


def test_observers_and_cuts_are_one_number_per_jet(columns):
    with pytest.raises(DataError, match="observer 'part_px' has several numbers per jet"):
        read(columns, observers=["part_px"])
    with pytest.raises(DataError, match=r"ak\.any"):
        read(columns, selection="part_px > 0")


def test_constituents_need_four_vectors():
    columns = {"part_deta": ak.Array([[0.1], [0.2, 0.3]])}
    with pytest.raises(DataError, match="four-vectors were not found"):
        read(columns, inputs={"f": {"vars": ["part_deta"]}})
    with pytest.raises(DataError, match="no four-vectors of constituents are to be told"):
        describe(columns)


def test_files_of_numbers_per_event_need_none():
    columns = {"met": np.array([10.0, 30.0]), "signal": np.array([0, 1])}
    events = read(columns, inputs={"event_observables": {"vars": ["met"]}},
                  labels={"type": "index", "value": "signal", "names": ["b", "s"]})  # fmt: skip
    assert events.observables["met"].tolist() == [10.0, 30.0]
    assert len(events) == 2


def test_weights_that_are_not_finite_are_named(columns):
    with pytest.raises(DataError, match=r"weight of jet 0 is (nan|inf)"):
        read(columns, weight="np.log(0 * jet_pt - 1)")


def test_weights_that_sum_to_nothing_are_refused(columns):
    with pytest.raises(DataError, match=r"the weights of the 60 jets of class all sum to 0"):
        read(columns, weight="0 * jet_pt")
    labels = {"type": "simple", "value": ["label_QCD", "label_Tbqq"]}
    with pytest.raises(DataError, match=r"class label_Tbqq sum to -\d+ \(\d+ are negative\)"):
        read(columns, weight="np.where(label_Tbqq, -1., 1.)", labels=labels)


@pytest.mark.parametrize(
    ("names", "near", "expected"),
    [
        (["Jet_Px", "Jet_Py", "Jet_Pz", "Jet_E"], ["Jet_btag"], "Jet_E"),
        (["p_pt", "p_eta", "p_phi", "p_mass"], [], "from_pt_eta_phi_mass(p_pt, p_eta"),
        (["p_pt", "p_eta", "p_phi", "p_energy"], [], "p_energy"),
        (["a_px", "a_py", "a_pz", "a_e", "b_px", "b_py", "b_pz", "b_e"], ["b_x"], "b_e"),
        (["a_px", "a_py", "a_pz", "a_e", "b_px", "b_py", "b_pz", "b_e"], [], None),
        (["jet_pt", "jet_eta", "jet_phi"], [], None),
    ],
)
def test_four_vectors_are_told_by_their_names(names, near, expected):
    found = find_vectors(names, near)
    assert (found[0].startswith(expected)) if expected else found == ()


def test_classes_come_in_one_order_whatever_that_of_the_file(file_of):
    orders = {describe(file_of(kind, kind)).labels.names for kind in ("ttree", "rntuple")}
    assert orders == {("label_QCD", "label_Tbqq")}
