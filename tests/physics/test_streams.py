"""Streams: every jet once, in an order that can be repeated, in bounded memory."""

import subprocess
import sys

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.physics.jets.weights import Reweighting
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.datasets import made_up_jets
from fieldgrad.physics.reading.outputs import write_reference_table
from fieldgrad.physics.reading.streams import JetLoader, JetStream, find_files, read_jets

pytest.importorskip("awkward")

CONFIG = DataConfig.from_table({"observers": ["ttv"], "selection": "ttv >= 0"})


@pytest.fixture
def folder(tmp_path):
    """Three files of 50, 70 and 30 jets; the column ttv tells which."""
    for k, n_jets in enumerate((50, 70, 30)):
        jets = made_up_jets(n_jets, seed=k, n_constituents=5)
        write_reference_table(tmp_path / f"part_{k}.h5", jets, split=k)
    return tmp_path


def fingerprint(batches):
    return [round(float(e), 2) for jets in batches for e in jets.momenta[:, 0]]


def identity(jets):
    return jets


def test_pieces_follow_the_order_of_the_files(folder):
    stream = JetStream(str(folder / "part_*.h5"), CONFIG, chunk_size=20)
    pieces = list(stream)
    assert [len(piece) for piece in pieces] == [20, 20, 10, 20, 20, 20, 10, 20, 10]
    assert np.concatenate([p.observers["ttv"] for p in pieces]).tolist() == (
        [0] * 50 + [1] * 70 + [2] * 30
    )
    assert len(stream) == 150


def test_a_shuffled_epoch_holds_every_jet_once(folder):
    stream = JetStream(str(folder / "*.h5"), CONFIG, chunk_size=16)
    for buffer_size in (1, 40, 1000):
        loader = JetLoader(stream, 8, identity, shuffle=True, seed=3, buffer_size=buffer_size)
        batches = list(loader.iterate(0))
        assert len(batches) == len(loader) == 19
        assert sorted(fingerprint(batches)) == sorted(fingerprint(stream))


def test_shuffling_mixes_files_and_differs_by_epoch(folder):
    stream = JetStream(str(folder / "*.h5"), CONFIG, chunk_size=10)
    loader = JetLoader(stream, 16, identity, shuffle=True, buffer_size=100)
    first, second = list(loader), list(loader)
    assert all(len(set(jets.observers["ttv"])) > 1 for jets in first[:4])
    assert fingerprint(first) != fingerprint(second)


@pytest.mark.parametrize("in_memory", [True, False])
def test_epochs_repeat_and_can_begin_in_the_middle(folder, in_memory):
    stream = JetStream(str(folder / "*.h5"), CONFIG, chunk_size=16)
    jets = stream.read() if in_memory else stream
    whole = list(JetLoader(jets, 8, identity, shuffle=True, seed=5, buffer_size=60).iterate(2))
    loader = JetLoader(jets, 8, identity, shuffle=True, seed=5, buffer_size=60)
    assert fingerprint(loader.iterate(2, 7)) == fingerprint(whole[7:])
    other = JetLoader(jets, 8, identity, shuffle=True, seed=6, buffer_size=60)
    assert fingerprint(other.iterate(2)) != fingerprint(whole)


def test_without_shuffling_batches_are_full_and_in_order(folder):
    stream = JetStream(str(folder / "*.h5"), CONFIG, chunk_size=13)
    batches = list(JetLoader(stream, 32, identity))
    assert [len(jets) for jets in batches] == [32, 32, 32, 32, 22]
    assert fingerprint(batches) == fingerprint([stream.read()])


def test_files_can_have_a_class_each(folder):
    files = {"QCD": str(folder / "part_[01].h5"), "top": [folder / "part_2.h5"]}
    jets = read_jets(files, CONFIG)
    assert jets.label_names == ("QCD", "top")
    assert np.bincount(jets.labels).tolist() == [120, 30]


def test_ranges_of_entries_hold_for_each_file(folder):
    stream = JetStream(str(folder / "*.h5"), CONFIG, entries=(0.0, 0.5))
    rest = JetStream(str(folder / "*.h5"), CONFIG, entries=(0.5, 1.0))
    assert (len(stream), len(rest)) == (25 + 35 + 15, 25 + 35 + 15)
    both = fingerprint([stream.read(), rest.read()])
    assert sorted(both) == sorted(fingerprint([read_jets(str(folder / "*.h5"), CONFIG)]))


def test_resampling_while_streaming_balances_the_classes(folder):
    table = {
        "labels": {"type": "index", "value": "is_signal_new", "names": ["QCD", "top"]},
        "new_variables": {"is_qcd": "1 - is_signal_new", "is_top": "is_signal_new"},
        "observers": ["is_qcd", "is_top", "jet_pt"],
        "selection": "(is_signal_new == 1) | (ttv == 0)",
    }
    stream = JetStream(str(folder / "*.h5"), DataConfig.from_table(table))
    jets = stream.read()
    balance = Reweighting("flat", {"jet_pt": (0.0, 1000.0)}, ("is_qcd", "is_top")).fit(jets)
    loader = JetLoader(stream, 16, identity, reweighting=balance, shuffle=True)
    drawn = np.concatenate([b.labels for epoch in range(8) for b in loader.iterate(epoch)])
    n_qcd = int((jets.labels == 0).sum())
    assert n_qcd < 0.4 * len(jets)
    assert abs(drawn.mean() - 0.5) < 0.08
    assert len(drawn) == pytest.approx(8 * 2 * n_qcd, rel=0.1)


def test_jets_are_counted_by_their_selection(folder):
    for cut in ("ttv == 1", "jet_pt > 600", "(jet_mass > 20) & (ttv < 2)"):
        stream = JetStream(str(folder / "*.h5"), DataConfig.from_table({"selection": cut}))
        assert 0 < len(stream) < 150
        assert len(stream) == len(stream.read())


def test_patterns_that_fit_nothing_are_refused(tmp_path):
    with pytest.raises(FileError, match="fits no file"):
        find_files(str(tmp_path / "*.root"))
    with pytest.raises(FileError, match="does not exist"):
        JetStream(str(tmp_path / "a.h5"), CONFIG)


def test_nothing_to_read_is_refused(folder):
    with pytest.raises(DataError, match="no entries to read"):
        JetStream(str(folder / "part_0.h5"), CONFIG, entries=(50, 60))
    with pytest.raises(DataError, match="batch_size is 0"):
        JetLoader(made_up_jets(3), 0, identity)


def test_a_selection_that_drops_all_is_refused_while_streaming(folder):
    nothing = DataConfig.from_table({"selection": "(ttv >= 0) & (jet_pt > 1e6)"})
    stream = JetStream(str(folder / "*.h5"), nothing)
    with pytest.raises(DataError, match=r"none is left after 'jet_pt > 1000000\.0'"):
        list(stream.shuffled(np.random.default_rng(0), 10, 5))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_files(tmp_path):
    """Ten times the jets, through the same buffer: the same peak, up to a few chunks."""
    code = """
import resource, sys
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.streams import JetLoader, JetStream
from fieldgrad.physics.jets.features import KINEMATIC
stream = JetStream([sys.argv[1]] * int(sys.argv[2]), DataConfig.from_table(
    {"inputs": {"pf_features": {"length": 64, "vars": list(KINEMATIC.group("features").names)}}}),
    chunk_size=500)
loader = JetLoader(stream, 256, len, shuffle=True, buffer_size=2000)
assert sum(loader.iterate(0)) == 2000 * int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    path = tmp_path / "many.h5"
    write_reference_table(path, made_up_jets(2000))
    peaks = [
        int(subprocess.run([sys.executable, "-c", code, path, str(n)], capture_output=True,
                           text=True, check=True).stdout)
        for n in (2, 14)
    ]  # fmt: skip
    assert peaks[1] < peaks[0] + 20_000  # kB; 24,000 more jets would take 60 MB
