"""Knobs turned while a run trains: checked, applied between two steps, on record, repeated."""

import json
import threading
import time

import numpy as np
import pytest
from training import make, weights

from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.nn.losses import cross_entropy
from fieldgrad.engine.train import (
    Callback,
    Checkpoint,
    EarlyStop,
    EMAWeights,
    GradientClip,
    Run,
    ScheduleLR,
    WeightedTerms,
    one_cycle,
)
from fieldgrad.engine.train.replay import differences, write_script


class At(Callback):
    """Call a function with the learner after certain steps."""

    def __init__(self, **actions):
        self.actions = {int(step[1:]): action for step, action in actions.items()}
        self.seen = []

    def after_batch(self, learner):
        self.actions.pop(learner.step, lambda learner: None)(learner)

    def before_step(self, learner):
        self.seen.append(learner.optimizer.lr)


def turn(**settings):
    return lambda learner: learner.knobs.set(**settings)


def do(action):
    return lambda learner: learner.knobs.do(action)


def test_a_knob_turns_at_the_next_step_and_is_on_record(tmp_path):
    at = At(s3=turn(lr=0.5))
    learner = make(at, run_dir=tmp_path, lr=0.1)
    learner.fit("1 epoch")
    assert at.seen == [0.1] * 3 + [0.5] * 3
    [change] = Run(tmp_path).changes()
    assert (change.step, change.knob, change.value, change.was) == (3, "lr", 0.5, 0.1)
    assert change.source == "notebook"
    assert str(change) == "lr = 0.5 (was 0.1)"


def test_with_a_schedule_the_rate_is_the_one_it_multiplies():
    at = At(s2=turn(lr=1.0))
    learner = make(at, ScheduleLR(lambda progress: 1 - progress), lr=0.1)
    learner.fit("1 epoch")
    np.testing.assert_allclose(at.seen, [0.1, 0.1 * 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert learner.optimizer.lr == 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1}, "the knob lr is -1; expected a number above 0. Nothing was changed"),
        ({"lr": "fast"}, "the knob lr is fast; expected a number"),
        ({"lr": float("nan")}, "the knob lr is nan"),
        ({"lr": True}, "the knob lr is True"),
        ({"patience": 2.5}, "patience is 2.5; expected a whole number from 1"),
        ({"frozen": 3}, "frozen is 3; expected a whole number from 0 to 2"),
        ({"momentum": 1}, "momentum is 1; expected a number from 0 below 1"),
        ({"lrr": 1}, "no knob 'lrr'; did you mean 'lr'.*Nothing was changed"),
        ({"weight_decay": 0.5, "lr": 0}, "lr is 0"),
    ],
)
def test_a_bad_value_changes_nothing(tmp_path, settings, message):
    learner = make(EarlyStop(), run_dir=tmp_path)
    learner.fit("1 steps")
    before = {name: knob.read() for name, knob in learner.knobs.table.items()}
    with pytest.raises(RecipeError, match=message):
        learner.knobs.set(**settings)
    assert {name: knob.read() for name, knob in learner.knobs.table.items()} == before
    assert Run(tmp_path).changes() == []


def test_everything_that_takes_part_offers_its_knobs():
    loss = WeightedTerms({"class": cross_entropy, "half": lambda y, t: 0.5 * cross_entropy(y, t)})
    learner = make(GradientClip(), EarlyStop(), Checkpoint(), loss=loss, run_dir="unused")
    from fieldgrad.engine.train.knobs import gather

    assert set(gather(learner)) == {
        "lr", "weight_decay", "momentum", "frozen", "weight_class", "weight_half", "strength",
        "clip", "patience", "checkpoint_epochs", "checkpoint_minutes", "log_seconds",
    }  # fmt: skip


def test_loss_weights_and_freezing_take_effect():
    loss = WeightedTerms({"class": cross_entropy})
    first = {}

    def remember(learner):
        first["weights"] = learner.model[0].weight.data.copy()

    stop = {"s2": turn(frozen=1, weight_class=0.0, weight_decay=0.0), "s3": remember}
    learner = make(At(**stop), loss=loss)
    learner.fit("2 epochs")
    np.testing.assert_array_equal(learner.model[0].weight.data, first["weights"])
    assert loss.weights == {"class": 0.0}


@pytest.mark.parametrize("n_workers", [0, 3])
def test_augmentation_changes_with_the_next_batch_whatever_was_made_ahead(n_workers):
    spreads = []

    class Spread(Callback):
        def before_batch(self, learner):
            spreads.append(float(np.abs(learner.batch[0].data).max()))

    learner = make(At(s3=turn(strength=1000.0)), Spread(), n_workers=n_workers)
    learner.fit("1 epoch")
    assert len(spreads) == 6
    assert max(spreads[:3]) < 10 < 100 < min(spreads[3:])


def test_a_loader_of_ones_own_needs_no_data_set_and_may_end_early():
    class Stream:
        """Batches from elsewhere; its length is an estimate."""

        def __init__(self, loader):
            self.loader = loader

        def __len__(self):
            return 9

        def iterate(self, epoch, start_batch=0):
            return iter(list(self.loader.iterate(epoch, start_batch)))

    learner = make(At(s3=turn(lr=0.5)))
    learner.train = Stream(learner.train)
    learner.fit("2 epochs")
    assert learner.step == 12
    assert learner.optimizer.lr == 0.5


def test_pause_stands_still_and_takes_no_time(tmp_path):
    learner = make(At(s3=do("pause")), run_dir=tmp_path)
    thread = threading.Thread(target=learner.fit, args=("2 epochs",))
    thread.start()
    wait_for(lambda: Run(tmp_path).status().get("state") == "paused")
    step = learner.step
    time.sleep(0.4)
    assert learner.step == step == 3
    assert thread.is_alive()
    learner.knobs.do("resume")
    thread.join(20)
    assert learner.step == 12
    assert learner.history[-1]["seconds"] < 0.4
    assert Run(tmp_path).status()["state"] == "finished"


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_another_process_asks_through_the_folder(tmp_path):
    learner = make(At(s3=do("pause")), run_dir=tmp_path)
    thread = threading.Thread(target=learner.fit, args=("1 epoch",))
    thread.start()
    wait_for(lambda: Run(tmp_path).status().get("state") == "paused")
    run = Run(tmp_path)
    assert run.set(lr=0.25) == "lr = 0.25 (was 0.003) after step 3"
    with pytest.raises(RecipeError, match="lr is -3; expected a number above 0"):
        run.set(lr=-3)
    run.do("validate")
    run.do("resume")
    thread.join(20)
    assert learner.optimizer.lr == 0.25
    assert [c.knob for c in run.changes()] == ["pause", "lr", "validate", "resume"]
    assert [row["step"] for row in run.log()[0] if row["kind"] == "validation"] == [3]
    assert list((tmp_path / "requests").iterdir()) == []
    with pytest.raises(RecipeError, match="is finished, so nothing listens"):
        run.set(lr=1)


def test_a_damaged_request_is_thrown_away(tmp_path):
    def litter(learner):
        (tmp_path / "requests").mkdir(exist_ok=True)
        (tmp_path / "requests" / "1.json").write_text("{")
        (tmp_path / "requests" / "2.json").write_text('{"settings": [], "action": "explode"}')

    learner = make(At(s1=litter, s2=lambda learner: time.sleep(0.25)), run_dir=tmp_path)
    learner.fit("1 epoch")
    assert list((tmp_path / "requests").iterdir()) == []
    assert Run(tmp_path).changes() == []


def test_validating_between_steps_changes_nothing(tmp_path):
    plain, checked = make(EMAWeights(0.9)), make(EMAWeights(0.9), At(s3=do("validate")))
    plain.fit("2 epochs")
    checked.fit("2 epochs")
    np.testing.assert_array_equal(weights(plain), weights(checked))
    assert [row["valid_loss"] for row in plain.history] == [
        row["valid_loss"] for row in checked.history
    ]


def test_stop_ends_as_if_the_budget_were_used_up(tmp_path):
    learner = make(Checkpoint(), At(s4=do("stop")), run_dir=tmp_path)
    learner.fit("50 epochs")
    assert learner.step in (4, 5)
    assert learner.finished
    assert Run(tmp_path).status()["state"] == "finished"


def test_save_now(tmp_path):
    saved = []

    def look(learner):
        saved.append((tmp_path / "last.safetensors").exists())

    learner = make(At(s2=do("save"), s4=look), run_dir=tmp_path)
    learner.fit("1 epoch")
    assert saved == [True]


class Broken(Exception):
    pass


def break_off(learner):
    raise Broken


SCRIPT = {
    "s2": turn(lr=0.02), "s4": turn(strength=0.5, clip=0.1), "s7": turn(frozen=1),
    "s9": turn(frozen=0, weight_decay=0.3),
}  # fmt: skip


@pytest.mark.parametrize("every_steps", [1, 5])
@pytest.mark.parametrize("broken_at", [3, 8, 10, 13])
def test_an_interrupted_run_turns_its_knobs_again(tmp_path, every_steps, broken_at):
    def build(folder, *more):
        saving = Checkpoint(every_steps=every_steps)
        return make(
            ScheduleLR(one_cycle), GradientClip(), saving, *more, run_dir=folder, n_workers=2
        )

    whole = build(tmp_path / "whole", At(**SCRIPT))
    whole.fit("3 epochs")
    actions = {key: action for key, action in SCRIPT.items() if int(key[1:]) < broken_at}
    broken = build(tmp_path / "broken", At(**actions, **{f"s{broken_at}": break_off}))
    with pytest.raises(Broken):
        broken.fit("3 epochs")
    rest = {key: action for key, action in SCRIPT.items() if int(key[1:]) >= broken_at}
    resumed = build(tmp_path / "broken", At(**rest))
    resumed.fit("3 epochs", resume=True)
    np.testing.assert_array_equal(weights(resumed), weights(whole))
    assert [(c.step, c.knob, c.value) for c in Run(tmp_path / "broken").changes()] == [
        (c.step, c.knob, c.value) for c in Run(tmp_path / "whole").changes()
    ]


@pytest.mark.parametrize("end", ["budget", "stop", "time"])
def test_a_replay_ends_at_the_same_bits(tmp_path, end):
    def build(folder, *more):
        return make(
            ScheduleLR(one_cycle), GradientClip(), EMAWeights(0.9), Checkpoint(), *more,
            run_dir=folder, n_workers=2,
        )  # fmt: skip

    actions = SCRIPT | ({"s11": do("stop")} if end == "stop" else {})
    original = build(tmp_path / "one", At(**actions))
    if end == "time":
        now = [0.0]
        original.clock = lambda: now[0]
        tick = At(**{f"s{k}": lambda _: now.__setitem__(0, now[0] + 0.9) for k in range(1, 60)})
        original.callbacks.append(tick)
    original.fit("30 s" if end == "time" else "3 epochs")
    write_script(tmp_path / "one", tmp_path / "two")
    again = build(tmp_path / "two")
    again.fit("30 s" if end == "time" else "3 epochs")
    assert again.step == original.step
    np.testing.assert_array_equal(weights(again), weights(original))
    assert differences(tmp_path / "one", tmp_path / "two") == []
    without = build(tmp_path / "three")
    without.fit(f"{original.step} steps")
    assert differences(tmp_path / "one", tmp_path / "three")


def test_the_record_of_changes_is_json_lines(tmp_path):
    make(At(s1=turn(lr=0.5)), run_dir=tmp_path).fit("1 epoch")
    [line] = (tmp_path / "knobs.jsonl").read_text().splitlines()
    assert json.loads(line)["knob"] == "lr"
