"""Files as columns: every format gives the same jets, and damage is named."""

import h5py
import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.sources import open_source
from fieldgrad.physics.reading.streams import JetStream, read_jets

pytest.importorskip("awkward")

CONFIGS = {
    "structured": {
        "vectors": ["tracks_e", "tracks_px", "tracks_py", "tracks_pz"],
        "labels": {"type": "index", "value": "jets_flavour", "names": ["QCD", "top"]},
        "observers": ["jets_pt"],
    },
    "arrays": {
        "vectors": [f"Pmu[:, :, {k}]" for k in range(4)],
        "labels": {"type": "index", "value": "is_signal", "names": ["QCD", "top"]},
    },
}


def config_for(kind):
    return DataConfig.from_table(CONFIGS[kind]) if kind in CONFIGS else None


KINDS = ["ttree", "rntuple", "parquet", "table", "structured", "arrays"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_jets(kind, file_of, jets):
    read = read_jets(file_of(kind), config_for(kind))
    np.testing.assert_array_equal(read.offsets, jets.offsets)
    # The reference layout is rounded to 13 bits of the mantissa.
    np.testing.assert_allclose(read.vectors, jets.vectors, rtol=1e-4 if kind == "table" else 0)
    np.testing.assert_array_equal(read.labels, jets.labels)


@pytest.mark.parametrize("kind", KINDS)
def test_ranges_of_entries_are_pieces_of_the_whole(kind, file_of, jets):
    path, config = file_of(kind), config_for(kind)
    whole = read_jets(path, config)
    part = read_jets(path, config, entries=(13, 41), chunk_size=7)
    np.testing.assert_array_equal(part.vectors, whole[13:41].vectors)
    np.testing.assert_array_equal(part.labels, jets.labels[13:41])
    assert len(read_jets(path, config, entries=(0.5, 1.0))) == len(jets) // 2


def test_pandas_reads_what_we_write_and_we_read_what_pandas_writes(file_of, tmp_path, jets):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    frame = pandas.read_hdf(file_of("table"), key="table")
    assert frame.shape == (len(jets), 806)
    np.testing.assert_allclose(frame["PX_0"], jets.vectors[jets.offsets[:-1], 1], rtol=1e-4)
    assert frame["is_signal_new"].tolist() == jets.labels.tolist()
    own = pandas.DataFrame(np.arange(12.0).reshape(3, 4), columns=["E_0", "PX_0", "PY_0", "PZ_0"])
    own["weight"], own["run"] = [1.0, -1.0, 0.5], [7, 8, 9]
    own.to_hdf(tmp_path / "own.h5", key="events", format="table")
    with open_source(tmp_path / "own.h5") as source:
        columns = source.read(["part_px", "weight", "run"], 1)
    assert columns["part_px"].to_list() == [[5.0], [9.0]]
    assert columns["weight"].tolist() == [-1.0, 0.5]
    assert columns["run"].tolist() == [8, 9]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0, 0.02, 0.5, 0.97])
def test_truncated_files_are_named(kind, kept, file_of):
    path = file_of(kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(FileError, match=path.name):
        read_jets(path, config_for(kind))


@pytest.mark.parametrize("kind", ["ttree", "table", "parquet"])
def test_damage_inside_is_named(kind, file_of):
    path = file_of(kind)
    data = bytearray(path.read_bytes())
    for start in range(1000, len(data) * 3 // 4, 500):  # holes in the compressed data
        data[start : start + 50] = bytes(50)
    path.write_bytes(data)
    with pytest.raises(FileError, match=path.name):
        read_jets(path)


def test_damaged_files_can_be_left_out_and_are_counted(file_of, tmp_path, jets, caplog):
    good, bad = file_of("table", "a"), file_of("table", "b")
    bad.write_bytes(bad.read_bytes()[:3000])
    with pytest.raises(FileError, match=r"b\.h5"):
        JetStream([good, bad], describe_table())
    stream = JetStream([good, bad], describe_table(), skip_corrupt=True)
    assert len(stream.read()) == len(jets)
    assert list(stream.skipped) == [str(bad)]
    assert "left out (1 so far)" in caplog.text
    with pytest.raises(FileError, match=r"nowhere\.h5 does not exist"):  # a mistake, not damage
        JetStream([good, tmp_path / "nowhere.h5"], describe_table(), skip_corrupt=True)


def describe_table():
    return DataConfig.from_table({"inputs": {"pf_features": {"vars": ["part_pt_log"]}}})


def test_files_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "jets.csv"
    path.write_text("px,py")
    with pytest.raises(FileError, match="expected a ROOT, HDF5 or Parquet file"):
        open_source(path)
    with pytest.raises(FileError, match="is a folder"):
        open_source(tmp_path)


def test_missing_columns_are_all_named_with_suggestions(file_of):
    with (
        open_source(file_of("ttree")) as source,
        pytest.raises(DataError, match=r"'jet_ptt'; did you mean 'jet_pt', no column 'part_pxx'"),
    ):
        source.read(["jet_ptt", "part_pxx"])


def test_one_of_several_trees_must_be_named(tmp_path):
    uproot = pytest.importorskip("uproot")
    path = tmp_path / "two.root"
    with uproot.recreate(path) as file:
        for name in ("first", "second"):
            file.mktree(name, {"x": np.float64})
            file[name].extend({"x": np.arange(3.0)})
    with pytest.raises(DataError, match="several trees: first, second"):
        open_source(path)
    assert open_source(path, "second").n_entries == 3
    with pytest.raises(DataError, match="no tree 'secnd'; did you mean 'second'"):
        open_source(path, "secnd")


def test_names_of_a_table_are_read_without_unpickling(file_of):
    path = file_of("table")
    with h5py.File(path, "r+") as file:
        # Unpickling this would call a function.
        file["table/table"].attrs["values_block_1_kind"] = np.bytes_(b"cos\nsystem\n(S'exit'\ntR.")
    with pytest.raises(DataError, match="names of the 2 columns in values_block_1"):
        open_source(path)


def test_columns_in_memory_must_have_one_length():
    with pytest.raises(DataError, match="different lengths"):
        open_source({"a": np.zeros(3), "b": np.zeros(2)})
