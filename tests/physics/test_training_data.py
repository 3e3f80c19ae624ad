"""Jets to train on: in memory or streamed, the same weights, the same bits after a resume."""

import logging
from functools import partial

import numpy as np
import pytest

from fieldgrad.engine.errors import DataError, FileError
from fieldgrad.engine.train import Callback
from fieldgrad.physics.models import PFN
from fieldgrad.physics.reading.config import DataConfig
from fieldgrad.physics.reading.datasets import made_up_jets
from fieldgrad.physics.reading.outputs import write_reference_table
from fieldgrad.physics.reading.streams import JetStream
from fieldgrad.physics.tagging.data import note_data, open_jets, predict_all
from fieldgrad.physics.tagging.tagger import Tagger

pytest.importorskip("awkward")

SMALL = partial(PFN, phi=(8, 8), f=(8,))
WEIGHTED = """
weight = "(2.0 * is_signal_new + 1.0) * (1.0 - 1.5 * (jet_mass < 30))"
observers = ["is_qcd", "is_signal_new", "jet_pt"]

[new_variables]
is_qcd = "1 - is_signal_new"

[inputs.pf_features]
vars = [["part_pt_log", "auto"], ["part_deta"], ["part_dphi"]]

[labels]
type = "index"
value = "is_signal_new"
names = ["QCD", "top"]

[weights]
reweight_method = "flat"
reweight_vars = { jet_pt = [500, 600, 700] }
reweight_classes = ["is_qcd", "is_signal_new"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two files: one of QCD jets alone and one of top jets alone."""
    place = tmp_path_factory.mktemp("sorted")
    jets = made_up_jets(240, seed=1, n_constituents=6)
    for k in (0, 1):
        write_reference_table(place / f"class_{k}.h5", jets[jets.labels == k])
    (place / "weighted.toml").write_text(WEIGHTED)
    return place


def energies(jets):
    pieces = [jets] if not isinstance(jets, JetStream) else list(jets)
    return sorted(round(float(e), 3) for piece in pieces for e in piece.momenta[:, 0])


def test_the_size_decides_whether_jets_are_streamed(folder, caplog):
    files = str(folder / "class_*.h5")
    with caplog.at_level(logging.INFO, logger="fieldgrad"):
        in_memory = open_jets(files)
        assert "read anew in each epoch" not in caplog.text
        streamed = open_jets(files, memory_gb=1e-6)
        assert "read anew in each epoch" in caplog.text
    assert not in_memory.record["streamed"]
    assert isinstance(streamed.train, JetStream)
    for data in (in_memory, streamed):
        parts = [energies(part) for part in (data.train, data.valid, data.test)]
        assert sorted(np.concatenate(parts)) == sorted(energies(JetStream(files, data.description)))
        assert [len(part) for part in parts] == [192, 24, 24]
        assert {row["name"]: row["jets"] > 80 for row in data.record["classes"]} == {
            "QCD": True, "top": True,
        }  # fmt: skip


def test_sorted_files_are_held_back_from_and_sampled_evenly(folder):
    data = open_jets(str(folder / "class_*.h5"), memory_gb=0)
    shares = [jets.labels.mean() for jets in (data.valid.read(), data.test.read())]
    assert np.allclose(shares, data.train.read().labels.mean(), atol=0.1)
    some = data.train.sample(60)
    assert abs(len(some) - 60) <= 1
    assert abs(some.labels.mean() - data.train.read().labels.mean()) < 0.02


def test_streamed_jets_train_as_those_in_memory(folder):
    """Negative weights and a reweighting included: one step over all jets, the same gradient."""
    files, found = str(folder / "class_*.h5"), []
    for memory_gb in (2.0, 0.0):
        data = open_jets(files, files, files, config=str(folder / "weighted.toml"),
                         memory_gb=memory_gb)  # fmt: skip
        assert isinstance(data.train, JetStream) == (memory_gb == 0)
        assert sum(row["negative"] for row in data.record["classes"]) > 0
        tagger = Tagger.build(SMALL, data.sample, preprocessing=data.description.inputs)
        tagger.fit(data.train, budget="1 steps", batch_size=400)
        found.append(tagger.network.state_dict())
    for key, value in found[0].items():
        np.testing.assert_allclose(value, found[1][key], rtol=1e-4, atol=1e-5, err_msg=key)


class Interrupt(Callback):
    """Ctrl-C in the middle of the second epoch."""

    order = 60

    def after_batch(self, learner):
        if learner.step == 9:
            learner.interrupted = 2


def test_a_streamed_run_goes_on_to_the_same_bits_from_within_an_epoch(folder, tmp_path):
    data = open_jets(str(folder / "class_*.h5"), memory_gb=0)
    assert len(data.train) == 192
    settings = {"budget": "3 epochs", "batch_size": 32, "buffer_size": 64, "seed": 4}
    whole = Tagger.build(SMALL, data.train, seed=2)
    whole.fit(data.train, data.valid, run_dir=tmp_path / "a", **settings)
    halted = Tagger.build(SMALL, data.train, seed=2)
    with pytest.raises(KeyboardInterrupt):
        halted.fit(data.train, data.valid, run_dir=tmp_path / "b", callbacks=[Interrupt()],
                   **settings)  # fmt: skip
    again = open_jets(str(folder / "class_*.h5"), memory_gb=0)
    rest = Tagger.build(SMALL, again.train, seed=2)
    learner = rest.fit(again.train, again.valid, run_dir=tmp_path / "b", resume=True, **settings)
    assert (learner.epoch, learner.step) == (3, 18)
    for key, value in whole.network.state_dict().items():
        np.testing.assert_array_equal(rest.network.state_dict()[key], value)
    assert (tmp_path / "b" / "pictures" / "ROC.png").exists()


def test_predictions_keep_the_order_of_a_stream(folder):
    data = open_jets(str(folder / "class_*.h5"), memory_gb=0)
    tagger = Tagger.build(SMALL, data.sample)
    stream = JetStream(str(folder / "class_*.h5"), data.description, chunk_size=7)
    jets, p = predict_all(tagger, stream, ["jet_mass"])
    whole = stream.read()
    np.testing.assert_allclose(p, tagger.predict(whole), rtol=1e-5)
    np.testing.assert_allclose(jets.observables["jet_mass"], whole.mass, rtol=1e-4, atol=1e-3)
    assert len(jets.vectors) == 0


def test_damaged_files_stop_a_training_unless_they_may_be_left_out(folder, tmp_path):
    for k in (0, 1):
        (tmp_path / f"class_{k}.h5").write_bytes((folder / f"class_{k}.h5").read_bytes())
    (tmp_path / "broken.h5").write_bytes((folder / "class_0.h5").read_bytes()[:900])
    with pytest.raises(FileError, match=r"broken\.h5"):
        open_jets(str(tmp_path / "*.h5"))
    data = open_jets(str(tmp_path / "*.h5"), skip_corrupt=True)
    assert [name.rpartition("/")[2] for name in data.record["skipped"]] == ["broken.h5"]
    assert data.record["train"] == 192


def test_a_run_is_not_continued_with_other_files(folder, tmp_path):
    data = open_jets(str(folder / "class_*.h5"))
    note_data(data.record, tmp_path, resume=False)
    note_data(data.record, tmp_path, resume=True)
    other = open_jets([folder / "class_0.h5"])
    with pytest.raises(DataError, match="others than those with which the run"):
        note_data(other.record, tmp_path, resume=True)


def test_jets_in_memory_are_split_as_they_are():
    jets = made_up_jets(100, n_constituents=4)
    data = open_jets(jets)
    assert [len(part) for part in (data.train, data.valid, data.test)] == [80, 10, 10]
    stream = JetStream(jets, DataConfig.from_table({"weight": "weight"}), part=(0.0, 0.5))
    assert len(stream) == 50
    with pytest.raises(DataError, match="two rising numbers"):
        JetStream(jets, DataConfig.from_table({}), part=(0.5, 0.5))
