"""Cores and memory as the container, the scheduler and the mask allow (fault R4)."""

import os
from pathlib import Path

import psutil
import pytest

from gstar.machine import cores, memory_limit_mb

TOTAL_MB = psutil.virtual_memory().total / 2**20


def fake_cgroup(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 16),
        ({"sys/fs/cgroup/cpu.max": ""}, 16),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, 16),
        ({"sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"sys/fs/cgroup/cpu.max": "20000 100000\n"}, 1),
        ({"sys/fs/cgroup/cpu.max": "rubbish"}, 16),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "300000 100000"}, 3),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "300000 100000"}, 3),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 16),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 2),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/job\n3:memory:/job\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "500000",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000",
            },
            5,
        ),
    ],
)
def test_cores_honour_the_quota(tmp_path, files, expected):
    assert cores(root=fake_cgroup(tmp_path, files), environ={}) == expected


def test_cores_honour_affinity_and_scheduler(tmp_path, monkeypatch):
    assert cores(root=tmp_path, environ={"SLURM_CPUS_PER_TASK": "6"}) == 6
    assert cores(root=tmp_path, environ={"SLURM_CPUS_PER_TASK": ""}) == 16
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    assert cores(root=tmp_path, environ={"SLURM_CPUS_PER_TASK": "6"}) == 1


def test_cores_where_there_is_no_affinity(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert cores(root=tmp_path, environ={}) == 8


@pytest.mark.parametrize(
    ("files", "expected_mb"),
    [
        ({}, TOTAL_MB),
        ({"sys/fs/cgroup/memory.max": "max\n"}, TOTAL_MB),
        ({"sys/fs/cgroup/memory.max": ""}, TOTAL_MB),
        ({"sys/fs/cgroup/memory.max": f"{256 * 2**20}\n"}, 256),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/memory.max": f"{128 * 2**20}"}, 128),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, TOTAL_MB),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{64 * 2**20}"}, 64),
        (
            {"proc/self/cgroup": "3:memory:/job", "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{32 * 2**20}"},
            32,
        ),
    ],
)
def test_memory_honours_the_limit(tmp_path, files, expected_mb):
    assert memory_limit_mb(root=fake_cgroup(tmp_path, files), environ={}) == pytest.approx(expected_mb)


def test_memory_honours_the_scheduler(tmp_path):
    assert memory_limit_mb(root=tmp_path, environ={"SLURM_MEM_PER_NODE": "100"}) == 100
    assert memory_limit_mb(root=tmp_path, environ={"SLURM_MEM_PER_NODE": "0"}) == pytest.approx(TOTAL_MB)


def test_this_machine_has_something():
    assert 1 <= cores() <= 16
    assert 0 < memory_limit_mb() <= TOTAL_MB
