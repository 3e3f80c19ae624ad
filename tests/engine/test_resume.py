"""A run that is killed at any moment and resumed ends at the same bits as an undisturbed one."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fieldgrad.engine import checkpoint

# Dropout and augmentation, momentum, averages, threads that load, a checkpoint at every step.
PROGRAM = """
import sys, time
import numpy as np
import fieldgrad.engine as fg
from fieldgrad.engine.data import Loader
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.optim import AdamW
from fieldgrad.engine.train import (
    Callback, Checkpoint, CSVLog, EMAWeights, GradientClip, Learner, ScheduleLR, one_cycle,
    one_cycle_momentum,
)

class Points:
    def __len__(self):
        return 40
    def item(self, index, rng):
        x = np.random.default_rng(index).normal(size=6)
        y = x[:1] * x[1:2]
        return (x + rng.normal(0, 0.1, 6)).astype(np.float32), y.astype(np.float32)

class Net(Module):
    def __init__(self):
        super().__init__()
        self.inner = Parameter(fg.random.normal((6, 32), std=0.4).numpy())
        self.outer = Parameter(fg.random.normal((32, 1), std=0.2).numpy())
    def forward(self, x):
        hidden = fg.tanh(x @ self.inner)
        if self.training:
            hidden = fg.dropout(hidden, 0.2)
        return hidden @ self.outer

class Slow(Callback):
    def after_batch(self, learner):
        print("step", learner.step, flush=True)
        time.sleep(0.002)

fg.manual_seed(7)
net = Net()
learner = Learner(
    net, lambda y, target: fg.mean((y - target) ** 2), AdamW(net.parameters(), lr=0.01),
    Loader(Points(), 4, shuffle=True, seed=1, n_workers=2), Loader(Points(), 8),
    callbacks=[ScheduleLR(one_cycle, one_cycle_momentum), GradientClip(1.0), EMAWeights(0.9),
               Checkpoint(every_steps=int(sys.argv[3])), CSVLog(), Slow()],
    run_dir=sys.argv[1],
)
learner.fit(sys.argv[2], resume=True)
"""


def start(folder, budget, every_steps):
    command = [sys.executable, "-c", PROGRAM, str(folder), budget, str(every_steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def final_arrays(folder):
    arrays, text = checkpoint.load(Path(folder) / "last.safetensors")
    assert '"finished": true' in text["training"]
    return arrays


@pytest.mark.parametrize(("budget", "every_steps"), [("6 epochs", 1), ("47 steps", 4)])
def test_killed_and_resumed_run_ends_at_the_same_bits(tmp_path, budget, every_steps):
    whole = start(tmp_path / "whole", budget, every_steps)
    whole.communicate(timeout=60)
    assert whole.returncode == 0
    # SIGKILL cannot be caught: it comes in a step, while loading, validating, or writing.
    chance, n_killed = random.Random(3), 0
    for _ in range(4):
        process = start(tmp_path / "killed", budget, every_steps)
        for _ in range(chance.randint(3, 10)):
            process.stdout.readline()
        time.sleep(chance.uniform(0, 0.01))
        process.kill()
        process.communicate(timeout=60)
        n_killed += process.returncode != 0  # on a busy machine the last ones may be done already
    assert n_killed
    process = start(tmp_path / "killed", budget, every_steps)
    process.communicate(timeout=60)
    assert process.returncode == 0
    expected, found = final_arrays(tmp_path / "whole"), final_arrays(tmp_path / "killed")
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    for folder in ("whole", "killed"):
        assert (tmp_path / folder / "history.csv").read_text().count("\n") >= 6
    leftovers = [n for n in os.listdir(tmp_path / "whole") if n.startswith(".writing")]
    assert not leftovers
