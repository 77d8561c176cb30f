"""What this process may use of the machine: cores and memory, and how old it is.

The machine's own numbers are only upper bounds: a container, a scheduler or an affinity
mask may allow less, and a run that believes the machine is slow at best and killed at worst.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path("/")
LONGEST_STARTUP_S: Final = 5.0
"""A process that is older did something else before."""

_MIB: Final = 2**20


def cores(*, root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> int:
    """Returns how many cores this process may use, at least 1.

    The least of: the affinity mask, the CPU quota of each enclosing cgroup (v1 or v2, a part
    of a core counts whole), and ``SLURM_CPUS_PER_TASK``.

    Args:
        root: Where ``proc`` and ``sys`` are, for tests.
        environ: Environment variables.
    """
    known = [float(_affinity()), *_cpu_quotas(root), _positive(environ.get("SLURM_CPUS_PER_TASK", ""))]
    return max(1, math.ceil(min(n for n in known if n is not None)))


def memory_limit_mb(*, root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> float:
    """Returns how much memory this process may use, in MiB.

    The least of: the machine's memory, the limit of each enclosing cgroup (v1 or v2), and
    ``SLURM_MEM_PER_NODE``.

    Args:
        root: Where ``proc`` and ``sys`` are, for tests.
        environ: Environment variables.
    """
    known = [psutil.virtual_memory().total / _MIB, *_memory_limits(root)]
    slurm_mb = _positive(environ.get("SLURM_MEM_PER_NODE", ""))
    return min(known if slurm_mb is None else [*known, slurm_mb])


def startup_s(*, root: Path = ROOT) -> float:
    """Returns how long ago this process was started, so that a budget can count its start-up.

    0 where that cannot be known: without ``/proc``, and in a process that was something else
    before, such as a shell that replaced itself.

    Args:
        root: Where ``proc`` is, for tests.
    """
    try:
        began_s = int(_read(root / "proc/self/stat").rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - began_s
    except (IndexError, ValueError, AttributeError, OSError):
        return 0.0
    return age_s if 0.0 <= age_s <= LONGEST_STARTUP_S else 0.0


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_quotas(root: Path) -> Iterator[float]:
    for folder in _cgroup_folders(root, ""):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        yield from _ratio(quota, period)
    for folder in _cgroup_folders(root, "cpu"):
        yield from _ratio(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _memory_limits(root: Path) -> Iterator[float]:
    files = [folder / "memory.max" for folder in _cgroup_folders(root, "")]
    files += [folder / "memory.limit_in_bytes" for folder in _cgroup_folders(root, "memory")]
    for file in files:
        limit = _positive(_read(file))
        if limit is not None:
            yield limit / _MIB


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """Yields the folders of this process's cgroup and of all that enclose it.

    Args:
        root: Where ``proc`` and ``sys`` are.
        controller: A controller of v1, or "" for the one hierarchy of v2.
    """
    mounted = root / "sys/fs/cgroup" / controller
    yield mounted
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controller in controllers.split(","):
            inside = Path(path.strip().lstrip("/"))
            yield from (mounted / part for part in (inside, *inside.parents) if part != Path())


def _ratio(quota: str, period: str) -> Iterator[float]:
    amount, length = _positive(quota), _positive(period)
    if amount is not None and length is not None:
        yield amount / length


def _positive(text: str) -> float | None:
    """Returns the number in the text if it is one above zero: "max", "-1" and "" mean no limit."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
