"""Every end of a worker is told by its name, and harms nothing else."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

import psutil
import pytest

from gstar.executors import CrashedError, Limits, OutOfMemoryError, OutOfTimeError, ProcessExecutor
from gstar.testing import evil


@dataclass(frozen=True)
class Deed:
    """Is a job that does what an evil learner does."""

    learner: str
    limits: Limits = field(default_factory=Limits)


def do(deed: Deed) -> str:
    getattr(evil, deed.learner)().misbehave()
    return "survived"


def echo(deed: Deed) -> str:
    return deed.learner


def find_no_room(deed: Deed) -> str:
    resource = importlib.import_module("resource")
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return deed.learner


def threads_seen(deed: Deed) -> str:
    return os.environ["OMP_NUM_THREADS"]


@pytest.fixture(scope="module")
def executor():
    with ProcessExecutor(2) as executor:
        yield executor


@pytest.mark.parametrize(
    ("learner", "limits", "error", "match"),
    [
        ("Sleeper", Limits(time_s=0.3), OutOfTimeError, "killed after 0.3 s"),
        ("Spinner", Limits(time_s=0.3), OutOfTimeError, "killed after 0.3 s"),
        ("Printer", Limits(time_s=0.5), OutOfTimeError, "killed after 0.5 s"),
        ("Hog", Limits(time_s=60, memory_mb=200), OutOfMemoryError, "MB|allocate|MemoryError"),
        ("NativeHog", Limits(time_s=60, memory_mb=200), OutOfMemoryError, "200 MB allowed"),
        ("Segfaulter", Limits(), CrashedError, "SIGSEGV"),
        ("Aborter", Limits(), CrashedError, "SIGABRT"),
        ("Exiter", Limits(), CrashedError, "exit code 3"),
        ("Quitter", Limits(), CrashedError, "SystemExit"),
        ("Raiser", Limits(), RuntimeError, "ValueError: this learner does not like these rows"),
    ],
)
def test_every_end_has_its_name_and_the_next_job_runs(executor, learner, limits, error, match):
    bad = executor.submit(do, Deed(learner, limits))
    good = executor.submit(echo, Deed("hello"))
    with pytest.raises(error, match=match):
        bad.result(timeout=60)
    assert good.result(timeout=60) == "hello"


def _is_grandchild(process):
    with contextlib.suppress(psutil.Error):
        sleeps = f"time.sleep({evil.FOREVER_S})" in " ".join(process.cmdline())
        return sleeps and process.status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.skipif(importlib.util.find_spec("resource") is None, reason="needs limits on files")
def test_a_result_that_finds_no_room_is_no_success(executor):
    with pytest.raises(CrashedError, match="the worker ended with exit code 1"):
        executor.submit(find_no_room, Deed("x")).result(timeout=60)


def test_grandchildren_die_with_their_worker(executor):
    before = {p.pid for p in psutil.process_iter()}
    with pytest.raises(OutOfTimeError):
        executor.submit(do, Deed("Parent", Limits(time_s=1.0))).result(timeout=60)
    assert [p.pid for p in psutil.process_iter() if p.pid not in before and _is_grandchild(p)] == []


def test_a_worker_killed_from_outside_is_told_and_others_go_on(executor):
    victim = executor.submit(do, Deed("Sleeper", Limits(time_s=60)))
    while not (pids := [run.pid for run in executor._running.values() if run.future is victim and run.pid]):
        time.sleep(0.01)
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(CrashedError, match="SIGKILL"):
        victim.result(timeout=60)
    assert executor.submit(echo, Deed("alive")).result(timeout=60) == "alive"


def test_the_server_may_die_and_is_replaced():
    with ProcessExecutor(1) as executor:
        assert executor.submit(echo, Deed("a")).result(timeout=60) == "a"
        running = executor.submit(do, Deed("Sleeper", Limits(time_s=60)))
        while not any(run.pid for run in executor._running.values()):
            time.sleep(0.01)
        os.kill(executor._launcher._process.pid, signal.SIGKILL)
        with pytest.raises(CrashedError, match="server"):
            running.result(timeout=60)
        assert executor.submit(echo, Deed("b")).result(timeout=60) == "b"


def ends_slowly(deed: Deed) -> int:
    def exit_slowly(code: int) -> None:
        time.sleep(evil.FOREVER_S)

    os._exit = exit_slowly
    return os.getpid()


def test_nobody_waits_for_a_process_whose_result_is_written():
    with ProcessExecutor(1) as executor:
        pid = executor.submit(ends_slowly, Deed("x")).result(timeout=60)
        assert executor.submit(echo, Deed("next")).result(timeout=60) == "next"
        while psutil.pid_exists(pid):
            time.sleep(0.01)
        assert [executor.submit(echo, Deed(name)).result(timeout=60) for name in "abc"] == ["a", "b", "c"]


def libraries_seen(deed: Deed) -> list[str]:
    return [name for name in ("lightgbm", "xgboost", "catboost", "pyarrow", "polars") if name in sys.modules]


def test_workers_have_at_hand_what_learners_need_and_the_server_no_threads(executor):
    boosters = [name for name in ("lightgbm", "xgboost", "catboost") if importlib.util.find_spec(name)]
    assert executor.submit(libraries_seen, Deed("x")).result(timeout=60) == boosters
    assert psutil.Process(executor._launcher._process.pid).num_threads() == 1


def test_kill_ends_one_job_now(executor):
    future = executor.submit(do, Deed("Sleeper"))
    while not any(run.pid for run in executor._running.values()):
        time.sleep(0.01)
    executor.kill(future)
    with pytest.raises(OutOfTimeError, match="budget was over"):
        future.result(timeout=60)


def test_shutdown_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    executor = ProcessExecutor(1)
    futures = [executor.submit(do, Deed("Sleeper")) for _ in range(3)]
    executor.shutdown(wait=True, cancel_futures=True)
    assert all(f.cancelled() or isinstance(f.exception(), OutOfTimeError) for f in futures)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(echo, Deed("x"))


def test_shutdown_does_not_wait_for_jobs_that_were_cancelled_in_the_queue():
    executor = ProcessExecutor(1)
    running = executor.submit(do, Deed("Sleeper"))
    queued = [executor.submit(echo, Deed("late")) for _ in range(3)]
    while not any(run.pid for run in executor._running.values()):
        time.sleep(0.01)
    for future in queued:
        assert future.cancel()
    executor.kill(running)
    executor.shutdown(wait=True)
    assert isinstance(running.exception(), OutOfTimeError)


class Slow:
    """A pipe into which it takes a while to write."""

    def __init__(self, pipe) -> None:
        self.pipe = pipe

    def send_bytes(self, data: bytes) -> None:
        time.sleep(0.3)
        self.pipe.send_bytes(data)

    def close(self) -> None:
        self.pipe.close()


def test_a_shutdown_right_after_the_last_result_still_finds_its_pipe():
    executor = ProcessExecutor(1)
    future = executor.submit(echo, Deed("done"))
    future.add_done_callback(lambda _: setattr(executor, "_waker", Slow(executor._waker)))
    future.result(timeout=30)
    executor.shutdown()


def test_threads_are_capped(executor):
    assert executor.submit(threads_seen, Deed("x", Limits(threads=1))).result(timeout=60) == "1"


def test_only_jobs_are_accepted(executor):
    with pytest.raises(TypeError, match="one argument"):
        executor.submit(math.gcd, 4, 6)


def test_workers_leave_when_the_parent_is_killed():
    script = (
        "import sys, time\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from gstar.executors import ProcessExecutor, Limits\n"
        "import test_processes as t\n"
        "executor = ProcessExecutor(1)\n"
        "executor.submit(t.do, t.Deed('Sleeper'))\n"
        "while not any(r.pid for r in executor._running.values()): time.sleep(0.01)\n"
        "print([r.pid for r in executor._running.values()][0], executor._launcher._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, os.path.dirname(__file__)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(200):
        alive = [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]
        if not alive:
            break
        time.sleep(0.05)
    assert alive == []


def test_spawned_workers_do_the_same(monkeypatch):
    monkeypatch.setenv("GSTAR_START_METHOD", "spawn")
    with ProcessExecutor(1) as executor:
        assert executor.submit(echo, Deed("spawned")).result(timeout=120) == "spawned"
        with pytest.raises(CrashedError, match="exit code 3"):
            executor.submit(do, Deed("Exiter")).result(timeout=120)
