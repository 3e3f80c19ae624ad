"""vmap: every op of the table maps as a loop over the examples would, and its gradients too."""

import copy
import itertools

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine._core import TABLE
from fieldgrad.engine.batching.rules import RULES, rule_of
from fieldgrad.engine.errors import GradientError, ShapeError

OPS = sorted(TABLE)
SIZE = 3


def call(op, inputs, attributes):
    """The op's outputs in a tuple."""
    out = op(inputs, **attributes) if op.variadic else op(*inputs, **attributes)
    return out if op.several else (out,)


def batches(op):
    """Samples of other seeds as examples of a batch: their inputs side by side, and attributes."""
    seeds = [op.samples(np.random.default_rng(seed)) for seed in range(SIZE)]
    for examples in zip(*seeds, strict=True):
        rows = [list(inputs[0] if op.variadic else inputs) for inputs, _ in examples]
        if all(len({np.shape(x) for x in column}) == 1 for column in zip(*rows, strict=True)):
            yield rows, examples[0][1]


def choices(n_inputs):
    """Which inputs differ between examples: all, and each by itself."""
    alone = (
        [tuple(i == j for j in range(n_inputs)) for i in range(n_inputs)] if n_inputs > 1 else []
    )
    return [(True,) * n_inputs, *alone]


@pytest.mark.parametrize("name", OPS)
def test_an_op_maps_as_a_loop_does(name):
    op = TABLE[name]
    n = 0
    for rows, attributes in itertools.islice(batches(op), 12):
        for mapped in choices(len(rows[0])):
            examples = [
                [x if m else y for x, y, m in zip(row, rows[0], mapped, strict=True)]
                for row in rows
            ]
            columns = [
                np.stack(column) if m else column[0]
                for column, m in zip(zip(*examples, strict=True), mapped, strict=True)
            ]
            try:
                want = [call(op, example, attributes) for example in examples]
            except (ValueError, IndexError):
                continue  # such as an index of one example with the values of another
            if len({y.shape for out in want for y in out[:1]}) > 1:
                continue  # the shape depends on the values
            axes = tuple(0 if m else None for m in mapped)
            got = fg.vmap(lambda *xs, a=attributes: call(op, xs, a), axes)(*columns)
            for i, y in enumerate(got):
                expected = np.stack([out[i].numpy() for out in want])
                assert y.dtype == expected.dtype
                np.testing.assert_allclose(y.numpy(), expected, rtol=1e-11, atol=1e-12)
            n += 1
    assert n


@pytest.mark.parametrize("name", [n for n in OPS if TABLE[n].differentiable])
def test_gradients_of_examples_are_those_of_a_loop(name):
    op = TABLE[name]

    def scalar(xs, attributes):
        outputs = [y for y in call(op, xs, attributes) if y.dtype.kind in "fc"]
        parts = [fg.real(y) if y.dtype.kind == "c" else y for y in outputs]
        return sum((fg.sin(y).sum() for y in parts[1:]), fg.sin(parts[0]).sum())

    for rows, attributes in itertools.islice(batches(op), 5):
        floats = [i for i, x in enumerate(rows[0]) if np.asarray(x).dtype.kind == "f"]
        gradient = fg.value_and_grad(lambda *xs, a=attributes: scalar(xs, a), floats)
        columns = [np.stack(column) for column in zip(*rows, strict=True)]
        want = [gradient(*row)[1] for row in rows]
        outside = [fg.tensor(c, requires_grad=i in floats) for i, c in enumerate(columns)]
        total = fg.vmap(lambda *xs, a=attributes: scalar(xs, a))(*outside).sum()
        if total.requires_grad:
            total.backward()
        for j, (i, inside) in enumerate(zip(floats, fg.vmap(gradient)(*columns)[1], strict=True)):
            expected = np.stack([gradients[j].numpy() for gradients in want])
            np.testing.assert_allclose(inside.numpy(), expected, rtol=1e-9, atol=1e-10)
            found = outside[i].grad
            found = np.zeros_like(expected) if found is None else found.numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_axes_of_arguments_and_results():
    x, y = normal(4, 3, 2), normal(5, 2)
    got = fg.vmap(lambda a, b, c: a @ b + c, (1, None, None), out_axes=-1)(x, y.T, 2.0)
    want = np.stack([x[:, i] @ y.T + 2.0 for i in range(3)], axis=-1)
    np.testing.assert_allclose(got.numpy(), want)


def test_containers_go_in_and_come_out():
    tree = {"a": fg.tensor(normal(3, 2)), "b": [fg.tensor(normal(3))]}
    out = fg.vmap(lambda t, k: {"sum": t["a"].sum() + t["b"][0], "same": k}, (0, None))(tree, 7.0)
    np.testing.assert_allclose(
        out["sum"].numpy(), tree["a"].data.sum(axis=1) + tree["b"][0].data, rtol=1e-12
    )
    assert out["same"].tolist() == [7.0, 7.0, 7.0]


def test_maps_inside_maps():
    x, y = normal(4, 3), normal(5, 3, seed=1)
    distance = lambda a, b: fg.sqrt(((a - b) ** 2).sum())  # noqa: E731
    got = fg.vmap(lambda a: fg.vmap(lambda b: distance(a, b))(y))(x)
    np.testing.assert_allclose(got.numpy(), np.linalg.norm(x[:, None] - y, axis=-1))


@pytest.mark.parametrize("chunk_size", [1, 2, 5, 100])
def test_chunks_give_the_same(chunk_size):
    x = normal(5, 3)
    np.testing.assert_array_equal(
        fg.vmap(fg.softmax, chunk_size=chunk_size)(x).numpy(), fg.vmap(fg.softmax)(x).numpy()
    )


def test_an_empty_batch_has_the_shapes_of_a_full_one():
    out = fg.vmap(lambda a: (fg.conv(a, np.ones((4, 2, 3))).sum(axis=-1), a.sum()))(
        np.zeros((0, 1, 2, 7), np.float32)
    )
    assert [y.shape for y in out] == [(0, 1, 4), (0,)]


INDICES = (
    lambda i: i,
    lambda i: (slice(None), i),
    lambda i: (..., i),
    lambda i: (i, slice(1, 3)),
    lambda i: (slice(None), i, None),
    lambda i: (i, slice(None), np.array([0, 1, 1])),
    lambda i: (0, slice(None), i),
    lambda i: (slice(None), i, np.array([0, 1, 1])),
    lambda i: (slice(None), 1, i),
    lambda i: (None, i, ..., 2),
)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_indices_may_differ_between_examples(index, shape):
    x, i = normal(4, 3, 3, 3), np.random.default_rng(1).integers(0, 3, (4, *shape))
    want = np.stack([x[k][index(i[k])] for k in range(4)])
    np.testing.assert_array_equal(fg.vmap(lambda a, j: a[index(j)])(x, i).numpy(), want)
    same = np.stack([x[0][index(i[k])] for k in range(4)])
    nested = fg.vmap(lambda a: fg.vmap(lambda j: a[index(j)])(i))(x)
    np.testing.assert_array_equal(nested.numpy()[0], same)


def test_assignment_stays_within_an_example():
    def swapped(x, y):
        z = x * 1.0
        z[0] = y
        z[1:] = z[1:] + x[:-1]
        z *= 2.0
        return z

    x, y = normal(3, 4), normal(3)
    want = x.copy()
    want[:, 0] = y
    want[:, 1:] += x[:, :-1]
    want *= 2.0
    np.testing.assert_allclose(fg.vmap(swapped)(x, y).numpy(), want)


def test_assignment_that_a_view_would_not_see_is_refused():
    def bad(x):
        z = x * 1.0
        first = z[0]
        z[0] = 0.0
        return first

    with pytest.raises(GradientError, match="view"):
        fg.vmap(bad)(normal(3, 4))


@pytest.mark.parametrize(
    "read",
    [
        bool,
        float,
        np.asarray,
        lambda x: x.data,
        lambda x: x.numpy(),
        lambda x: x.item(),
        lambda x: fg.tensor(x),
        copy.deepcopy,
        memoryview,
        lambda x: x.register_hook(print),
        lambda x: fg.tensor(np.arange(3.0))[fg.astype(x, np.int64)],
    ],
)
def test_values_cannot_be_read(read):
    with pytest.raises(TypeError, match="stands for 3 examples"):
        fg.vmap(lambda x: fg.tensor(0.0) * 0 if read(x) is None else x)(normal(3))


def test_writing_into_an_outer_tensor_is_refused():
    buffer = fg.zeros(3)

    def write(x):
        buffer[0] = x
        return x

    with pytest.raises(TypeError, match="stands for"):
        fg.vmap(write)(normal(3))
    assert buffer.tolist() == [0.0, 0.0, 0.0]


def test_backward_and_gradients_for_outer_tensors_are_refused_inside():
    w = fg.tensor(2.0, requires_grad=True)
    with pytest.raises(GradientError, match="add up"):
        fg.vmap(lambda x: (x * w).backward())(normal(3))
    with pytest.raises(GradientError, match="their sum"):
        fg.vmap(lambda x: fg.grad(x * w, w))(normal(3))


def test_sizes_that_differ_are_named():
    with pytest.raises(ShapeError, match="2 and 3 examples"):
        fg.vmap(lambda a, b: a + b)(normal(2), normal(3))
    with pytest.raises(ShapeError, match="no axis 0"):
        fg.vmap(lambda a: a)(1.0)
    with pytest.raises(ShapeError, match="for 2 arguments"):
        fg.vmap(lambda a, b: a, (0,))(normal(2), 1.0)


def test_shape_errors_speak_of_one_example():
    with pytest.raises(ShapeError, match=r"\(2,\) and \(3,\)"):
        fg.vmap(lambda a, b: a + b)(normal(5, 2), normal(5, 3))


def test_gradients_of_each_example_for_shared_weights():
    x, y = normal(6, 1, 2, 5), normal(6)
    weights = {"conv": fg.tensor(normal(3, 2, 3)), "linear": fg.tensor(normal(1, 9))}

    def loss(w, a, b):
        h = fg.tanh(fg.conv(a, w["conv"]))
        return (fg.linear(fg.flatten(h, start=1), w["linear"])[0, 0] - b) ** 2

    gradient = fg.value_and_grad(loss)
    got = fg.vmap(gradient, (None, 0, 0))(weights, x, y)[1]
    for i in range(6):
        want = gradient(weights, x[i], y[i])[1]
        for name in weights:
            np.testing.assert_allclose(got[name].numpy()[i], want[name].numpy(), rtol=1e-10)


def test_rules_are_for_ops_of_the_table():
    assert RULES.keys() <= TABLE.keys()


def test_ops_run_once_for_the_whole_batch(monkeypatch):
    calls = []
    rule = rule_of(TABLE["tanh"])
    monkeypatch.setattr(
        "fieldgrad.engine.batching.mapping.rule_of",
        lambda op: calls.append(op.name) or (rule if op.name == "tanh" else rule_of(op)),
    )
    fg.vmap(fg.tanh)(normal(1000, 2))
    assert calls == ["tanh"]
