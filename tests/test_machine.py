"""Cores and memory as the container, the scheduler and the mask allow (fault R4)."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gstar.machine import cores, memory_limit_mb, startup_s

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


def stat_of(age_s: float) -> str:
    ticks = int((time.clock_gettime(time.CLOCK_BOOTTIME) - age_s) * os.sysconf("SC_CLK_TCK"))
    return f"7 (a ) b) S {' '.join('0' for _ in range(18))} {ticks} 0 0"


@pytest.mark.parametrize(("age_s", "expected_s"), [(1.5, 1.5), (3600, 0.0)])
def test_startup_is_told_unless_the_process_is_too_old(tmp_path, age_s, expected_s):
    fake_cgroup(tmp_path, {"proc/self/stat": stat_of(age_s)})
    assert startup_s(root=tmp_path) == pytest.approx(expected_s, abs=1.0)


@pytest.mark.parametrize("stat", ["", "7 (x) S 1", "7 (x) S " + "x " * 30])
def test_startup_is_unknown_without_proc(tmp_path, stat):
    fake_cgroup(tmp_path, {"proc/self/stat": stat})
    assert startup_s(root=tmp_path) == 0.0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells when a process began")
def test_startup_of_a_real_process():
    code = "import time; time.sleep(0.2); from gstar.machine import startup_s; print(startup_s())"
    told = float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert told == 0.0 or told >= 0.2
