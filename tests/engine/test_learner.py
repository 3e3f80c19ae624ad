import csv
import logging
import math
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine import checkpoint
from fieldgrad.engine.data import Loader
from fieldgrad.engine.errors import DataError, FieldgradError, FileError, RecipeError
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.optim import SGD, AdamW
from fieldgrad.engine.train import state
from fieldgrad.engine.train.callbacks import (
    Checkpoint,
    EarlyStop,
    EMAWeights,
    GradientClip,
    PlateauLR,
    SaveOnSignal,
    ScheduleLR,
    StopOnNaN,
    best_epoch,
)
from fieldgrad.engine.train.events import (
    EVENTS,
    LOOP,
    Callback,
    CancelBatch,
    CancelEpoch,
    CancelFit,
)
from fieldgrad.engine.train.learner import Learner
from fieldgrad.engine.train.logs import CSVLog, Progress, TensorBoardLog
from fieldgrad.engine.train.metrics import Mean
from fieldgrad.engine.train.schedules import constant, one_cycle, one_cycle_momentum, poly
from fieldgrad.engine.train.state import load_weights


class Line(Module):
    def __init__(self):
        super().__init__()
        self.weight = Parameter(fg.random.normal((2, 1)).numpy())
        self.bias = Parameter([0.0])

    def forward(self, x):
        return x @ self.weight + self.bias


def squared_error(prediction, target):
    return fg.mean((prediction - target) ** 2)


def make(*callbacks, optimizer=None, valid=True, **options):
    """A learner for a line through 12 points, 4 batches in an epoch."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 2)).astype(np.float32)
    y = x @ np.float32([[2.0], [-1.0]]) + np.float32(0.5)
    fg.manual_seed(0)
    model = Line()
    data = list(zip(x, y, strict=True))
    return Learner(
        model,
        squared_error,
        (optimizer or (lambda p: SGD(p, lr=0.1)))(model.parameters()),
        Loader(data, 3, shuffle=True),
        Loader(data, 5) if valid else None,
        callbacks=callbacks,
        **options,
    )


def weights(learner):
    return np.concatenate([p.data.ravel() for p in learner.model.parameters()])


class Recorder(Callback):
    def __init__(self):
        self.seen = []


for event in EVENTS:
    setattr(
        Recorder,
        event,
        lambda self, learner, event=event: self.seen.append((event, learner.epoch, learner.step)),
    )


class At(Callback):
    """Do something at one event, when a condition holds."""

    def __init__(self, event, action):
        setattr(self, event, action)


def stop(kind, condition):
    def action(learner):
        if condition(learner):
            raise kind

    return action


def test_learner_does_the_same_as_a_plain_loop():
    learner = make(optimizer=lambda p: AdamW(p, lr=0.05))
    learner.fit("3 epochs")
    plain = make(optimizer=lambda p: AdamW(p, lr=0.05))
    for epoch in range(3):
        for x, y in plain.train.iterate(epoch):
            squared_error(plain.model(fg.tensor(x)), y).backward()
            plain.optimizer.step()
            plain.optimizer.zero_grad()
    np.testing.assert_array_equal(weights(learner), weights(plain))


def test_events_come_in_the_order_of_the_printed_loop():
    recorder = Recorder()
    make(recorder).fit("1 epoch")
    names = [name for name, _, _ in recorder.seen]
    batch = names.index("before_batch"), names.index("after_batch") + 1
    once = names[: batch[0]] + names[batch[0] : batch[1]] + names[batch[1] + 3 * 5 :]
    assert tuple(once) == EVENTS
    assert names.count("after_batch") == 4


def test_counters_count_what_is_done():
    recorder = Recorder()
    learner = make(recorder)
    learner.fit("2 epochs")
    assert [s for name, _, s in recorder.seen if name == "before_batch"] == list(range(8))
    assert [s for name, _, s in recorder.seen if name == "after_batch"] == list(range(1, 9))
    assert [e for name, e, _ in recorder.seen if name == "after_epoch"] == [1, 2]
    assert (learner.step, learner.epoch, learner.total_steps) == (8, 2, 8)


def test_a_budget_in_steps_ends_within_an_epoch_and_validates():
    learner = make()
    learner.fit("6 steps")
    assert learner.step == 6
    assert [row["step"] for row in learner.history] == [4, 6]
    assert all(math.isfinite(row["valid_loss"]) for row in learner.history)


def test_a_budget_in_time_is_kept():
    learner = make()
    now = [0.0]
    learner.clock = lambda: now[0]
    learner.callbacks = [At("after_batch", lambda _: now.__setitem__(0, now[0] + 0.5))]
    learner.fit("60 s")
    assert 55 < now[0] <= 60
    assert learner.plan.progress(learner.step) > 0.97


def test_history_and_validation_loss():
    learner = make()
    learner.fit("5 epochs")
    row = learner.history[-1]
    assert list(row) == ["epoch", "step", "seconds", "lr", "train_loss", "valid_loss"]
    x, y = (np.stack(arrays) for arrays in zip(*learner.train.dataset, strict=True))
    expected = float(squared_error(learner.model(fg.tensor(x)), y))
    assert row["valid_loss"] == pytest.approx(expected, rel=1e-5)  # batches of 5, 5 and 2 items
    assert row["valid_loss"] < learner.history[0]["valid_loss"]


def test_metrics_are_gathered_over_the_validation():
    class MeanError(Mean):
        def update(self, prediction, target):
            super().update(float(fg.mean(abs(prediction - target))), len(target))

    learner = make(metrics=[MeanError("mean_error")])
    learner.fit("1 epoch")
    x, y = (np.stack(arrays) for arrays in zip(*learner.train.dataset, strict=True))
    expected = np.abs(learner.model(fg.tensor(x)).numpy() - y).mean()
    assert learner.history[0]["mean_error"] == pytest.approx(expected, rel=1e-5)


def test_validation_switches_the_model_and_back():
    modes = []
    learner = make()
    learner.model.register_forward_hook(lambda module, *_: modes.append(module.training))
    learner.fit("1 epoch")
    assert modes == [True] * 4 + [False] * 3
    learner.model.eval()
    learner.validate()
    assert not learner.model.training


def test_without_validation_data():
    learner = make(valid=False)
    learner.fit("1 epoch")
    assert "valid_loss" not in learner.history[0]
    with pytest.raises(DataError, match="no validation data"):
        learner.validate()


def test_batches_must_be_tuples():
    learner = make()
    learner.train = Loader([{"x": 1.0}], 1)
    with pytest.raises(DataError, match=r"gave a dict; expected a tuple"):
        learner.fit("1 epoch")


def test_cancel_batch_leaves_out_its_step():
    recorder = Recorder()
    cancel = At("before_backward", stop(CancelBatch, lambda learner: learner.step == 1))
    learner = make(recorder, cancel)
    learner.fit("1 epoch")
    names = [name for name, _, _ in recorder.seen]
    assert names.count("before_step") == 3
    assert names.count("after_batch") == learner.step == 4


def test_cancel_epoch_leaves_out_its_rest():
    recorder = Recorder()
    cancel = At("after_batch", stop(CancelEpoch, lambda learner: learner.step == 2))
    learner = make(recorder, cancel)
    learner.fit("2 epochs")
    names = [name for name, _, _ in recorder.seen]
    assert names.count("before_validate") == 1
    assert names.count("after_epoch") == 2
    assert learner.step == 6


def test_cancel_fit_ends_with_after_fit():
    recorder = Recorder()
    cancel = At("after_batch", stop(CancelFit, lambda learner: learner.step == 5))
    learner = make(recorder, cancel)
    learner.fit("9 epochs")
    assert learner.step == 5
    assert recorder.seen[-1][0] == "after_fit"
    assert learner.finished


def test_an_error_in_the_loop_runs_the_cleanup_and_ends_the_loader_threads():
    done = []

    def fail(learner):
        learner.cleanup.callback(done.append, "closed")
        raise ZeroDivisionError

    learner = make(At("before_backward", fail))
    learner.train.n_workers = 2
    with pytest.raises(ZeroDivisionError):
        learner.fit("1 epoch")
    assert done == ["closed"]
    assert not [t for t in threading.enumerate() if t.name.startswith("fieldgrad-loader")]


def test_unknown_events_are_refused_with_the_nearest():
    with pytest.raises(RecipeError, match="no event 'after_bach'; did you mean 'after_batch'"):
        make(At("after_bach", None))


def test_printed_loop_shows_callbacks_in_order(capsys):
    learner = make(EMAWeights(), GradientClip(), StopOnNaN(), ScheduleLR(poly))
    learner.print_loop()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(LOOP.splitlines())
    [line] = [line for line in lines if "before_step" in line]
    assert line.split() == ["before_step", "StopOnNaN,", "GradientClip"]


def test_schedule_sets_rate_and_momentum_and_gives_the_rate_back():
    seen = []
    spy = At("before_step", lambda learner: seen.append(learner.optimizer.lr))
    learner = make(
        ScheduleLR(poly, momentum=one_cycle_momentum), spy, optimizer=lambda p: SGD(p, 0.1, 0.9)
    )
    learner.fit("2 epochs")
    np.testing.assert_allclose(seen, [0.1 * poly(step / 8) for step in range(8)])
    assert learner.optimizer.momentum == one_cycle_momentum(7 / 8)
    assert learner.optimizer.lr == 0.1


def test_constant_schedule_changes_nothing():
    one, two = make(ScheduleLR(constant)), make()
    one.fit("2 epochs")
    two.fit("2 epochs")
    np.testing.assert_array_equal(weights(one), weights(two))


def test_gradient_clip_bounds_the_step():
    before = weights(make())
    clip = GradientClip(0.01)
    learner = make(clip)
    learner.fit("1 steps")
    assert np.linalg.norm(weights(learner) - before) == pytest.approx(0.1 * 0.01, rel=1e-3)
    assert clip.norm > 0.01


def test_averages_are_validated_and_left_in_the_model(tmp_path):
    during = {}

    def remember(name):
        return At(name, lambda learner: during.__setitem__(name, weights(learner)))

    class Late(At):
        order = 99

    spy = Late("before_validate", lambda learner: during.__setitem__("valid", weights(learner)))
    learner = make(EMAWeights(0.9), Checkpoint(), spy, remember("after_train"), run_dir=tmp_path)
    learner.fit("3 epochs")
    np.testing.assert_array_equal(weights(learner), during["valid"])
    assert not np.array_equal(during["valid"], during["after_train"])
    arrays, _ = checkpoint.load(tmp_path / "last.safetensors")
    saved = np.concatenate([arrays["model.weight"].ravel(), arrays["model.bias"]])
    np.testing.assert_array_equal(saved, during["after_train"])
    model = Line()
    load_weights(model, tmp_path / "last.safetensors")
    loaded = np.concatenate([p.data.ravel() for p in model.parameters()])
    np.testing.assert_array_equal(loaded, during["valid"])


def test_early_stop_waits_for_its_patience(caplog):
    learner = make(EarlyStop(patience=2), optimizer=lambda p: SGD(p, lr=1e-20))  # never better
    with caplog.at_level(logging.INFO):
        learner.fit("50 epochs")
    assert learner.epoch == 3
    assert "valid_loss was best in epoch 1" in caplog.text


def test_early_stop_names_unknown_columns():
    with pytest.raises(RecipeError, match=r"'valid_los', .* did you mean 'valid_loss'"):
        make(EarlyStop(monitor="valid_los")).fit("3 epochs")


def test_a_plateau_lowers_the_rate_and_names_unknown_columns():
    learner = make(PlateauLR(patience=1), optimizer=lambda p: SGD(p, lr=1e-20))  # never better
    learner.optimizer.lr = 1.0
    learner.callbacks.insert(0, At("before_step", lambda learner: learner.optimizer.zero_grad()))
    learner.fit("5 epochs")
    assert learner.optimizer.lr == pytest.approx(0.1)  # before epoch 4, the third without a best
    with pytest.raises(RecipeError, match="did you mean 'valid_loss'"):
        make(PlateauLR("valid_los")).fit("3 epochs")


def test_best_epoch_ignores_nan_and_takes_the_first():
    rows = [{"dice": v} for v in (math.nan, 0.5, 0.7, 0.7, math.nan)]
    assert best_epoch(rows, "dice", higher_is_better=True) == 3
    assert best_epoch(rows, "dice", higher_is_better=False) == 2


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_nan_stops_before_the_weights_change(tmp_path, where):
    learner = make(StopOnNaN(), Checkpoint(every_steps=1), run_dir=tmp_path)

    def spoil(learner):
        if learner.step == 5 and where == "loss":
            learner.loss = learner.loss * math.nan
        elif learner.step == 5:
            learner.model.weight.grad = fg.tensor([[math.inf], [0.0]])

    event = "before_backward" if where == "loss" else "before_step"
    learner.callbacks.insert(0, At(event, spoil))
    with pytest.raises(FieldgradError, match=r"step 6 .*last.safetensors") as caught:
        learner.fit("9 epochs")
    assert where in str(caught.value)
    arrays, _ = checkpoint.load(tmp_path / "last.safetensors")
    np.testing.assert_array_equal(arrays["model.weight"], learner.model.weight.data)
    assert np.isfinite(weights(learner)).all()


def test_best_checkpoint_is_of_the_best_epoch(tmp_path):
    learner = make(Checkpoint(), run_dir=tmp_path)
    worse = At("after_train", lambda learner: learner.epoch == 2 and spoil(learner))

    def spoil(learner):
        learner.model.bias.assign([100.0])

    learner.callbacks.insert(0, worse)
    learner.fit("3 epochs")
    arrays, _ = checkpoint.load(tmp_path / "best.safetensors")
    assert arrays["model.bias"][0] < 10
    arrays, _ = checkpoint.load(tmp_path / "last.safetensors")
    assert arrays["model.bias"][0] > 50


def test_checkpoint_by_minutes(tmp_path, monkeypatch):
    saved, now = [], [0.0]
    monkeypatch.setattr(state, "save", lambda learner, path: saved.append(learner.step))
    tick = At("before_batch", lambda _: now.__setitem__(0, now[0] + 25))
    options = {"valid": False, "run_dir": tmp_path}
    learner = make(Checkpoint(every_epochs=99, every_minutes=1.0), tick, **options)
    learner.clock = lambda: now[0]
    learner.fit("8 steps")
    assert saved == [3, 6, 8]


@pytest.mark.parametrize("callback", [Checkpoint(), SaveOnSignal(), CSVLog()])
def test_callbacks_that_write_need_a_folder(callback):
    with pytest.raises(RecipeError, match=r"needs a folder.*run_dir"):
        make(callback).fit("1 epoch")


def test_csv_log_has_a_row_for_each_epoch(tmp_path):
    make(CSVLog(), run_dir=tmp_path).fit("3 epochs")
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["valid_loss"]) < float(rows[0]["valid_loss"])


def test_tensorboard_log_writes_events(tmp_path):
    pytest.importorskip("tensorboardX")
    make(TensorBoardLog(every_steps=2), run_dir=tmp_path).fit("2 epochs")
    [file] = (tmp_path / "tensorboard").iterdir()
    content = file.read_bytes()
    assert content.count(b"step/loss") == 4
    assert content.count(b"epoch/valid_loss") == 2


def test_progress_logs_lines_without_a_terminal(caplog):
    with caplog.at_level(logging.INFO):
        make(Progress()).fit("2 epochs")
    assert "epoch 2, step 8/8: train_loss" in caplog.text
    assert "0:00 left" in caplog.text


def test_progress_draws_a_bar_in_a_terminal(monkeypatch, capfd):
    monkeypatch.setenv("FORCE_COLOR", "1")
    make(Progress()).fit("2 epochs")
    shown = capfd.readouterr().err
    assert "step 8/8" in shown
    assert "epoch 1  train_loss" in shown


def everything():
    return (
        ScheduleLR(one_cycle, momentum=one_cycle_momentum),
        GradientClip(),
        EMAWeights(0.9),
        StopOnNaN(),
        EarlyStop(patience=50),
        Checkpoint(every_steps=1),
        CSVLog(),
    )


@pytest.mark.parametrize("budget", ["3 epochs", "10 steps"])
def test_resuming_at_any_step_ends_at_the_same_bits(tmp_path, budget):
    def adamw(params):
        return AdamW(params, lr=0.1)

    whole = make(*everything(), optimizer=adamw, run_dir=tmp_path / "whole")
    whole.fit(budget)
    for step in range(1, whole.step + 1):
        folder = tmp_path / str(step)
        broken = make(*everything(), optimizer=adamw, run_dir=folder)
        broken.callbacks.append(
            At("after_batch", stop(ZeroDivisionError, lambda learner, k=step: learner.step == k))
        )
        with pytest.raises(ZeroDivisionError):
            broken.fit(budget)
        resumed = make(*everything(), optimizer=adamw, run_dir=folder)
        resumed.fit(budget, resume=True)
        np.testing.assert_array_equal(weights(resumed), weights(whole))
        for row, expected in zip(resumed.history, whole.history, strict=True):
            assert {**row, "seconds": 0} == {**expected, "seconds": 0}


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    learner = make(*everything(), run_dir=tmp_path)
    learner.notes["recipe"] = "field = 'none'"
    learner.fit("2 epochs")
    again = make(*everything(), run_dir=tmp_path)
    again.resume()
    np.testing.assert_array_equal(weights(again), weights(learner))
    assert again.step == 8
    assert again.notes == {"recipe": "field = 'none'"}


def test_resume_without_a_checkpoint():
    with pytest.raises(RecipeError, match="no run_dir"):
        make().resume()
    with pytest.raises(FileError, match=r"last.safetensors does not exist"):
        make(run_dir="nowhere").resume()


def test_resume_refuses_what_does_not_fit(tmp_path):
    make(*everything(), run_dir=tmp_path).fit("1 epoch")
    other = make(*everything(), run_dir=tmp_path)
    other.train.batch_size = 2
    with pytest.raises(DataError, match="4 batches in an epoch, here there are 6"):
        other.resume()
    with pytest.raises(DataError, match="EMAWeights"):
        make(Checkpoint(), run_dir=tmp_path).resume()


def test_fit_with_resume_begins_where_there_is_nothing_to_resume(tmp_path):
    learner = make(Checkpoint(), run_dir=tmp_path)
    learner.fit("1 epoch", resume=True)
    assert learner.step == 4


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_ends_after_the_step_with_everything_saved(tmp_path, number, error):
    before = signal.getsignal(number)
    send = At("before_backward", lambda learner: learner.step == 5 and os.kill(os.getpid(), number))
    learner = make(send, SaveOnSignal(), run_dir=tmp_path)
    with pytest.raises(error):
        learner.fit("9 epochs")
    assert learner.step == 6
    assert signal.getsignal(number) is before
    resumed = make(SaveOnSignal(), run_dir=tmp_path)
    resumed.resume()
    whole = make()
    whole.fit("9 epochs")
    np.testing.assert_array_equal(weights(resumed), weights(whole))


def test_importing_the_training_loop_imports_no_optional_library():
    code = (
        "import sys, fieldgrad.engine.train.logs\n"
        "print([m for m in ('rich', 'tensorboardX', 'safetensors') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert found.strip() == "[]"


def test_the_callbacks_of_the_how_to_work(tmp_path):
    page = Path(__file__).parents[2] / "docs/how-to/write-a-callback.md"
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        exec(block, names)
    lowest = names["LowestLoss"]()
    recorder = Recorder()
    learner = make(names["SkipOutliers"](0.0), lowest, recorder, Checkpoint(), run_dir=tmp_path)
    learner.fit("2 epochs")
    assert [name for name, _, _ in recorder.seen].count("before_step") == 2  # first of each epoch
    again = names["LowestLoss"]()
    make(again, Checkpoint(), run_dir=tmp_path).resume()
    assert again.lowest == lowest.lowest < np.inf


def test_the_loop_of_the_how_to_is_the_printed_one(capsys):
    page = Path(__file__).parents[2] / "docs/how-to/write-a-callback.md"
    make(ScheduleLR(poly), GradientClip(), Checkpoint()).print_loop()
    assert capsys.readouterr().out in page.read_text(encoding="utf-8")
