"""How many threads this process should use: what the system, the scheduler and the user allow."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["available_threads"]

# Upper bounds that users and schedulers set; OMP_NUM_THREADS may list one number per nested level.
VARIABLES = ("FIELDGRAD_NUM_THREADS", "OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK")


def available_threads(environ: Mapping[str, str] = os.environ, root: Path = Path("/")) -> int:
    """Processors that this process may use.

    The least of: the processors it is bound to, the quota of its control group (versions 1 and 2)
    and of the groups above, and the environment variables ``FIELDGRAD_NUM_THREADS``,
    ``OMP_NUM_THREADS`` and ``SLURM_CPUS_PER_TASK``. Values that are not positive integers are
    ignored.

    Parameters
    ----------
    environ : mapping of str to str
        Environment variables.
    root : Path
        Where ``proc`` and ``sys`` are.

    Returns
    -------
    int
        At least 1.
    """
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bounds = [environ.get(name, "").partition(",")[0].strip() for name in VARIABLES]
    bounds += [str(int(quota)) for quota in _quotas(root)]
    return min([n, *(int(bound) for bound in bounds if bound.isdecimal() and int(bound) > 0)])


def _quotas(root: Path) -> Iterator[float]:
    """Processors' worth of time that each control group over this process grants, at least 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return  # no control groups, as on other systems than Linux
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        # A container sees its own group as the mount itself, whatever the path says.
        group = mount / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder != mount and mount not in folder.parents:
                break
            quota, period = _read(folder, controllers)
            if quota > 0 and period > 0:
                yield max(1.0, quota / period)


def _read(folder: Path, controllers: str) -> tuple[int, int]:
    """Quota and period of one group in microseconds; no quota is (-1, -1)."""
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
    try:
        quota, period = " ".join((folder / name).read_text() for name in names).split()
        return int(quota), int(period)
    except (OSError, ValueError):
        return -1, -1  # no such file, or "max"
