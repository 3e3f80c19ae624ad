"""How many threads a process gets."""

import os
from pathlib import Path

import pytest

from fieldgrad.engine.processors import available_threads

HERE = available_threads({}, root=Path("/nowhere"))


def group(root, lines, files):
    """A file system with these control groups."""
    for name, text in {"proc/self/cgroup": lines, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_without_limits_it_is_the_affinity(tmp_path):
    assert (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else HERE) == HERE


@pytest.mark.parametrize(
    "name", ["SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS", "FIELDGRAD_NUM_THREADS"]
)
def test_variables_are_upper_bounds(name, tmp_path):
    assert available_threads({name: "1"}, tmp_path) == 1
    assert available_threads({name: "1,4"}, tmp_path) == 1
    assert available_threads({name: "1000000"}, tmp_path) == HERE
    for nonsense in ("", "0", "-2", "many"):
        assert available_threads({name: nonsense}, tmp_path) == HERE


@pytest.mark.parametrize("folder", ["job/step", "job", ""])
def test_quota_of_version_2_of_this_group_or_one_above(tmp_path, folder):
    files = {f"sys/fs/cgroup/{folder}/cpu.max": "150000 100000\n"}
    assert available_threads({}, group(tmp_path, "0::/job/step\n", files)) == 1


def test_no_quota(tmp_path):
    files = {"sys/fs/cgroup/job/cpu.max": "max 100000\n"}
    assert available_threads({}, group(tmp_path, "0::/job\n", files)) == HERE


def test_quota_of_version_1(tmp_path):
    files = {
        "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
    }
    lines = "4:cpu,cpuacct:/job\n3:memory:/job\n"
    assert available_threads({}, group(tmp_path, lines, files)) == 1
    (tmp_path / "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us").write_text("-1\n")
    assert available_threads({}, tmp_path) == HERE
