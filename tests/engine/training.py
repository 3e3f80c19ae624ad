"""A small real problem for the tests of training: two interleaved half moons, and a network."""

import numpy as np

import fieldgrad.engine as fg
from fieldgrad.engine import nn
from fieldgrad.engine.data import Loader
from fieldgrad.engine.nn.losses import cross_entropy
from fieldgrad.engine.optim import AdamW
from fieldgrad.engine.train import Accuracy, Learner


def moons(n, seed=0, noise=0.15):
    """Give n points (2 numbers) with their class (0 or 1)."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    t = rng.uniform(0, np.pi, n)
    x = np.stack([np.cos(t) + y, np.sin(t) * (1 - 2 * y) + 0.4 * y], 1) + rng.normal(
        0, noise, (n, 2)
    )
    return [(point.astype(np.float32), int(label)) for point, label in zip(x, y, strict=True)]


class Jittered:
    """The same points, moved at random by some strength, which is a knob."""

    def __init__(self, items, strength=0.1):
        self.items, self.strength = items, strength

    def __len__(self):
        return len(self.items)

    def item(self, index, rng):
        x, y = self.items[index]
        return x + rng.normal(0, self.strength, 2).astype(np.float32), y

    def knobs(self):
        from fieldgrad.engine.train import knob_of

        text = "size of the random shifts"
        return {"strength": knob_of(self, "strength", text, low=0, remakes_batches=True)}


def net(width=16, seed=0):
    fg.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
    )


def make(*callbacks, run_dir=None, n=96, n_workers=0, optimizer=AdamW, lr=3e-3, **options):
    """A learner for the moons, with batches of 16 and 64 points to validate with."""
    model = net()
    return Learner(
        model,
        options.pop("loss", cross_entropy),
        optimizer(model.parameters(), lr=lr),
        Loader(Jittered(moons(n)), 16, shuffle=True, seed=1, n_workers=n_workers),
        Loader(moons(64, seed=9), 32),
        metrics=[Accuracy()],
        callbacks=callbacks,
        run_dir=run_dir,
        **options,
    )


def weights(learner):
    return np.concatenate([p.data.ravel() for p in learner.model.parameters()])
