"""The thread pool: any number of threads, calls from many threads, and life after a fork."""

import os
import subprocess
import sys
import tempfile
import threading

import numpy as np
import pytest

import fieldgrad.engine as fg

X = np.random.default_rng(0).normal(size=(64, 5000)).astype(np.float32)


def test_many_python_threads_get_right_results():
    want = (X * X).sum(axis=1)
    wrong = []

    def work():
        for _ in range(20):
            got = fg.sum(fg.tensor(X) * X, axis=1).numpy()
            if not np.allclose(got, want, rtol=1e-5):
                wrong.append(got)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_sums_are_bitwise_the_same_for_any_number_of_threads():
    before = fg.get_num_threads()
    sums = set()
    try:
        for n in (1, 2, 5, 3, 1):
            fg.set_num_threads(n)
            assert fg.get_num_threads() == n
            sums.add(fg.sum(fg.tensor(X)).item())
            sums.add(fg.sum(fg.tensor(X[:, ::-1])).item())
    finally:
        fg.set_num_threads(before)
    assert len(sums) <= 2  # one for each memory order


@pytest.mark.parametrize("n", [0, -1, 257])
def test_the_number_of_threads_has_bounds(n):
    with pytest.raises(ValueError, match="at least 1 and at most 256"):
        fg.set_num_threads(n)


def test_the_number_of_threads_is_an_integer():
    with pytest.raises(TypeError):
        fg.set_num_threads(1.5)


def test_many_python_threads_multiply_matrices():
    x = X[:, :64]
    want, wrong = fg.matmul(x.T, x).numpy(), []

    def work():
        for _ in range(200):
            if not np.array_equal(fg.matmul(x.T, x).numpy(), want):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_multiprocessing_compute(method):
    code = f"""
import multiprocessing, warnings
import numpy as np
import fieldgrad.engine as fg
warnings.simplefilter("ignore")

def work(n):
    return fg.matmul(np.ones((n, 300), np.float32), np.ones((300, n), np.float32)).sum().item()

if __name__ == "__main__":
    fg.set_num_threads(2)
    want = [300 * n * n for n in (200, 201, 202)]
    assert [work(n) for n in (200, 201, 202)] == want
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        assert pool.map(work, (200, 201, 202)) == want
"""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:  # spawn imports the file again
        script.write(code)
        script.flush()
        done = subprocess.run(
            [sys.executable, script.name], capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_computes_with_a_pool_of_its_own():
    code = """
import os, warnings
import numpy as np
import fieldgrad.engine as fg
warnings.simplefilter("ignore")
fg.set_num_threads(2)
x = np.ones((300, 3000), np.float32)
assert fg.sum(fg.tensor(x) + x).item() == 1_800_000
child = os.fork()
assert fg.sum(fg.tensor(x) + x).item() == 1_800_000
if child == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
