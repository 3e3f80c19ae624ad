"""Lists, reports, replays and sweeps of runs, through the command line."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fieldgrad.engine.cli import app
from fieldgrad.engine.errors import RecipeError
from fieldgrad.engine.field import find_recipe
from fieldgrad.engine.runs.report import bootstrap_interval
from fieldgrad.engine.runs.sweep import Sweep, parse_grid
from fieldgrad.engine.train import Run
from fieldgrad.engine.train.replay import differences

CODE = '''
"""A field that trains on half moons."""

import sys
from pathlib import Path

from fieldgrad.engine.field import Field
from fieldgrad.engine.runs.report import Section


def train(*, run_dir: Path, budget: str = "3 epochs", lr: float = 3e-3, width: int = 8,
          live: bool = False, fold: str = "", resume: bool = False) -> str:
    """Train."""
    sys.path.insert(0, TESTS)
    from training import make
    from fieldgrad.engine.train import (
        Callback, Checkpoint, SaveOnSignal, ScheduleLR, StopOnNaN, one_cycle
    )

    class Turn(Callback):
        def after_batch(self, learner):
            if live and learner.step in (4, 7):
                learner.knobs.set(lr=0.05 / learner.step, strength=0.3)

    replayed = (run_dir / ".replay.json").exists()
    turns = [] if replayed else [Turn()]
    callbacks = ScheduleLR(one_cycle), Checkpoint(), StopOnNaN(), SaveOnSignal(), *turns
    learner = make(*callbacks, run_dir=run_dir, lr=lr, n_workers=1)
    learner.fit(budget, resume=resume)
    if fold:
        from fieldgrad.engine.train import Fold

        learner.save(run_dir / "model.safetensors")
        found = Fold.parse(fold)
        _, held_back = found.divide(10)
        row = learner.history[-1]
        scores = {"accuracy": row["accuracy"], "loss": row["valid_loss"]}
        found.write(run_dir, scores, [{"moon": int(i), "score": 0.5} for i in held_back])
    return "trained"


def join(files, path):
    """Join models: here their names."""
    path.write_text(" ".join(str(file) for file in files))


def sections(run_dir):
    """Give a part of the report."""
    files = {"boundary": run_dir / "boundary.svg", "not drawn": run_dir / "none.png"}
    return [Section("Moons", "Two of <them>.", ("a", "b"), [("1", "2")], files)]


field = Field(
    "moons", "Half moons.", names={"train": "moons:train"},
    recipes=Path(__file__).parent / "recipes", report="moons:sections", join="moons:join",
)
'''
RECIPE = 'field = "moons"\ntask = "train"\nsummary = "Two half moons."\n'


@pytest.fixture
def moons(tmp_path, monkeypatch):
    """Install a field that trains in a moment, and work in an empty folder."""
    monkeypatch.delitem(sys.modules, "moons", raising=False)
    site = tmp_path / "site"
    information = site / "fieldgrad_moons-0.1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: fieldgrad-moons\nVersion: 0.1\n"
    )
    (information / "entry_points.txt").write_text("[fieldgrad.fields]\nmoons = moons:field\n")
    (site / "moons.py").write_text(CODE.replace("TESTS", repr(str(Path(__file__).parent))))
    (site / "recipes").mkdir()
    (site / "recipes" / "two.toml").write_text(RECIPE)
    monkeypatch.syspath_prepend(site)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return site


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def good(*arguments):
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def refused(message, *arguments):
    result = call(*arguments)
    assert result.exit_code == 1, result.output
    assert message in " ".join(result.output.split())


def test_the_report_of_a_run_without_a_recipe_has_the_parts_of_its_field(moons):
    from training import make

    make(run_dir="runs/by-hand", field="moons").fit("1 epoch")
    Path("runs/by-hand/boundary.svg").write_text("<svg/>")
    good("report", "runs/by-hand")
    page = Path("runs/by-hand/report.html").read_text()
    assert "Two of &lt;them&gt;." in page
    assert 'alt="boundary" src="data:image/svg+xml;base64,' in page
    assert "not drawn" not in page  # a picture that is not there


def test_folds_are_run_judged_and_joined_and_an_interrupted_one_goes_on(moons, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = good("run", "moons/two", "--folds", "3")
    folder = Path("runs/two-folds")
    assert [p.name for p in sorted(folder.glob("fold-*"))] == ["fold-1", "fold-2", "fold-3"]
    with open(folder / "folds.csv") as file:
        rows = list(csv.DictReader(file))
    values = [float(row["accuracy"]) for row in rows]
    assert [row["fold"] for row in rows] == ["1", "2", "3", "mean", "standard deviation"]
    assert values[3] == pytest.approx(np.mean(values[:3]))
    assert values[4] == pytest.approx(np.std(values[:3], ddof=1))
    assert f"{values[3]:.4g} ±" in shown
    with open(folder / "out_of_fold.csv") as file:
        out_of_fold = list(csv.DictReader(file))
    assert sorted(int(row["moon"]) for row in out_of_fold) == list(range(10))
    assert {row["fold"] for row in out_of_fold} == {"1", "2", "3"}
    assert len((folder / "model.safetensors").read_text().split()) == 3
    # What is done stands; a fold that was interrupted is resumed.
    (folder / "fold-2" / "fold.json").unlink()
    log = (folder / "fold-1" / "log.jsonl").stat().st_mtime_ns
    table = (folder / "folds.csv").read_text()
    good("run", "moons/two", "--folds", "3")
    assert (folder / "folds.csv").read_text() == table
    assert (folder / "fold-1" / "log.jsonl").stat().st_mtime_ns == log
    refused("which is none of these 2 folds", "run", "moons/two", "--folds", "2")
    assert 'fold = "2/3"' in (folder / "fold-2" / "recipe.toml").read_text()


def test_what_cannot_be_cross_validated_is_told_so(moons):
    (moons / "moons.py").write_text(
        (moons / "moons.py").read_text().replace('fold: str = ""', 'split: str = ""')
    )
    refused("has no setting fold", "run", "moons/two", "--folds", "3")


def test_runs_are_listed_with_state_best_and_duration(moons, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    good("run", "moons/two")
    good("run", "moons/two", "--set", "budget=6 steps")
    call("run", "moons/two", "--set", "lr=1e30")
    lines = [line.split() for line in call("runs").output.splitlines()[1:]]
    assert {line[0]: line[1:3] for line in lines} == {
        "runs/two": ["finished", "18/18"],
        "runs/two-2": ["finished", "6/6"],
        "runs/two-3": ["failed", lines[0][2]],
    }
    assert "valid_loss" in lines[-1]
    refused("nowhere is no folder", "runs", "nowhere")
    Path("empty").mkdir()
    assert "no run in empty" in good("runs", "empty")


def test_a_report_explains_a_run_and_needs_no_network(moons):
    good("run", "moons/two", "--set", "live=true")
    assert "runs/two/report.html" in good("report", "runs/two")
    page = Path("runs/two/report.html").read_text()
    for text in (
        "Two half moons.",
        "finished",
        "lr = 0.0125",
        "<svg",
        "Two of &lt;them&gt;.",
        "numpy",
    ):
        assert text in page
    assert 'budget = "3 epochs"' in page.replace("&quot;", '"')
    for elsewhere in ('src="http', 'href="http', "url(", "@import", "<script"):
        assert elsewhere not in page
    Path("none").mkdir()
    refused("none holds no run", "report", "none")


def test_a_replay_ends_at_the_same_weights_and_says_so(moons):
    good("run", "moons/two", "--set", "live=true")
    said = good("replay", "runs/two")
    assert "Replayed 18 steps, 4 changes of knobs: the same weights, bit for bit" in said
    assert differences("runs/two", "runs/two-replay") == []
    assert [str(c) for c in Run("runs/two").changes()] == [
        str(c) for c in Run("runs/two-replay").changes()
    ]
    refused("is not empty. Choose a new folder", "replay", "runs/two")


def test_a_replay_that_differs_is_told(moons):
    good("run", "moons/two", "--set", "live=true")
    path = Path("runs/two/knobs.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["value"] *= 2
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    refused("ended at other values", "replay", "runs/two")


def test_knobs_of_a_run_that_does_not_train(moons):
    good("run", "moons/two")
    listed = good("knobs", "runs/two")
    assert "weight_decay" in listed
    assert "The run is finished, at step 18." in listed
    refused("runs/two is finished, so nothing listens", "knobs", "runs/two", "set", "lr=1")
    refused("expected set NAME=VALUE", "knobs", "runs/two", "set", "lr")
    refused("no action 'paus'; did you mean 'pause'", "knobs", "runs/two", "paus")


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_scheduler_may_end_a_run_and_requeue_it(moons, monkeypatch, number):
    monkeypatch.setenv("PYTHONPATH", str(moons))
    command = [sys.executable, "-m", "fieldgrad.engine.cli", "run", "moons/two", "--resume"]
    command += ["--out", "job", "--set", "budget=300 steps"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not Path("job/run.json").exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    status = Run("job").status()
    assert status["state"] == "interrupted"
    assert 0 < status["step"] < 300
    good("run", "moons/two", "--resume", "--out", "job", "--set", "budget=300 steps")
    assert Run("job").status()["step"] == 300
    good("run", "moons/two", "--out", "whole", "--set", "budget=300 steps")
    assert differences("job", "whole") == []


def test_a_live_run_opens_its_page_and_trains(moons, monkeypatch):
    for library in ("starlette", "uvicorn", "psutil"):
        pytest.importorskip(library, reason="the extra live is not installed")
    opened = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", opened.append)
    result = call("run", "moons/two", "--live")
    assert result.exit_code == 0, result.output
    [url] = opened
    assert url.startswith("http://127.0.0.1:")
    assert f"The run is shown at {url}" in result.output
    assert Run("runs/two").status()["state"] == "finished"
    refused("already holds a run", "run", "moons/two", "--live", "--out", "runs/two")


def test_without_the_extra_a_live_run_says_what_to_install(moons, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    refused('pip install "fieldgrad[live]"', "run", "moons/two", "--live")
    assert "uvicorn" in call("run", "moons/two", "--live").output
    good("run", "moons/two", "--out", "elsewhere")


def test_a_sweep_runs_every_combination_and_goes_on(moons):
    command = (
        "sweep",
        "moons/two",
        "--grid",
        "lr=1e-3,1e-2,1e30",
        "--grid",
        "budget=6 steps,12 steps",
    )
    said = good(*command)
    assert "trial 1/6 lr=1e-3 budget=6 steps finished" in said
    folder = Path("runs/two-sweep")
    rows = list(csv.DictReader((folder / "sweep.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == ["finished"] * 4 + ["failed"] * 2
    values = [float(row["valid_loss"]) for row in rows[:4]]
    assert values[3] == min(values)  # the higher rate, for longer
    page = (folder / "sweep.html").read_text()
    assert page.count("<svg") == 2
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    times = {p: p.stat().st_mtime_ns for p in folder.glob("trial-00[1-4]/last.safetensors")}
    good(*command)
    assert {p: p.stat().st_mtime_ns for p in times} == times  # nothing was done twice
    refused("holds a sweep with another grid", *command, "--grid", "width=3,4")


def test_fewer_trials_are_drawn_without_repetition(moons, tmp_path):
    grid = {"lr": ["1e-3", "1e-2", "1e-1"], "width": ["4", "8", "16"]}
    name = str(find_recipe("moons/two"))
    trials = Sweep(name, tmp_path / "a", grid, n_trials=5, seed=1).trials
    drawn = [tuple(trial.settings.values()) for trial in trials]
    assert len(set(drawn)) == 5
    assert drawn != [
        tuple(t.settings.values())
        for t in Sweep(name, tmp_path / "b", grid, n_trials=5, seed=2).trials
    ]
    with pytest.raises(RecipeError, match="no setting 'widht'; did you mean 'width'"):
        Sweep(name, tmp_path / "c", {"widht": ["1"]})


def test_optuna_proposes_from_what_it_has_seen(moons, tmp_path):
    pytest.importorskip("optuna", reason="optuna is not installed")
    name, asked = str(find_recipe("moons/two")), []

    def pretend(loaded, folder):
        folder.mkdir(parents=True)
        value = abs(np.log10(loaded.settings["lr"]) + 2)
        (folder / "run.json").write_text('{"state": "finished"}')
        (folder / "log.jsonl").write_text(
            json.dumps({"kind": "epoch", "step": 1, "valid_loss": value}) + "\n"
        )
        asked.append(loaded.settings["lr"])

    grid = {"lr": ["1e-4", "1e-3", "1e-2", "1e-1", "1.0"]}
    first = Sweep(name, tmp_path / "s", grid, n_trials=15, search="optuna")
    first.run(pretend)
    assert first.ranked()[0].settings == {"lr": "1e-2"}
    assert asked[8:].count(0.01) > asked[:5].count(0.01)
    done = len(asked)
    again = Sweep(name, tmp_path / "s", grid, n_trials=18, search="optuna")
    again.run(pretend)
    assert len(asked) == done + 3
    assert [t.settings for t in again.trials[:15]] == [t.settings for t in first.trials]


@pytest.mark.parametrize("entry", ["lr", "lr=", "=1,2", "lr=1,,2"])
def test_a_grid_that_cannot_be_read_is_refused(entry):
    with pytest.raises(RecipeError, match="expected setting=choice,choice"):
        parse_grid([entry])


def test_an_interval_covers_the_mean_of_its_population_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        low, high = bootstrap_interval(rng.normal(3.0, 1.0, 30), n_samples=400, seed=seed)
        covered += low <= 3.0 <= high
    assert 0.87 < covered / 200 <= 0.99  # percentile intervals of 30 values cover a little less
    assert np.isnan(bootstrap_interval([1.0])).all()
