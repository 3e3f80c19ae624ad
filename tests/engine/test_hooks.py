"""Hooks of modules: what they see, what they may replace, and how they go away."""

import numpy as np
import pytest

import fieldgrad.engine as fg


class Product(fg.nn.Module):
    """Two inputs, two outputs."""

    def forward(self, x, y, scale=1.0):
        return x * y * scale, x + y


def leaf(*values):
    return fg.tensor(np.array(values), requires_grad=True)


def test_inputs_may_be_replaced_before():
    module, x = Product(), leaf(1.0, 2.0)
    remove = module.register_forward_pre_hook(lambda m, inputs: (inputs[0] * 10.0, inputs[1]))
    assert module(x, x)[0].tolist() == [10.0, 40.0]
    remove()
    assert module(x, x)[0].tolist() == [1.0, 4.0]
    single = fg.nn.Sequential()
    single.register_forward_pre_hook(lambda m, inputs: inputs[0] * 3.0)
    assert single(x).tolist() == [3.0, 6.0]


def test_output_may_be_replaced_after():
    module, x = Product(), leaf(1.0, 2.0)
    module.register_forward_hook(lambda m, inputs, out: out[0])
    assert module(x, x, scale=2.0).tolist() == [2.0, 8.0]


def test_backward_hooks_see_the_gradients_of_inputs_and_outputs():
    module, x, y, seen = Product(), leaf(1.0, 2.0), leaf(3.0, 4.0), []
    remove = module.register_full_backward_hook(lambda m, gi, go: seen.append((m, gi, go)))
    a, b = module(x, y)
    (a.sum() + 10.0 * b.sum()).backward()
    ((found, gi, go),) = seen
    assert found is module
    assert [g.tolist() for g in gi] == [[13.0, 14.0], [11.0, 12.0]]
    assert [g.tolist() for g in go] == [[1.0, 1.0], [10.0, 10.0]]
    assert x.grad.tolist() == [13.0, 14.0]
    remove()
    module(x, y)[0].sum().backward()
    assert len(seen) == 1


def test_an_output_that_is_not_used_and_an_input_without_gradient_are_none():
    module, x, seen = Product(), leaf(1.0, 2.0), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    module(x, fg.tensor(np.array([3.0, 4.0])))[0].sum().backward()
    ((gi, go),) = seen
    assert gi[0].tolist() == [3.0, 4.0]
    assert gi[1] is None
    assert go[1] is None


@pytest.mark.parametrize("as_tuple", [True, False])
def test_gradients_of_inputs_may_be_replaced(as_tuple):
    module, x = fg.nn.Sequential(), leaf(1.0, 2.0)
    module.register_full_backward_hook(
        lambda m, gi, go: (gi[0] * 0.5,) if as_tuple else gi[0] * 0.5
    )
    (module(x) ** 2).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0]


def test_the_first_layer_is_told_as_well():
    layer, seen = fg.nn.Linear(2, 3), []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].shape)))
    layer(fg.ones((4, 2))).sum().backward()
    assert seen == [((None,), (4, 3))]
    assert layer.weight.grad is not None


def test_hooks_and_second_derivatives():
    module, x, seen = Product(), leaf(1.5), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append(1))
    slope = fg.grad(module(x, x)[0].sum(), x, create_graph=True)
    assert fg.grad(slope.sum(), x).tolist() == [2.0]
    assert seen


def test_overwriting_an_output_is_noticed_through_a_hook():
    class Curved(fg.nn.Module):
        def forward(self, x):
            return fg.tanh(x)

    module, x = Curved(), leaf(0.5)
    module.register_full_backward_hook(lambda m, gi, go: None)
    y = module(x)
    with fg.no_grad():
        y[0] = 3.0
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_without_recording_nothing_changes():
    module, x = Product(), leaf(1.0)
    module.register_full_backward_hook(lambda m, gi, go: None)
    with fg.no_grad():
        assert not module(x, x)[0].requires_grad
