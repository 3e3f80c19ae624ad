"""A run that is killed at any moment and resumed ends at the same bits as an undisturbed one."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fieldgrad.engine import checkpoint

# Dropout and augmentation, momentum, averages, threads that load, gradients of two batches, a
# checkpoint at every step.
PROGRAM = """
import sys, time
import numpy as np
import fieldgrad.engine as fg
from fieldgrad.engine.data import Loader
from fieldgrad.engine.nn.module import Module, Parameter
from fieldgrad.engine.optim import AdamW
from fieldgrad.engine.train import (
    AccumulateGradient, Callback, Checkpoint, CSVLog, EMAWeights, GradientClip, Learner, ScheduleLR,
    SaveOnSignal, one_cycle, one_cycle_momentum,
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
               AccumulateGradient(2), Checkpoint(every_steps=int(sys.argv[3]), keep_last=2),
               CSVLog(), SaveOnSignal(), Slow()],
    run_dir=sys.argv[1],
)
learner.fit(sys.argv[2], resume=True)
"""


def start(folder, budget, every_steps, **options):
    command = [sys.executable, "-c", PROGRAM, str(folder), budget, str(every_steps)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        # A job in the background of a shell has Ctrl-C ignored, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def final_arrays(folder):
    arrays, text = checkpoint.load(Path(folder) / "last.safetensors")
    assert '"finished": true' in text["training"]
    return arrays


def end_of(folder, budget, every_steps):
    process = start(folder, budget, every_steps)
    process.communicate(timeout=60)
    assert process.returncode == 0
    return final_arrays(folder)


@pytest.mark.slow
@pytest.mark.parametrize(("budget", "every_steps"), [("40 epochs", 1), ("390 steps", 7)])
def test_killed_and_resumed_run_ends_at_the_same_bits(tmp_path, budget, every_steps):
    expected = end_of(tmp_path / "whole", budget, every_steps)
    # SIGKILL cannot be caught: it comes in a step, while loading, validating, or writing.
    chance, n_killed, killed_while_writing = random.Random(3), 0, every_steps > 1
    while n_killed < 10 or not killed_while_writing:
        process = start(tmp_path / "killed", budget, every_steps)
        for _ in range(chance.randint(3, 14)):
            process.stdout.readline()
        time.sleep(chance.uniform(0, 0.01))
        process.kill()
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, f"done after {n_killed} kills"
        n_killed += 1
        half = [n for n in os.listdir(tmp_path / "killed") if n.startswith(".writing")]
        killed_while_writing |= any("last.safetensors" in name for name in half)
    found = end_of(tmp_path / "killed", budget, every_steps)
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    rows = [(tmp_path / f / "history.csv").read_text().splitlines() for f in ("whole", "killed")]
    assert len(rows[0]) == len(rows[1]) >= 6
    leftovers = [n for n in os.listdir(tmp_path / "whole") if n.startswith(".writing")]
    assert not leftovers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_to_the_process_saves_and_the_rest_ends_at_the_same_bits(tmp_path, number):
    expected = end_of(tmp_path / "whole", "3 epochs", 99)
    process = start(tmp_path / "left", "3 epochs", 99)
    for _ in range(13):
        process.stdout.readline()
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (-number if number == signal.SIGINT else 128 + number)
    status = json.loads((tmp_path / "left" / "run.json").read_text())
    assert status["state"] == "interrupted"
    assert 13 <= status["step"] < 30
    found = end_of(tmp_path / "left", "3 epochs", 99)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system as Linux does")
def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        process = start(disk, "24 epochs", 1, stderr=subprocess.PIPE)
        while process.stdout.readline() != "step 20\n":
            pass
        (disk / "ballast").write_bytes(b"0" * (os.statvfs(disk).f_bavail * 4096))
        _, error = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "was not written: the disk is full. Free some space" in error
        assert f"The last good checkpoint is {disk / 'last.safetensors'}" in error
        assert "Traceback" in error  # of the program in this test; the command line prints the text
        _, text = checkpoint.load(disk / "last.safetensors")
        assert json.loads(text["training"])["step"] >= 19
        (disk / "ballast").unlink()
        found = end_of(disk, "24 epochs", 1)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    expected = end_of(tmp_path / "whole", "24 epochs", 1)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
