"""Runs a command as a process tree of its own and measures it: wall seconds, peak memory, how it ended."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

PAUSE_S = 0.1
GRACE_S = 2.0
"""Helpers may take this long to see that their parent has ended."""


@dataclass(frozen=True)
class Measured:
    """Is what a command took.

    Args:
        wall_s: Seconds from start to end, interpreter and imports included.
        peak_mb: Largest sum of resident sets over the tree, sampled; shared pages count for each process.
        code: Exit status.
        timed_out: Whether it was killed because of its time.
        output: The end of what it wrote to stdout and stderr.
        left_behind: Processes of the tree that outlived the command by more than a moment; they are killed.
    """

    wall_s: float
    peak_mb: float
    code: int
    timed_out: bool
    output: str
    left_behind: int


def run_measured(
    command: Sequence[str], *, timeout_s: float, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Measured:
    with tempfile.TemporaryFile() as output:
        start = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, cwd=cwd, start_new_session=True
        )
        seen: set[psutil.Process] = set()
        peak, timed_out = 0, False
        while process.poll() is None:
            tree = _tree(process.pid)
            seen |= tree
            peak = max(peak, sum(map(_resident, tree)))
            timed_out = time.monotonic() - start > timeout_s
            if timed_out:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PAUSE_S)
        wall_s = time.monotonic() - start
        others = [p for p in seen if p.pid != process.pid]
        left = [p for p in others if p.is_running()] if timed_out else psutil.wait_procs(others, GRACE_S)[1]
        for member in [*([psutil.Process(process.pid)] if process.poll() is None else []), *left]:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        code = process.wait()
        output.seek(0)
        tail = output.read().decode(errors="replace")[-4000:]
    return Measured(wall_s, peak / 2**20, code, timed_out, tail, 0 if timed_out else len(left))


def pin(n_cores: int) -> None:
    """Keeps this process, and all that it starts, on the first cores that it may use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_cores])


def _tree(pid: int) -> set[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return {root, *root.children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
