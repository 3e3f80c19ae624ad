"""Indexing and assignment: as in NumPy, with gradients, through views, and refused where wrong."""

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import fieldgrad.engine as fg
from fieldgrad.engine.errors import DTypeError, GradientError, ShapeError

X = np.arange(24.0).reshape(2, 3, 4)
INDICES = [
    1,
    -1,
    np.int64(1),
    slice(None),
    slice(None, None, -1),
    slice(1, 9, 2),
    None,
    ...,
    (),
    (1, 2, 3),
    (..., 2),
    (1, ..., None, slice(0, 2)),
    (None, 0, None, 1),
    True,
    False,
    np.True_,
    np.array(1),
    [0, 1, 1],
    [],
    [[0, 1], [1, 0]],
    [True, False],
    np.array([0, -1]),
    np.array([], np.int64),
    np.array([0, 1], np.uint8),
    (slice(None), [2, 0]),
    ([1, 0], [2, 0]),
    ([[1], [0]], [2, 0]),
    (0, slice(None), [3, 3]),
    ([0], slice(None), [3, 3]),
    (0, [1, 2], ..., 1),
    (None, [0, 1], None, slice(None), 2),
    X > 10,
    X[:, :, 0] > 10,
    (slice(None), X[0] > 6),
    (X[:, 0, 0] > 6, 0),
    (0, X[0] > 100),
    (1, True, 0),
    (np.array([True, False]), [0, 2], 1),
]


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_reading_is_as_in_numpy_with_the_gradient_of_what_was_read(index):
    x = fg.tensor(X.copy(), requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.numpy(), X[index], strict=True)
    weight = np.arange(1.0, y.size + 1).reshape(y.shape)
    (y * weight).sum().backward()
    want = np.zeros_like(X)
    np.add.at(want, index, weight)
    np.testing.assert_array_equal(x.grad.numpy(), want)


@pytest.mark.parametrize("index", INDICES, ids=repr)
@pytest.mark.parametrize("base", ["itself", "transposed", "reversed", "reshaped"])
def test_assignment_is_as_in_numpy_with_both_gradients(index, base):
    """Written values get the gradient of where they stand, and the first values the rest."""

    def write(x, value, put):
        view = {
            "itself": lambda: x,
            "transposed": lambda: fg.permute_dims(x, (2, 0, 1)),
            "reversed": lambda: x[::-1, :, 1:-1],
            "reshaped": lambda: fg.reshape(x, (4, 6))[:, 1::2],
        }[base]()
        put(view, value)
        return view

    shape = {"itself": (2, 3, 4), "transposed": (2, 3, 4)}
    shape |= {"reversed": (2, 3, 4), "reshaped": (2, 3, 4)}
    start = X.copy()
    if base == "transposed":
        start = np.ascontiguousarray(np.transpose(X, (1, 2, 0)))
    elif base == "reversed":
        start = np.zeros((2, 3, 6))
    elif base == "reshaped":
        index = (slice(None), slice(None, None, 2)) if isinstance(index, tuple) else 2

    x = fg.tensor(start.copy(), requires_grad=True)
    plain = fg.tensor(start.copy())
    with fg.no_grad():
        picked = write(plain * 1.0, None, lambda view, _: None)[index].shape
    value = fg.tensor(np.random.default_rng(0).normal(size=picked), requires_grad=True)
    y, z = x * 1.0, start.copy()
    view = write(y, value, lambda view, value: operator.setitem(view, index, value))
    marks = fg.tensor(np.arange(1.0, z.size + 1).reshape(z.shape))
    # Where the elements of the view stand in z, by the same views of an array of marks.
    with fg.no_grad():
        seen = write(marks * 1.0, None, lambda view, _: None).numpy()
    where = seen[index].astype(int).ravel() - 1
    z.reshape(-1)[where] = value.numpy().ravel()
    np.testing.assert_array_equal(y.numpy(), z)
    weight = np.random.default_rng(1).normal(size=z.shape)
    (y * weight).sum().backward()
    won = np.full(z.size, -1)
    won[where] = np.arange(where.size)
    want = np.where(won[where] == np.arange(where.size), weight.ravel()[where], 0.0)
    np.testing.assert_allclose(value.grad.numpy().ravel(), want)
    kept = weight.copy()
    kept.reshape(-1)[where] = 0.0
    np.testing.assert_allclose(x.grad.numpy(), kept)
    np.testing.assert_array_equal(view.numpy(), seen * 0 + z.reshape(-1)[seen.astype(int) - 1])


def _indices(shape):
    return arrays.basic_indices(shape, allow_newaxis=True) | arrays.integer_array_indices(shape)


@settings(deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_any_index_reads_and_writes_as_numpy_does(data):
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
    if 0 in shape:
        index = data.draw(arrays.basic_indices(shape, allow_newaxis=True))
    else:
        index = data.draw(_indices(shape))
    values = np.arange(float(np.prod(shape))).reshape(shape)
    x = fg.tensor(values.copy(), requires_grad=True)
    picked = x[index]
    np.testing.assert_array_equal(picked.numpy(), values[index], strict=True)
    picked.sum().backward()
    want = np.zeros(shape)
    np.add.at(want, index, 1.0)
    np.testing.assert_array_equal(x.grad.numpy(), want)
    value = data.draw(
        arrays.arrays(np.float64, np.shape(values[index]), elements=st.integers(-9, 9))
    )
    y = x * 1.0
    y[index] = value
    values[index] = value
    np.testing.assert_array_equal(y.numpy(), values)


@pytest.mark.parametrize(
    "index",
    [
        fg.tensor([1, 0]),
        (fg.tensor(1), fg.tensor([2, 0])),
        fg.tensor(X > 3),
        slice(fg.tensor(0), fg.tensor(1)),
        (slice(None), fg.tensor([True, False, True])),
        [fg.tensor(1), fg.tensor(0)],
    ],
)
def test_tensors_are_indices(index):
    def plain(i):
        if isinstance(i, (tuple, list)):
            return type(i)(map(plain, i))
        if isinstance(i, slice):
            return i if i.start is None else slice(0, 1)
        return i.numpy() if isinstance(i, fg.Tensor) else i

    np.testing.assert_array_equal(fg.tensor(X)[index].numpy(), X[plain(index)], strict=True)


def test_an_array_takes_tensors_as_indices():
    assert X[fg.tensor([1, 0])].shape == (2, 3, 4)
    assert X[fg.tensor(1), fg.tensor(2), fg.tensor(3)] == 23


def test_an_index_that_changes_later_does_not_change_the_gradient():
    x = fg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    rows, list_of_rows, bound = np.array([0, 0]), [0, 0], fg.tensor(1)
    y = x[rows].sum() + x[list_of_rows].sum() + x[:bound].sum()
    rows[:], list_of_rows[0], bound[...] = 2, 2, 3
    y.backward()
    assert x.grad.tolist() == [5.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (5, r"x\[5\] of shape \(2, 3, 4\): index 5 is out of bounds for axis 0 with size 2"),
        ((0, 0, 0, 0), "too many indices"),
        (1.0, r"x\[1.0\].*only integers"),
        ("a", r"x\['a'\].*only integers"),
        (np.array([0.0]), "integer.*astype"),
        (np.ones((3, 3), bool), "boolean"),
        ([[0, 1], [0]], "index"),
    ],
)
def test_a_wrong_index_says_what_the_tensor_is_and_what_an_index_is(index, message):
    x = fg.tensor(X)
    with pytest.raises((IndexError, ValueError), match=message) as read:
        x[index]
    with pytest.raises((IndexError, ValueError), match=message):
        x[index] = 0.0
    np.testing.assert_array_equal(x.numpy(), X)
    assert "test_index.py" in "".join(read.value.__notes__)


def test_values_that_do_not_fit_say_both_shapes():
    x = fg.zeros((2, 3))
    with pytest.raises(ShapeError, match=r"\(4,\).*picks \(3,\) of \(2, 3\)"):
        x[0] = np.zeros(4)
    x[0] = np.ones((1, 1, 3))  # NumPy drops leading axes of length 1
    assert x.tolist() == [[1.0] * 3, [0.0] * 3]


def test_leading_axes_of_a_value_come_back_in_its_gradient():
    for shape in ((), (1,), (3,), (1, 3), (1, 1, 3)):
        v = fg.tensor(np.ones(shape), requires_grad=True)
        y = fg.zeros(3, dtype=np.float64) * 1.0
        y[...] = v
        y.sum().backward()
        assert v.grad.shape == shape
        assert v.grad.data.sum() == 3


def test_an_element_named_twice_keeps_the_last_value_and_its_gradient():
    v = fg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = fg.zeros(2)
    y[[0, 1, 0]] = v
    assert y.tolist() == [3.0, 2.0]
    (y * fg.tensor([10.0, 20.0])).sum().backward()
    assert v.grad.tolist() == [0.0, 20.0, 10.0]


def test_assignment_casts_as_in_numpy():
    x = fg.tensor([1, 2])
    x[0] = 2.7
    assert x.tolist() == [2, 2]
    with pytest.raises(OverflowError, match="300"):
        fg.tensor(np.zeros(2, np.uint8))[0] = 300
    v = fg.tensor(1.5, requires_grad=True)
    y = fg.zeros(2, dtype=np.float64)
    y[0] = v
    y.sum().backward()
    assert v.grad.dtype == np.float32
    with pytest.raises(DTypeError, match="int64, where it would be lost"):
        x[0] = v


def test_a_constant_tensor_becomes_part_of_the_tape_when_a_result_is_written_into_it():
    w = fg.tensor([1.0, 2.0], requires_grad=True)
    rows = fg.zeros((3, 2))
    first = rows[0]
    for i in range(3):
        rows[i] = w * float(i + 1)
    assert first.requires_grad  # a view of what was written
    (rows.sum() + first.sum()).backward()
    assert w.grad.tolist() == [7.0, 7.0]


def test_views_of_one_tensor_see_each_others_writes_and_their_gradients():
    x = fg.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    v = fg.tensor([5.0, 6.0], requires_grad=True)
    y = x * 1.0
    left, middle = y[:2], fg.flip(y[1:3], axis=0)
    left[...] = v * 2.0
    (middle * fg.tensor([100.0, 1000.0])).sum().backward(retain_graph=True)
    assert middle.tolist() == [3.0, 12.0]
    assert x.grad.tolist() == [0.0, 0.0, 100.0, 0.0]
    assert v.grad.tolist() == [0.0, 2000.0]
    y *= 2.0
    x.zero_grad()
    left.sum().backward()
    assert x.grad is None or x.grad.tolist() == [0.0] * 4
    assert v.grad.tolist() == [4.0, 2004.0]


def test_second_derivatives_go_through_writes():
    def f(x, v):
        y = x * x
        row = y[1]
        row[0] = v * v * v
        y[0, 1:] += y[1, :2]
        return (y * y).sum()

    rng = np.random.default_rng(0)
    leaves = [
        fg.tensor(rng.normal(size=(2, 3)), requires_grad=True),
        fg.tensor(np.array(0.7), requires_grad=True),
    ]
    fg.gradcheck(f, leaves)
    fg.gradcheck(f, leaves, order=2)


def _line():
    import sys

    return sys._getframe(1).f_lineno


def test_corrupting_a_value_that_the_tape_needs_names_the_op_and_both_lines():
    x = fg.tensor([1.0, 2.0], requires_grad=True)
    z = fg.exp(x)
    w, made = z * z, _line()  # keeps z
    z[0], changed = 0.0, _line()
    with pytest.raises(GradientError) as error:
        w.sum().backward()
    message = str(error.value)
    assert "multiply" in message
    assert f"test_index.py:{made}" in message
    assert f"test_index.py:{changed}" in message


@pytest.mark.parametrize("write", ["view", "assign", "add", "no_grad", "detached"])
def test_every_way_to_change_a_kept_value_is_seen(write):
    x = fg.tensor(np.ones((2, 2)), requires_grad=True)
    y = x * 2.0
    z = y * y
    if write == "view":
        y.reshape(4)[0] = 7.0
    elif write == "assign":
        y.assign(3.0)
    elif write == "add":
        y += 1.0
    elif write == "detached":
        y.detach()[0, 0] = 7.0
    else:
        with fg.no_grad():
            y.reshape(4)[0] = 7.0
    with pytest.raises(GradientError, match="changed in place"):
        z.sum().backward()


def test_inputs_of_a_fused_op_are_checked_for_second_derivatives():
    x = fg.tensor([0.3, -0.2], requires_grad=True)
    y = x * 1.0
    z = fg.layer_norm(y)
    y[0] = 1.0
    with pytest.raises(GradientError, match=r"layer_norm.*changed in place"):
        fg.grad((z * z).sum(), x, create_graph=True)


def test_operators_in_place_keep_what_they_need():
    x = fg.tensor([2.0, 3.0], requires_grad=True)
    y = x * 1.0
    y *= 3.0
    y **= 2
    y /= x
    y -= x
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [8.0, 8.0])  # 9 x² / x - x


def test_operators_in_place_cast_within_a_kind_as_in_numpy():
    x = fg.tensor(np.ones(2, np.float32), requires_grad=True)
    y = x * 1.0
    y += np.ones(2)
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
    n = fg.tensor([1, 2])
    with pytest.raises(DTypeError, match=r"int64.*float32"):
        n /= 2


def test_an_operator_in_place_on_a_part_changes_the_whole():
    x = fg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1.0
    y[1:] *= 10.0
    assert y.tolist() == [1.0, 20.0, 30.0]
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 10.0, 10.0]


def test_writes_that_the_tape_could_not_follow_are_refused():
    x = fg.tensor([1.0, 2.0], requires_grad=True)
    for part in (x, x[:1], x.reshape(2, 1)):
        with pytest.raises(GradientError, match="leaf"):
            part[0] = 1.0
    y = x * 1.0
    with fg.no_grad():
        hidden = y[:1]
        x[0] = 9.0
    for part in (hidden, y.detach()):
        with pytest.raises(GradientError, match=r"detach\(\) or under no_grad"):
            part[0] = x[0]
    assert x.tolist() == [9.0, 2.0]


def test_a_view_may_become_a_leaf():
    table = fg.zeros((2, 2))
    row = table[0]
    row.requires_grad = True
    (row * 3.0).sum().backward()
    assert row.grad.tolist() == [3.0, 3.0]
    with pytest.raises(GradientError, match="leaf"):
        row[0] = 1.0


@pytest.mark.parametrize("make", ["frozen", "repeated", "broadcast"])
def test_read_only_memory_is_never_written_through(make):
    array = np.zeros(3)
    if make == "frozen":
        array.flags.writeable = False
        x = fg.tensor(array)
    elif make == "repeated":
        x = fg.tensor(np.broadcast_to(array, (2, 3)))
    else:
        x = fg.broadcast_to(fg.tensor(array), (2, 3))
    for write in (
        lambda: operator.setitem(x, 0, 1.0),
        lambda: operator.iadd(x, 1.0),
        lambda: x.assign(1.0),
    ):
        with pytest.raises(ValueError, match=r"read-only.*Assign to a copy"):
            write()
    assert not array.any()
