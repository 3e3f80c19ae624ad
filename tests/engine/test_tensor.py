"""Tensor: dtypes, mixed operands, assignment and version counters."""

import numpy as np
import pytest

import fieldgrad.engine as fg
from fieldgrad.engine.errors import DTypeError, GradientError, ShapeError


def test_lists_of_floats_become_float32_and_arrays_stay_as_they_are():
    assert fg.tensor([1.0, 2.0]).dtype == np.float32
    assert fg.tensor([1, 2]).dtype == np.int64
    assert fg.tensor([True]).dtype == np.bool_
    assert fg.tensor(np.ones(2)).dtype == np.float64


def test_an_array_is_wrapped_without_a_copy():
    array = np.ones(3, np.float32)
    assert np.shares_memory(fg.tensor(array).data, array)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2"])
def test_foreign_byte_order_is_converted(dtype):
    values = np.arange(6).reshape(2, 3).astype(dtype)
    x = fg.tensor(values)
    assert x.dtype.isnative
    np.testing.assert_array_equal((x * 2 + values).data, 3 * np.arange(6).reshape(2, 3))


def test_odd_addresses_are_copied():
    memory = np.zeros(4 * 5 + 1, np.uint8)[1:].view(np.float32)
    memory[:] = range(5)
    np.testing.assert_array_equal((fg.tensor(memory) + memory).data, 2 * np.arange(5))


@pytest.mark.parametrize("values", [["a", "b"], np.array(["2026-01-01"], "M8[D]"), [{}]])
def test_what_is_no_number_is_refused(values):
    with pytest.raises(TypeError, match="expected an array of numbers"):
        fg.tensor(values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("value", [2, 2.5, True, 2j, -0.0, 1e300])
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_number_beside_a_tensor_follows_numpy(dtype, value):
    x = np.arange(1, 4, dtype=dtype)
    ours, theirs = fg.tensor(x) * value, x * value
    if dtype == np.int64 and isinstance(value, (float, complex)):
        return  # integers meet the default float32, not NumPy's float64
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours.data, theirs)
    np.testing.assert_array_equal((value * fg.tensor(x)).data, theirs)


def test_an_accepted_call_does_not_admit_others():
    x = fg.tensor(np.ones((2, 3), np.float32))
    assert x.sum(axis=1).shape == (2,)
    with pytest.raises(ShapeError, match="axis 2"):
        x.sum(axis=2)
    with pytest.raises(ShapeError):
        fg.reshape(x, [4, 2])
    assert fg.reshape(x, [3, 2]).shape == (3, 2)


def test_ragged_lists_are_refused():
    with pytest.raises((DTypeError, ValueError)):
        fg.tensor([[1.0], [1.0, 2.0]])


def test_python_numbers_keep_the_dtype_of_the_tensor():
    for dtype in (np.float32, np.float64):
        x = fg.tensor(np.ones(2, dtype))
        for y in (x + 1, 1 - x, 2.5 * x, x / 3, x**2, 2.0**x):
            assert y.dtype == dtype
    assert (fg.tensor([1, 2]) * 2).dtype == np.int64
    assert (fg.tensor([1, 2]) * 0.5).dtype == np.float32


def test_mixed_float_dtypes_follow_numpy_and_gradients_go_back():
    x = fg.tensor(np.ones(2, np.float32), requires_grad=True)
    y = x * np.array([2.0, 3.0])
    assert y.dtype == np.float64
    y.sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [2.0, 3.0]


def test_arrays_on_the_left_keep_the_gradient():
    x = fg.tensor([1.0, 2.0], requires_grad=True)
    y = np.array([3.0, 4.0], np.float32) * x
    assert isinstance(y, fg.Tensor)
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 4.0]


def test_numpy_gives_a_view_that_is_read_only_when_the_tape_could_not_see_a_write():
    x = fg.tensor([1.0, 2.0])
    x.numpy()[0] = 5.0
    assert x.tolist() == [5.0, 2.0]
    leaf = fg.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match="read-only"):
        leaf.numpy()[0] = 5.0


def test_item_needs_one_element():
    assert fg.tensor([[3.0]]).item() == 3.0
    with pytest.raises(ShapeError, match=r"shape \(2,\)"):
        fg.tensor([1.0, 2.0]).item()


def test_integers_have_no_gradient():
    with pytest.raises(DTypeError, match="floating"):
        fg.tensor([1, 2], requires_grad=True)


def test_shapes_that_do_not_broadcast_name_the_axis():
    with pytest.raises(ValueError, match="axis -1 has 3 and 2"):
        fg.zeros((2, 3)) + fg.zeros((2, 2))


def test_tensors_are_not_pickled():
    with pytest.raises(TypeError, match="checkpoint"):
        fg.tensor([1.0]).__reduce__()


def test_assign_keeps_shape_and_dtype():
    x = fg.tensor([1.0, 2.0], requires_grad=True)
    x.assign(np.array([3.0, 4.0]))
    assert x.tolist() == [3.0, 4.0]
    assert x.dtype == np.float32


def test_comparisons_give_truth_values_and_hashing_is_by_identity():
    x = fg.tensor([1.0, 2.0])
    assert (x == np.array([1.0, 0.0], np.float32)).tolist() == [True, False]
    assert (x > 1.5).tolist() == [False, True]
    assert len({x, fg.tensor([1.0, 2.0])}) == 2


def test_unknown_attribute_of_an_op_lists_the_known_ones():
    with pytest.raises(TypeError, match="negative_slope"):
        fg.leaky_relu(fg.zeros(2), slope=0.1)


def test_operators_in_place_change_the_values_of_the_same_tensor():
    w = fg.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    same = w
    with fg.no_grad():
        w -= 0.5 * w.grad
    assert w is same
    assert w.requires_grad
    assert w.tolist() == [0.0, 0.0]


def test_operators_in_place_are_recorded_on_results():
    x = fg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2.0
    y += x
    y -= 1.0
    y.sum().backward()
    assert y.tolist() == [2.0, 5.0]
    assert x.grad.tolist() == [3.0, 3.0]
    z = x * 2.0
    z *= z  # the rule of * needs the values that this overwrites, and keeps a copy
    z.sum().backward()
    assert x.grad.tolist() == [3.0 + 8.0, 3.0 + 16.0]


def test_operators_in_place_keep_shape_and_dtype_or_refuse():
    x = fg.tensor([1, 2])
    with pytest.raises(DTypeError, match="in place"):
        x += 0.5
    with pytest.raises(DTypeError, match="in place"):
        x += np.ones((3, 2), np.int64)
    assert x.tolist() == [1, 2]


def test_a_list_of_recorded_tensors_is_refused_instead_of_losing_their_gradients():
    w = fg.tensor(1.0, requires_grad=True)
    for parts in ([w, 2.0], [[1.0], [w * 2]]):
        with pytest.raises(GradientError, match=r"stack\(\[…\]\)"):
            fg.tensor(parts)
    assert fg.asarray([w, 2.0]).requires_grad
    with fg.no_grad():
        assert fg.tensor([w, 2.0]).tolist() == [1.0, 2.0]


def test_complex_numbers_become_single_precision_as_others_do():
    assert fg.tensor([1j, 2.0]).dtype == np.complex64
    assert fg.tensor(np.array([1j])).dtype == np.complex128
