"""The profile counts calls, bytes and arithmetic, and its trace can be read."""

import json
import threading

import numpy as np

import fieldgrad.engine as fg


def by_name(found):
    return {row.name: row for row in found.rows()}


def test_counts_bytes_and_arithmetic():
    x = fg.tensor(np.ones((8, 4), np.float32), requires_grad=True)
    w = fg.tensor(np.ones((4, 2), np.float32))
    with fg.profile() as found:
        fg.sum(fg.tanh(x @ w) * 2.0).backward()
    rows = by_name(found)
    assert rows["matmul"].count == 2  # forward, and for the gradient of x
    assert rows["matmul"].flops == 2 * (2 * 8 * 4 * 2)
    assert rows["matmul"].nbytes == 2 * 4 * (8 * 4 + 4 * 2 + 8 * 2)
    assert rows["tanh"].flops == 16
    assert rows["sum"].flops == 16
    assert rows["permute_dims"].nbytes == 0  # a view
    assert {"backward of tanh", "backward of matmul", "backward of sum"} <= rows.keys()
    np.testing.assert_allclose(x.grad.numpy(), 4 * (1 - np.tanh(4.0) ** 2), rtol=1e-4)


def test_time_is_counted_once():
    x = fg.tensor(np.ones((200, 200)), requires_grad=True)
    with fg.profile() as found:
        for _ in range(5):
            fg.exp(fg.sin(x) * x).sum().backward()
    total = sum(row.seconds for row in found.rows())
    assert 0 < total <= found.seconds
    assert all(row.seconds >= 0 for row in found.rows())


def test_convolutions_are_counted_by_their_definition():
    x, w = fg.ones((2, 3, 8, 8)), fg.tensor(np.ones((4, 3, 3, 3), np.float32), requires_grad=True)
    with fg.profile() as found:
        fg.conv(x, w).sum().backward()
    rows = by_name(found)
    assert rows["conv"].flops == rows["conv_weight"].flops == 2 * (2 * 4 * 6 * 6) * (3 * 3 * 3)


def test_table_and_trace(tmp_path):
    with fg.profile(tmp_path / "trace.json") as found:
        fg.softmax(fg.ones((3, 4)))
    lines = str(found).splitlines()
    assert lines[0].split() == ["op", "count", "ms", "%", "MB", "GB/s", "MFLOP", "GFLOP/s"]
    assert lines[1].split()[:2] == ["softmax", "1"]
    assert lines[-1].startswith("in all")
    (event,) = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert event["name"] == "softmax"
    assert event["args"]["shapes"] == "(3, 4)"


def test_maps_show_what_is_computed_and_an_error_ends_the_measuring():
    with fg.profile() as found:
        fg.vmap(fg.tanh)(fg.ones((5, 2)))
    assert by_name(found)["tanh"].count == 1
    x = fg.tensor([1.0], requires_grad=True)
    try:
        with fg.profile() as found:
            y = fg.sin(x)
            y.backward()
            y.backward()
    except RuntimeError:
        pass
    assert by_name(found)["sin"].count == 1
    fg.expm1(x)
    assert "expm1" not in by_name(found)


def test_other_threads_are_left_alone():
    with fg.profile() as found:
        thread = threading.Thread(target=lambda: fg.exp(fg.ones(3)))
        thread.start()
        thread.join()
    assert not found.rows()
