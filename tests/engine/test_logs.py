"""Logs that other programs read: TensorBoard itself, JSON lines, Weights & Biases offline."""

import importlib.util
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from training import make

from fieldgrad.engine.train import Pictures, Run, TensorBoardLog


def png(width, height):
    """A black picture, written by hand."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(width) for _ in range(height)))
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


READ = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0})
events.Reload()
tags = events.Tags()
print(json.dumps({
    "scalars": {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags["scalars"]},
    "images": {
        tag: [(e.step, e.width, e.height) for e in events.Images(tag)] for tag in tags["images"]
    },
}))
"""


@pytest.mark.skipif(
    not importlib.util.find_spec("tensorboard") or not importlib.util.find_spec("tensorboardX"),
    reason="tensorboard reads what tensorboardX writes",
)
def test_tensorboard_itself_reads_scalars_and_pictures(tmp_path):
    pictures = Pictures(lambda learner: {"a head": png(6, 4)}, most=1.0)
    learner = make(TensorBoardLog(every_steps=2), pictures, run_dir=tmp_path)
    learner.fit("2 epochs")
    # In a process of its own: its libraries warn while they are imported.
    command = [sys.executable, "-W", "ignore", "-c", READ, str(tmp_path / "tensorboard")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = json.loads(said.splitlines()[-1])
    assert [step for step, _ in found["scalars"]["step/loss"]] == [2, 4, 6, 8, 10, 12]
    expected = [(row["step"], row["valid_loss"]) for row in learner.history]
    for (step, value), (wanted_step, wanted) in zip(
        found["scalars"]["epoch/valid_loss"], expected, strict=True
    ):
        assert step == wanted_step
        assert value == pytest.approx(wanted, rel=1e-6)  # float32
    assert found["images"] == {"pictures/a-head": [[6, 6, 4], [12, 6, 4]]}


def test_the_log_is_json_lines_with_every_epoch(tmp_path):
    learner = make(run_dir=tmp_path)
    learner.record.every_seconds = 1e-9
    learner.fit("2 epochs")
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "steps"] == list(range(1, 13))
    epochs = [row for row in rows if row["kind"] == "epoch"]
    assert [row["valid_loss"] for row in epochs] == [row["valid_loss"] for row in learner.history]
    steps = [row["loss"] for row in rows if row["kind"] == "steps" and row["step"] <= 6]
    assert sum(steps) / 6 == pytest.approx(epochs[0]["train_loss"])


def test_the_log_is_read_on_from_where_it_was_left(tmp_path):
    run = Run(tmp_path)
    path = tmp_path / "log.jsonl"
    path.write_text('{"kind": "steps", "step": 1}\n{"kind": "st')
    rows, offset = run.log()
    assert [row["step"] for row in rows] == [1]
    path.write_text('{"kind": "steps", "step": 1}\n{"kind": "steps", "step": 2}\n')
    rows, offset = run.log(offset)
    assert [row["step"] for row in rows] == [2]
    assert run.log(offset) == ([], offset)


def test_numbers_that_json_lacks_become_null(tmp_path):
    learner = make(run_dir=tmp_path, loss=lambda y, t: (y * float("nan")).sum())
    learner.fit("1 epoch")
    for name in ("run.json", "log.jsonl"):
        text = (tmp_path / name).read_text()
        assert "NaN" not in text
        assert "null" in text


def test_the_status_tells_how_a_run_ended(tmp_path):
    learner = make(run_dir=tmp_path)
    learner.fit("1 epoch")
    status = Run(tmp_path).status()
    assert (status["state"], status["step"], status["total_steps"]) == ("finished", 6, 6)
    assert status["best"]["valid_loss"] == learner.history[0]["valid_loss"]
    assert status["machine"]["threads"] >= 1
    assert set(status["versions"]) == {"python", "fieldgrad", "numpy", "scipy"}
    learner.loss_function = None
    with pytest.raises(TypeError):
        learner.fit("1 epoch")
    status = Run(tmp_path).status()
    assert status["state"] == "failed"
    assert status["reason"].startswith("TypeError: ")


def test_a_process_that_is_gone_counts_as_killed(tmp_path):
    make(run_dir=tmp_path).fit("1 epoch")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    status = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**status, "state": "running", "pid": gone.pid}))
    assert Run(tmp_path).status()["state"] == "killed"


def test_pictures_are_redrawn_while_drawing_takes_a_small_part_of_the_time(tmp_path):
    now, drawn = [0.0], []

    def draw(learner):
        drawn.append(learner.step)
        now[0] += 1.0
        return {"a/../b": png(1, 1)}

    learner = make(Pictures(draw, most=0.1), run_dir=tmp_path)
    learner.clock = lambda: now[0]
    before = learner.train.iterate

    def slow(*arguments):
        for batch in before(*arguments):
            now[0] += 1.0
            yield batch

    learner.train.iterate = slow
    learner.fit("20 epochs")
    assert 5 <= len(drawn) <= 15  # of 20, in 120 s
    assert drawn[0] == 6
    assert drawn[-1] == 120  # at the end in any case
    assert [p.name for p in (tmp_path / "pictures").iterdir()] == ["a-..-b.png"]


OFFLINE = """
import sys; sys.path.insert(0, TESTS)
from training import make
from fieldgrad.engine.train import WandbLog
make(WandbLog(every_steps=1), run_dir=sys.argv[1]).fit("2 epochs")
"""


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("wandb"), reason="wandb is not installed")
def test_weights_and_biases_writes_offline(tmp_path):
    # In a process of its own: the library writes the last of its file when the process ends.
    code = OFFLINE.replace("TESTS", repr(str(Path(__file__).parent)))
    command = [sys.executable, "-c", code, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "wandb sync" in said
    [file] = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    content = file.read_bytes()
    assert content.count(b"epoch/valid_loss") >= 2
    assert content.count(b"step/loss") >= 12


NOTEBOOK = """
import sys; sys.path.insert(0, TESTS)
from training import make
from fieldgrad.engine.train import Progress
learner = make(Progress())
learner.fit("2 epochs")
learner.lr_find(n_steps=40)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_notebook_shows_bar_and_epochs_without_further_libraries():
    nbclient = pytest.importorskip("nbclient", reason="nbclient runs notebooks")
    nbformat = pytest.importorskip("nbformat", reason="nbformat writes notebooks")
    code = NOTEBOOK.replace("TESTS", repr(str(Path(__file__).parent)))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=100).execute()
    shown = [output.get("data", {}) for output in notebook.cells[0].outputs]
    [bar] = [data["text/html"] for data in shown if "<progress" in data.get("text/html", "")]
    assert 'value="12" max="12"' in bar
    assert "0:00 left" in bar
    assert "epoch 2  train_loss" in bar
    assert [data for data in shown if "<svg" in data.get("image/svg+xml", "")]
    assert not [o for o in notebook.cells[0].outputs if o.output_type in ("stream", "error")]
