"""Outputs: scores beside observers, in the order of the input, whole or not at all."""

import h5py
import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.physics.reading.datasets import made_up_jets
from fieldgrad.physics.reading.outputs import scores_table, write_columns
from fieldgrad.physics.reading.sources import open_source


@pytest.fixture
def table():
    jets = made_up_jets(100)
    observers = {"event": np.arange(100), "jet_pt": jets.pt.astype("f4"), "ok": jets.labels == 1}
    jets = jets.replace(observers=observers, weights=np.linspace(-1, 1, 100))
    scores = np.random.default_rng(0).random((100, 2)).astype("f4")
    return scores_table(jets, scores)


@pytest.mark.parametrize("suffix", [".root", ".h5", ".parquet"])
def test_columns_come_back_as_they_were(suffix, table, tmp_path):
    pytest.importorskip("uproot")
    pytest.importorskip("pyarrow")
    path = tmp_path / f"scores{suffix}"
    write_columns(path, table)
    with open_source(path) as source:
        again = source.read(source.names)
    assert set(again) == {"score_QCD", "score_top", "label", "weight", "event", "jet_pt", "ok"}
    for name, column in table.items():
        np.testing.assert_array_equal(again[name], column, err_msg=name)
        assert again[name].dtype == column.dtype


def test_root_files_hold_a_tree_that_every_root_reads(table, tmp_path):
    uproot = pytest.importorskip("uproot")
    write_columns(tmp_path / "scores.root", table)
    with uproot.open(tmp_path / "scores.root") as file:
        assert file.classnames(cycle=False) == {"tree": "TTree"}


def test_a_failed_write_leaves_the_older_file(table, tmp_path, monkeypatch):
    path = tmp_path / "scores.h5"
    write_columns(path, {"old": np.arange(3)})
    monkeypatch.setattr(h5py.Group, "__setitem__", None)
    with pytest.raises(TypeError):
        write_columns(path, table)
    assert [file.name for file in tmp_path.iterdir()] == ["scores.h5"]
    with h5py.File(path) as file:
        assert file["old"][:].tolist() == [0, 1, 2]


def test_what_cannot_be_written_is_named(table, tmp_path):
    with pytest.raises(FileError, match=r"ends in '\.csv'; expected one of \.root"):
        write_columns(tmp_path / "scores.csv", table)
    with pytest.raises(DataError, match="different shapes"):
        write_columns(tmp_path / "scores.h5", {"a": np.zeros(3), "b": np.zeros(2)})
    with pytest.raises(DataError, match="3 columns for 2 classes"):
        scores_table(made_up_jets(4), np.zeros((4, 3)))
    with pytest.raises(DataError, match=r"expected \(4, n_classes\)"):
        scores_table(made_up_jets(4), np.zeros((5, 2)))


def test_one_number_per_jet_is_one_score():
    table = scores_table(made_up_jets(3), np.array([0.1, 0.2, 0.3]))
    assert table["score"].tolist() == [0.1, 0.2, 0.3]
