"""The verbs of the learner and what they are made of, on two half moons."""

import os
import signal

import numpy as np
import pytest
from training import make, moons, net, weights

import fieldgrad.engine as fg
from fieldgrad.engine import nn
from fieldgrad.engine.data import Loader, balanced_weights
from fieldgrad.engine.errors import DataError, FileError, RecipeError
from fieldgrad.engine.nn.losses import cross_entropy
from fieldgrad.engine.optim import SGD
from fieldgrad.engine.train import (
    AccumulateGradient,
    Callback,
    Checkpoint,
    EMAWeights,
    Ensemble,
    Learner,
    Mixup,
    PlateauLR,
    ProgressiveResize,
    SaveOnSignal,
    ScheduleLR,
    Unfreeze,
    WeightedTerms,
    constant,
    cross_validate,
    flips,
    fold_indices,
    layer_groups,
    load_weights,
)


class Spy(Callback):
    """Remember a value of the learner before each step."""

    order = 30

    def __init__(self, look):
        self.look, self.seen = look, []

    def before_step(self, learner):
        self.seen.append(self.look(learner))


# ---- learning rates


def test_the_search_for_a_rate_leaves_everything_as_it_was():
    learner = make()
    learner.fit("1 epoch")
    before = weights(learner), learner.optimizer.state_dict(), fg.random.get_state()
    found = learner.lr_find(n_steps=60)
    np.testing.assert_array_equal(weights(learner), before[0])
    for name, array in learner.optimizer.state_dict().items():
        np.testing.assert_array_equal(array, before[1][name])
    assert fg.random.get_state() == before[2]
    assert len(found.rates) == len(found.losses) <= 60
    assert found.rates[0] == pytest.approx(1e-6)
    assert list(found.rates) == sorted(found.rates)


def test_the_suggested_rate_trains_better_than_one_a_hundred_times_lower():
    suggestion = make().lr_find().suggestion
    assert 1e-4 < suggestion < 1
    good, slow = make(), make()
    good.fit_one_cycle("6 epochs", suggestion)
    slow.fit_one_cycle("6 epochs", suggestion / 100)
    assert good.history[-1]["valid_loss"] < 0.7 * slow.history[-1]["valid_loss"]


class ByDirection(nn.Module):
    """Logits that do not depend on the size of the weights, as with normalized layers."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2, bias=False)

    def forward(self, x):
        return self.layer(x) / fg.sqrt(fg.sum(self.layer.weight**2))


def test_no_suggested_rate_changes_the_weights_by_more_than_a_tenth():
    fg.manual_seed(0)
    model = ByDirection()
    learner = Learner(model, cross_entropy, SGD(model.parameters(), lr=1), Loader(moons(96), 16))
    found = learner.lr_find(1e-3, 1e3)
    assert len(found.changes) == len(found.rates) - 1
    # The loss falls at far higher rates still.
    k = int(np.searchsorted(found.rates, found.suggestion))
    assert found.changes[k - 1] < 0.1 < found.changes[k]
    assert int(np.argmin(found.smoothed)) > k + 2
    # The first change is that of a first step at the first rate.
    before = model.layer.weight.data.copy()
    learner.fit("1 step", lr=found.rates[0], callbacks=[ScheduleLR(constant)])
    moved = np.linalg.norm(model.layer.weight.data - before) / np.linalg.norm(before)
    assert found.changes[0] == pytest.approx(moved, rel=1e-3)


def test_the_search_shows_its_plot(tmp_path):
    found = make().lr_find(n_steps=40)
    found.plot(tmp_path / "rates.svg")
    text = (tmp_path / "rates.svg").read_text()
    assert text == found._repr_svg_()
    assert "suggestion" in text
    assert "polyline" in text


def test_the_search_refuses_what_cannot_be_searched():
    with pytest.raises(RecipeError, match="0 < lowest < highest"):
        make().lr_find(1.0, 0.1)
    learner = make(loss=lambda y, t: cross_entropy(y, t) * float("nan"))
    with pytest.raises(RecipeError, match="soon not finite"):
        learner.lr_find()


def test_one_cycle_moves_rate_and_momentum_against_each_other():
    spy = Spy(lambda learner: (learner.optimizer.lr, learner.optimizer.momentum))
    learner = make(spy, ScheduleLR(constant))
    learner.fit_one_cycle("10 epochs", lr=0.01)
    rates, momenta = zip(*spy.seen, strict=True)
    top = int(np.argmax(rates))
    assert top == int(np.argmin(momenta)) == 6  # a tenth of 60 steps
    assert rates[top] == pytest.approx(0.01)
    assert rates[0] == pytest.approx(0.01 / 5)
    assert rates[-1] < 0.01 / 100
    assert (momenta[0], round(momenta[top], 9)) == (0.95, 0.85)
    # For this training it took the place of the learner's own schedule.
    assert [type(c).__name__ for c in learner.callbacks].count("ScheduleLR") == 1


def test_one_cycle_beats_the_same_number_of_steps_at_a_fixed_rate():
    cycled, fixed = make(lr=3e-3), make(lr=3e-3)
    cycled.fit_one_cycle("10 epochs", lr=0.03)
    fixed.fit("10 epochs")
    assert cycled.history[-1]["valid_loss"] < fixed.history[-1]["valid_loss"]


# ---- layer groups


def test_frozen_groups_keep_their_weights_and_the_others_learn():
    learner = make()
    before = [p.data.copy() for p in learner.model.parameters()]
    learner.freeze()
    learner.fit("1 epoch")
    changed = [
        not np.array_equal(p.data, b)
        for p, b in zip(learner.model.parameters(), before, strict=True)
    ]
    assert changed == [False] * 4 + [True] * 2
    learner.unfreeze()
    learner.fit("1 epoch")
    assert all(
        not np.array_equal(p.data, b)
        for p, b in zip(learner.model.parameters(), before, strict=True)
    )
    with pytest.raises(
        RecipeError, match=r"freeze: 3 of the model's 3 layer groups; expected 0 to 2"
    ):
        learner.freeze(3)


def test_rates_rise_from_the_first_group_to_the_last():
    learner = make(optimizer=SGD)
    before = [p.data.copy() for p in learner.model.parameters()]
    grads = []
    spy = Spy(lambda learner: [p.grad.data.copy() for p in learner.model.parameters()])
    learner.fit("1 steps", lr=(0.001, 0.1), callbacks=[spy])
    [grads] = spy.seen
    for p, b, g, rate in zip(
        learner.model.parameters(), before, grads, [1e-3, 1e-3, 1e-2, 1e-2, 0.1, 0.1], strict=True
    ):
        np.testing.assert_allclose(p.data, b - rate * g, rtol=1e-5, atol=1e-7)


def test_rates_of_groups_survive_a_checkpoint(tmp_path):
    learner = make(Checkpoint(), run_dir=tmp_path)
    learner.fit("1 epoch", lr=(1e-3, 1e-1))
    again = make(Checkpoint(), run_dir=tmp_path)
    again.resume()
    assert again.optimizer.lr_ratios == pytest.approx([0.01, 0.01, 0.1, 0.1, 1, 1])


def test_a_model_may_name_its_groups():
    model = net()
    model.layer_groups = lambda: [
        model[0].parameters(),
        [*model[2].parameters(), *model[4].parameters()],
    ]
    assert [len(group) for group in layer_groups(model)] == [2, 4]


def test_layers_are_unfrozen_one_after_the_other():
    spy = Spy(lambda learner: [p.grad is not None for p in learner.model.parameters()][::2])
    learner = make(Unfreeze([0.5, 0.75]), spy)
    learner.fit("8 steps")
    assert spy.seen[0] == [False, False, True]
    assert spy.seen[4] == [False, True, True]
    assert spy.seen[6] == spy.seen[7] == [True, True, True]


# ---- batches


def test_accumulated_gradients_are_those_of_the_large_batch():
    small, large = make(AccumulateGradient(3), optimizer=SGD), make(optimizer=SGD)
    items = [large.train.dataset.item(i, np.random.default_rng(i)) for i in range(96)]
    small.train, large.train = Loader(items, 16), Loader(items, 48)
    small.fit("2 epochs", lr=0.1)
    large.fit("2 epochs", lr=0.1)
    np.testing.assert_allclose(weights(small), weights(large), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("at", range(1, 12))
def test_waiting_gradients_survive_a_checkpoint(tmp_path, at):
    class Stop(Callback):
        def after_batch(self, learner):
            if learner.step == at:
                raise ZeroDivisionError

    def build(folder, *more):
        return make(
            AccumulateGradient(4), Mixup(0.4), Checkpoint(every_steps=1), *more, run_dir=folder
        )

    whole = build(tmp_path / "whole")
    whole.fit("2 epochs")
    stop = Stop()
    stop.order = 90
    with pytest.raises(ZeroDivisionError):
        build(tmp_path / "left", stop).fit("2 epochs")
    rest = build(tmp_path / "left")
    rest.fit("2 epochs", resume=True)
    np.testing.assert_array_equal(weights(rest), weights(whole))


def test_mixup_mixes_inputs_and_losses():
    fg.manual_seed(3)
    learner = make(Mixup(1.0))
    x = fg.tensor(np.arange(8, dtype=np.float32).reshape(4, 2))
    learner.batch = (x, fg.tensor([0, 1, 0, 1]))
    [mixup] = [c for c in learner.callbacks if isinstance(c, Mixup)]
    mixup.before_batch(learner)
    mixed, target = learner.batch
    share, others = mixup._share, mixup._others
    assert 0 < share < 1
    np.testing.assert_allclose(mixed.data.sum(), x.data.sum(), rtol=1e-6)
    learner.prediction = learner.model(mixed)
    learner.loss = cross_entropy(learner.prediction, target)
    expected = share * float(learner.loss) + (1 - share) * float(
        cross_entropy(learner.prediction, others[0])
    )
    mixup.before_backward(learner)
    assert float(learner.loss) == pytest.approx(expected, rel=1e-6)


def test_images_grow_while_training():
    sizes, labels = [], []

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3, padding=1)

        def forward(self, x):
            if self.training:
                sizes.append(x.shape[2:])
            return self.conv(x)

    def loss(y, t):
        labels.append(t.shape)
        return cross_entropy(y, t)

    rng = np.random.default_rng(0)
    images = [
        (rng.normal(size=(1, 32, 24)).astype(np.float32), rng.integers(0, 2, (32, 24)))
        for _ in range(4)
    ]
    fg.manual_seed(0)
    model = Net()
    learner = Learner(
        model, loss, SGD(model.parameters(), lr=0.01), Loader(images, 2), Loader(images, 4),
        callbacks=[ProgressiveResize(start=0.5, until=0.5, multiple_of=8)],
    )  # fmt: skip
    learner.fit("4 epochs")
    assert sizes[0] == (16, 16)
    assert sizes[-1] == sizes[4] == (32, 24)
    assert sizes == sorted(sizes)
    assert labels[0] == (2, 16, 16)
    assert labels[2] == (4, 32, 24)  # validation sees whole images


def test_labels_shrink_to_labels():
    callback = ProgressiveResize(start=0.25, until=1.0, multiple_of=2)
    assert callback.sizes((16, 16), 0.0) == (4, 4)
    assert callback.sizes((16, 16), 1.0) == (16, 16)


def test_balanced_sampling_draws_every_class_equally_often():
    labels = [0] * 90 + [1] * 10
    loader = Loader(labels, 100, weights=balanced_weights(labels), n_batches=20, seed=4)
    share = np.mean([np.mean(batch) for batch in loader.iterate(0)])
    assert 0.45 < share < 0.55  # 2000 draws: three standard deviations are 0.034
    first, second = (np.concatenate(list(loader.iterate(e))) for e in (0, 1))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, np.concatenate(list(loader.iterate(0))))
    with pytest.raises(DataError, match=r"weights have shape \(3,\); expected \(100,\)"):
        Loader(labels, 10, weights=[1, 2, 3])
    with pytest.raises(DataError, match="not all of them 0"):
        Loader(labels, 10, weights=[0.0] * 100)


def test_terms_of_a_loss_add_up():
    loss = WeightedTerms({"a": cross_entropy, "b": lambda y, t: fg.mean(y * y)}, {"b": 0.5})
    y, t = fg.tensor([[1.0, 2.0]]), fg.tensor([0])
    assert float(loss(y, t)) == pytest.approx(float(cross_entropy(y, t)) + 0.5 * 2.5)
    with pytest.raises(RecipeError, match=r"weights of \['c'\]"):
        WeightedTerms({"a": cross_entropy}, {"c": 1.0})


# ---- predictions, ensembles, folds


def test_predictions_come_in_order_with_their_targets():
    learner = make()
    found = learner.predict()
    x, y = (np.stack(column) for column in zip(*moons(64, seed=9), strict=True))
    np.testing.assert_allclose(found.prediction, learner.model(fg.tensor(x)).numpy(), rtol=1e-6)
    np.testing.assert_array_equal(found.targets[0], y)
    assert learner.model.training


def test_averaging_over_views_makes_the_prediction_symmetric():
    fg.manual_seed(0)
    model = nn.Conv2d(1, 2, 3, padding=1)
    rng = np.random.default_rng(0)
    items = [(rng.normal(size=(1, 6, 8)).astype(np.float32), 0) for _ in range(3)]
    learner = Learner(model, cross_entropy, SGD(model.parameters(), lr=1), Loader(items, 2))
    mirrored = [(x[:, ::-1].copy(), y) for x, y in items]
    views = flips([2, 3])
    assert len(views) == 3
    plain = learner.predict(Loader(items, 2)).prediction
    one = learner.predict(Loader(items, 2), tta=views).prediction
    other = learner.predict(Loader(mirrored, 2), tta=views).prediction
    np.testing.assert_allclose(one, other[:, :, ::-1], rtol=1e-4, atol=1e-6)
    assert not np.allclose(plain, one)


def test_an_ensemble_averages_probabilities():
    models = [net(seed=1), net(seed=2)]
    x = fg.tensor(np.float32([[0.3, -0.2]]))
    both = Ensemble(models, lambda y: fg.softmax(y, axis=1))(x).numpy()
    each = [fg.softmax(model(x), axis=1).numpy() for model in models]
    np.testing.assert_allclose(both, (each[0] + each[1]) / 2, rtol=1e-6)


def test_folds_divide_the_items():
    folds = fold_indices(10, 3, seed=1)
    together = np.sort(np.concatenate([valid for _, valid in folds]))
    np.testing.assert_array_equal(together, np.arange(10))
    for train, valid in folds:
        assert not set(train) & set(valid)
        assert len(train) + len(valid) == 10
    labels = [0] * 8 + [1] * 4
    for _, valid in fold_indices(12, 4, labels=labels):
        assert [labels[i] for i in valid].count(1) == 1
    people = [0, 0, 1, 1, 2, 2, 2, 3]
    for train, valid in fold_indices(8, 3, groups=people):
        assert not {people[i] for i in train} & {people[i] for i in valid}
    with pytest.raises(DataError, match="5 folds of 4 groups"):
        fold_indices(8, 5, groups=people)


def test_cross_validation_judges_every_item_once_and_joins_the_models(tmp_path):
    items = moons(90)
    folds = fold_indices(90, 3, labels=[y for _, y in items])

    def make_fold(fold):
        learner = make(Checkpoint(), run_dir=tmp_path / f"fold-{fold}")
        train, valid = folds[fold]
        learner.train = Loader([items[i] for i in train], 15, shuffle=True)
        learner.valid = Loader([items[i] for i in valid], 30)
        return learner

    result = cross_validate(make_fold, "8 epochs", 3, one_cycle=True)
    mean, deviation = result.summary()["accuracy"]
    rows = [row["accuracy"] for row in result.rows]
    assert mean == pytest.approx(np.mean(rows))
    assert deviation == pytest.approx(np.std(rows, ddof=1))
    x, y = (np.stack(column) for column in zip(*moons(200, seed=77), strict=True))
    alone = [
        np.mean(learner.model(fg.tensor(x)).numpy().argmax(1) == y) for learner in result.learners
    ]
    joined = result.ensemble(lambda s: fg.softmax(s, axis=1)).eval()(fg.tensor(x)).numpy()
    assert np.mean(joined.argmax(1) == y) >= min(alone)
    again = cross_validate(make_fold, "8 epochs", 3, one_cycle=True, resume=True)
    assert again.rows == result.rows


# ---- files


@pytest.mark.parametrize("averaged", [False, True])
def test_a_signal_in_a_validation_leaves_it_and_nothing_is_lost(tmp_path, averaged):
    def build(folder):
        extra = [EMAWeights(0.9)] if averaged else []
        return make(*extra, PlateauLR(patience=1), Checkpoint(), SaveOnSignal(), run_dir=folder)

    whole = build(tmp_path / "whole")
    whole.fit("4 epochs")
    left = build(tmp_path / "left")
    seen = []

    def interrupt(module, *_):
        if not module.training and left.epoch == 2:
            seen.append(left.step)
            os.kill(os.getpid(), signal.SIGTERM)

    remove = left.model.register_forward_hook(interrupt)
    with pytest.raises(SystemExit, match="143"):
        left.fit("4 epochs")
    remove()
    assert seen == [18]  # the second batch of that validation was not begun
    rest = build(tmp_path / "left")
    rest.fit("4 epochs", resume=True)
    np.testing.assert_array_equal(weights(rest), weights(whole))
    assert [row["valid_loss"] for row in rest.history] == [r["valid_loss"] for r in whole.history]


def test_saved_weights_are_those_that_validation_saw(tmp_path):
    learner = make(EMAWeights(0.9), Checkpoint(), run_dir=tmp_path)
    learner.notes["made"] = "by a test"
    learner.fit("2 epochs")
    learner.save(tmp_path / "model.safetensors")
    model = net(seed=5)
    assert load_weights(model, tmp_path / "model.safetensors")["made"] == "by a test"
    other = make()
    other.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(weights(other), weights(learner))
    assert other.validate()["valid_loss"] == learner.history[-1]["valid_loss"]


def test_the_last_checkpoints_and_the_best_are_kept(tmp_path):
    learner = make(Checkpoint(every_steps=2, every_epochs=99, keep_last=3), run_dir=tmp_path)
    learner.fit("10 steps")
    kept = sorted(p.name for p in tmp_path.glob("*.safetensors"))
    steps = [f"step-{k:08d}.safetensors" for k in (6, 8, 10)]
    assert kept == ["best.safetensors", "last.safetensors", *steps]
    assert (tmp_path / "last.safetensors").read_bytes() == (tmp_path / steps[2]).read_bytes()
    earlier = make(Checkpoint(every_steps=2, every_epochs=99, keep_last=3), run_dir=tmp_path)
    (tmp_path / "last.safetensors").write_bytes(b"damaged")
    with pytest.raises(FileError, match="is not a whole safetensors file"):
        earlier.resume()
    earlier.resume(tmp_path / steps[0])
    np.testing.assert_array_equal(weights(earlier), weights(learner))


def test_an_error_says_which_checkpoint_is_good(tmp_path):
    class Bad(list):
        def __getitem__(self, index):
            if index == 40:
                raise MemoryError("no room for item 40")
            return super().__getitem__(index)

    learner = make(Checkpoint(every_steps=1), run_dir=tmp_path)
    learner.train = Loader(Bad(moons(96)), 16, n_workers=2)
    with pytest.raises(MemoryError, match="no room") as caught:
        learner.fit("2 epochs")
    notes = " ".join(caught.value.__notes__)
    assert "while making item 40 (epoch 0, batch 2)" in notes
    assert f"The last good checkpoint is {tmp_path / 'last.safetensors'}" in notes
    other = make()
    load_weights(other.model, tmp_path / "last.safetensors")
    np.testing.assert_array_equal(weights(other), weights(learner))
