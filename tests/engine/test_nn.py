"""Modules: names, state, modes, hooks; layers and losses against formulas."""

import copy

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine import nn
from fieldgrad.engine.errors import DataError, ShapeError
from fieldgrad.engine.optim import SGD


class Twice(nn.Module):
    """Two layers, one of them used twice, and a buffer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.second = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
        self.register_buffer("count", np.zeros(1))

    def forward(self, x):
        return self.second(self.again(self.first(x)))


def test_parameters_are_named_by_attribute_and_counted_once():
    names = [name for name, _ in Twice().named_parameters()]
    assert names == ["first.weight", "first.bias", "second.0.weight", "second.0.bias"]
    assert Twice().n_parameters() == 9 + 3 + 6 + 2


def test_the_seed_decides_the_initial_values():
    fg.manual_seed(3)
    a = Twice()
    fg.manual_seed(3)
    b = Twice()
    for (_, p), (_, q) in zip(a.named_parameters(), b.named_parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert not np.array_equal(a.first.weight.data, Twice().first.weight.data)


def test_state_goes_from_one_model_to_another():
    a, b = Twice(), Twice()
    a.count[0] = 5
    b.load_state_dict(a.state_dict())
    x = fg.tensor(np.ones((1, 3), np.float32))
    np.testing.assert_array_equal(a.eval()(x).data, b.eval()(x).data)
    assert b.count[0] == 5


def test_state_that_does_not_fit_changes_nothing_and_says_why():
    model = Twice()
    before = model.state_dict()
    wrong = dict(before, **{"first.weight": np.zeros((2, 3), np.float32)})
    with pytest.raises(ShapeError, match=r"first\.weight has shape \(2, 3\)"):
        model.load_state_dict(wrong)
    with pytest.raises(KeyError, match="misses"):
        model.load_state_dict({})
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_a_copied_model_is_a_model_of_its_own():
    model = Twice()
    model.first.weight.unit = "mm"
    model.second.eval()
    twin = copy.deepcopy(model)
    assert [name for name, _ in twin.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert all(type(p) is nn.Parameter and p.requires_grad for p in twin.parameters())
    assert twin.again is twin.first
    assert twin.first.weight.unit == "mm"
    assert not twin.second.training
    before = model.state_dict()
    x = fg.tensor(np.ones((1, 3), np.float32))
    np.testing.assert_array_equal(twin(x).data, model(x).data)
    fg.sum(twin(x)).backward()
    SGD(twin.parameters(), lr=1.0).step()
    twin.count[0] = 5
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert (twin.first.weight.data != model.first.weight.data).any()


def test_dropout_acts_only_while_training():
    layer, x = nn.Dropout(0.5), fg.ones((1000,))
    kept = layer.train()(x).numpy()
    assert set(np.unique(kept)) == {0.0, 2.0}
    assert 400 < np.count_nonzero(kept) < 600
    assert layer.eval()(x) is x


def test_hooks_see_and_replace_the_output_until_removed():
    layer = nn.Linear(2, 2)
    remove = layer.register_forward_hook(lambda module, inputs, out: out * 0.0)
    assert layer(fg.ones((1, 2))).tolist() == [[0.0, 0.0]]
    remove()
    assert layer(fg.ones((1, 2))).tolist() != [[0.0, 0.0]]


def test_a_layer_used_twice_gets_both_gradients():
    model = Twice().eval()
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    model(fg.tensor(x)).sum().backward()
    w, b = model.first.weight.data, model.first.bias.data
    g = np.ones((4, 2), np.float32) @ model.second[0].weight.data
    once = x @ w.T + b
    np.testing.assert_allclose(
        model.first.weight.grad.data, g.T @ once + (g @ w).T @ x, rtol=1e-4, atol=1e-5
    )


def test_linear_says_which_sizes_disagree():
    with pytest.raises(ShapeError, match="x has 4 features"):
        nn.Linear(3, 2)(fg.zeros((1, 4)))


def test_losses_refuse_to_broadcast():
    for loss in (
        nn.losses.mse_loss,
        nn.losses.l1_loss,
        nn.losses.binary_cross_entropy_with_logits,
    ):
        with pytest.raises(ShapeError, match="equal shapes"):
            loss(fg.zeros((5, 1)), np.zeros(5))


def test_losses_by_hand():
    x, t = fg.tensor([1.0, -2.0]), np.array([0.0, 1.0], np.float32)
    assert nn.losses.mse_loss(x, t).item() == pytest.approx((1 + 9) / 2)
    assert nn.losses.l1_loss(x, t, reduction="sum").item() == pytest.approx(4)
    expected = np.log1p(np.exp([1.0, 2.0]))  # -log(1 - p(1)), -log p(-2)
    found = nn.losses.binary_cross_entropy_with_logits(x, t, reduction="none").numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_cross_entropy_in_space_and_with_ignored_voxels():
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    each = -np.log(np.take_along_axis(p, target[:, None], 1))[:, 0]
    leaf = fg.tensor(logits, requires_grad=True)
    assert nn.losses.cross_entropy(leaf, target).item() == pytest.approx(each.mean())
    assert nn.losses.cross_entropy(leaf, target, ignore_index=2).item() == pytest.approx(
        each[target != 2].mean()
    )
    fg.gradcheck(lambda x: nn.losses.cross_entropy(x, target, ignore_index=2), [leaf], order=2)
    with pytest.raises(DataError, match="0 to 2"):
        nn.losses.cross_entropy(leaf, target + 1)
    with pytest.raises(ShapeError, match=r"\(2, 4, 5\)"):
        nn.losses.cross_entropy(leaf, target[:, 0])


def test_sixteen_layers_keep_the_variance():
    fg.manual_seed(0)
    layers = [nn.Conv1d(64, 64, 3, padding=1, negative_slope=0.01, bias=False) for _ in range(16)]
    x = fg.random.normal((1, 64, 200))
    for layer in layers:
        x = fg.leaky_relu(layer(x))
    assert 0.1 < float((x * x).mean()) < 10  # He initialization; zeros at the border lose a little
