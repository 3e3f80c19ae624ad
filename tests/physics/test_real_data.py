"""Files made elsewhere: those of the folder that FIELDGRAD_DATA names."""

import os
from pathlib import Path

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError
from fieldgrad.physics.jets.substructure import observables
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.datasets import describe
from fieldgrad.physics.reading.sources import open_source
from fieldgrad.physics.reading.streams import JetStream, read_jets

FOLDER = Path(os.environ.get("FIELDGRAD_DATA", "nowhere")) / "physics"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="FIELDGRAD_DATA names no folder")


def test_the_reference_layout_the_tree_and_the_ntuple_hold_the_same_jets():
    table = read_jets(FOLDER / "val.h5", entries=(0, 2000))
    tree = read_jets(FOLDER / "jets_2k.root")
    ntuple = read_jets(FOLDER / "jets_200_rntuple.root")
    for jets in (tree, ntuple):
        same = table[: len(jets)]
        np.testing.assert_array_equal(jets.offsets, same.offsets)
        np.testing.assert_allclose(jets.vectors, same.vectors, rtol=1e-4)
        top = jets.label_names.index("label_Tbqq")
        np.testing.assert_array_equal(jets.labels == top, same.labels == 1)
    assert np.bincount(read_jets(FOLDER / "val.h5").labels).tolist() == [5000, 5000]


def test_a_configuration_of_weaver_runs_on_the_tree(weaver_file):
    pytest.importorskip("yaml")
    config = DataConfig.load(weaver_file)
    stream = JetStream(FOLDER / "jets_2k.root", config)
    jets = stream.read()
    assert len(jets) == 2000
    values, offsets = config.inputs.ragged(jets, "features")
    assert values.shape == (offsets[-1], 8)
    assert np.abs(values).max() <= 5
    balanced = config.reweighting.fit(jets).apply(jets)
    sums = [balanced.weights[jets.labels == k].sum() for k in (0, 1)]
    assert sums[0] == pytest.approx(sums[1])


def test_our_observables_are_those_in_the_file():
    source = open_source(FOLDER / "jets_2k.root")
    theirs = source.read(["jet_mass", "jet_sdmass", "jet_tau1", "jet_tau2", "jet_tau3", "jet_tau4"])
    jets = read_jets(FOLDER / "jets_2k.root")
    ours = observables(jets)
    for name in ("jet_mass", "jet_sdmass"):
        np.testing.assert_allclose(ours[name], theirs[name], atol=2e-3, err_msg=name)
    for n in range(1, 5):  # there distances from the axes are in pseudorapidity
        ratio = ours[f"jet_tau{n}"] / np.where(theirs[f"jet_tau{n}"] > 0, theirs[f"jet_tau{n}"], 1)
        assert abs(np.median(ratio) - 1) < 0.02


def test_files_of_experiments_load():
    hzz = FOLDER / "real_root/uproot-HZZ.root"
    muons = DataConfig.from_table(
        {
            "vectors": ["Muon_E", "Muon_Px", "Muon_Py", "Muon_Pz"],
            "inputs": {"mu_features": {"vars": ["Muon_Iso", "Muon_Charge"]}},
            "selection": "NMuon == 2",
            "observers": ["MET_px"],
            "weight": "EventWeight",
        }
    )
    pairs = read_jets(hzz, muons)
    assert (pairs.counts == 2).all()
    assert abs(np.median(pairs.mass) - 91) < 2  # Z bosons
    nano = FOLDER / "real_root/nanoAOD_2015_CMS_Open_Data_ttbar.root"
    table = {
        "vectors": [f"from_pt_eta_phi_mass(Jet_pt, Jet_eta, Jet_phi, Jet_mass)[{k}]"
                    for k in range(4)],
        "inputs": {"ak_features": {"vars": ["Jet_btagDeepFlavB"]}},
        "observers": ["event", "MET_pt"],
    }  # fmt: skip
    events = read_jets(nano, DataConfig.from_table(table))
    assert len(events) == 200
    assert (events.counts > 0).mean() > 0.9
    with pytest.raises(DataError, match="no four-vectors of constituents are to be told"):
        describe(nano)


def test_a_wrong_selection_on_real_data_is_explained():
    config = DataConfig.from_table({"selection": "(jet_pt > 500) & (jet_pt > 550000)"})
    with pytest.raises(DataError, match="none is left after 'jet_pt > 550000'"):
        read_jets(FOLDER / "jets_2k.root", config)
