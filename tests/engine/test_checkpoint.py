import errno
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fieldgrad.engine as fg
from fieldgrad.engine import checkpoint
from fieldgrad.engine.errors import DataError, FileError

ARRAYS = {
    "scalar": np.float64(3.0),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "big endian": np.arange(3, dtype=">i4"),
    "empty": np.zeros((0, 3)),
    "mask": np.array([True, False]),
    "half": np.ones(3, np.float16),
    "phase": np.ones(2, np.complex64),
}


def test_arrays_and_text_return_as_they_were(tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, ARRAYS, {"recipe": "seed = 0\n", "unit": "µm"})
    arrays, text = checkpoint.load(path)
    assert text == {"recipe": "seed = 0\n", "unit": "µm"}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype.newbyteorder("<")
        assert arrays[name].shape == array.shape
        np.testing.assert_array_equal(arrays[name], array)


def test_file_is_readable_by_other_safetensors_readers(tmp_path):
    from safetensors.numpy import load_file

    checkpoint.save(tmp_path / "a", {"weight": np.ones(2)})
    np.testing.assert_array_equal(load_file(tmp_path / "a")["weight"], np.ones(2))


def test_no_text_is_no_text(tmp_path):
    checkpoint.save(tmp_path / "a", {})
    assert checkpoint.load(tmp_path / "a") == ({}, {})


def test_tensors_are_written_as_their_arrays(tmp_path):
    path = tmp_path / "a.safetensors"
    weight = fg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    checkpoint.save(path, {"weight": weight, "columns": weight.T, "part": (weight * 2.0)[:, ::-2]})
    arrays, _ = checkpoint.load(path)
    np.testing.assert_array_equal(arrays["columns"], np.arange(6.0).reshape(2, 3).T)
    np.testing.assert_array_equal(arrays["part"], [[4.0, 0.0], [10.0, 6.0]])
    fg.tensor(arrays["weight"])[...] = 0.0  # memory of its own


def test_files_go_to_pytorch_and_come_back(tmp_path):
    torch = pytest.importorskip("torch", reason="parity with PyTorch where it is installed")
    from safetensors.torch import load_file, save_file

    checkpoint.save(tmp_path / "a", ARRAYS)
    for name, tensor in load_file(tmp_path / "a").items():
        np.testing.assert_array_equal(tensor.numpy(), ARRAYS[name])
    save_file({"weight": torch.arange(6.0).reshape(2, 3)}, tmp_path / "b")
    assert checkpoint.load(tmp_path / "b")[0]["weight"].tolist() == [
        [0.0, 1.0, 2.0],
        [3.0, 4.0, 5.0],
    ]


def _one(**changes):
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}
    return json.dumps({"a": entry}).encode()


@pytest.mark.parametrize(
    ("header", "data"),
    [
        (b"", b""),
        (b"{", b""),
        (b"[1]", b""),
        (b'{"\xff": 1}', b""),
        (b'{"a": null}', b""),
        (b'{"__metadata__": {"a": 1}}', b""),
        (_one(dtype="F31"), b"1234"),
        (_one(dtype="BF16", shape=[2]), b"1234"),
        (_one(dtype="F8_E4M3", shape=[4]), b"1234"),
        (_one(shape=[-1]), b"1234"),
        (_one(shape=[2]), b"1234"),
        (_one(shape=[2**40, 2**40]), b"1234"),
        (_one(data_offsets=[4, 0]), b"1234"),
        (_one(data_offsets=[100, 104]), b"1234"),
        (_one(data_offsets=[4, 8]), b"12345678"),
        (_one(), b"12345678"),
        (_one(), b"12"),
        (_one()[:-1] + b", " + _one()[1:], b"1234"),
        (json.dumps({k: json.loads(_one())["a"] for k in "ab"}).encode(), b"1234"),
    ],
)
def test_malformed_files_are_refused_by_name(tmp_path, header, data):
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    with pytest.raises(FileError, match=r"a\.safetensors"):
        checkpoint.load(path)


@settings(deadline=None, derandomize=True, database=None, max_examples=200)
@given(place=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_gives_arrays(tmp_path_factory, place, byte):
    path = tmp_path_factory.mktemp("damaged") / "a.safetensors"
    checkpoint.save(path, {"weight": np.ones((2, 3)), "bias": np.zeros(3, np.int8)}, {"a": "b"})
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(content)
    try:
        arrays, _ = checkpoint.load(path)
    except FileError:
        return
    assert all(isinstance(array, np.ndarray) for array in arrays.values())


@pytest.mark.parametrize("damage", [lambda b: b[:-5], lambda b: b"", lambda b: b"not " * 9])
def test_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, ARRAYS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileError, match=r"a\.safetensors is not a whole.*Copy it again"):
        checkpoint.load(path)


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        checkpoint.load(tmp_path / "none")
    with pytest.raises(FileError, match="is a folder"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("array", [np.array(["x"]), np.array([None]), np.ones(1, np.complex128)])
def test_array_without_place_in_the_format_is_refused(tmp_path, array):
    with pytest.raises(DataError, match="'labels' has dtype"):
        checkpoint.save(tmp_path / "a", {"labels": array})
    assert not os.listdir(tmp_path)


def test_text_must_be_text(tmp_path):
    with pytest.raises(DataError, match=r"text\['step'\] is int"):
        checkpoint.save(tmp_path / "a", {}, {"step": 7})


def test_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    import safetensors
    import safetensors.numpy

    def refuse(*arguments):
        raise safetensors.SafetensorError("I/O error: No space left on device")

    path = tmp_path / "a"
    checkpoint.save(path, {"weight": np.ones(2)})
    monkeypatch.setattr(safetensors.numpy, "save_file", refuse)
    with pytest.raises(FileError, match=r"was not written.*No space left"):
        checkpoint.save(path, {"weight": np.zeros(2)})
    assert os.listdir(tmp_path) == ["a"]
    assert checkpoint.load(path)[0]["weight"].sum() == 2


def test_a_full_disk_is_told_as_such(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    def full(*arguments):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(FileError, match="the disk is full") as caught:
        checkpoint.save(tmp_path / "model.safetensors", {"a": np.zeros(2)})
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())
