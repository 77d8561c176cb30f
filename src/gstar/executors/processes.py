"""Runs each job in a process of its own, and kills it when it uses more than it may."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import psutil

from gstar.executors import child, launchers
from gstar.executors.limits import CrashedError, Limits, OutOfMemoryError, OutOfTimeError
from gstar.runfolder import own_folder

TICK_S = 0.05
ROLL_CALL_TICKS = 10


@dataclass(eq=False)
class _Run:
    """Is one job on its way: queued, running, or killed and not yet reaped."""

    number: int
    future: Future[Any]
    request: dict[str, Any]
    limits: Limits
    pid: int = 0
    started: float = 0.0
    peak_mb: float = 0.0
    cause: Exception | None = None

    @property
    def folder(self) -> Path:
        return Path(self.request["folder"])


def warm_up() -> None:
    """Starts the fork server in the background, so that it is ready when data is loaded."""
    launchers.release(launchers.acquire())


class ProcessExecutor(Executor):
    """Gives each job a process, a deadline and a memory limit.

    The function must be importable by name and return JSON values. Its future raises
    `OutOfTimeError`, `OutOfMemoryError` or `CrashedError` if the process did not live to
    return, `RuntimeError` with the cause if the function raised.

    Args:
        max_workers: How many processes run side by side.
    """

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._folder = own_folder()
        self._launcher = launchers.acquire()
        self._lock = threading.Lock()
        self._queued: deque[_Run] = deque()
        self._running: dict[int, _Run] = {}
        self._count = 0
        self._closing = False
        self._wake, self._waker = Pipe(duplex=False)
        self._thread = threading.Thread(target=self._supervise, name="gstar-supervisor", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queues ``fn(job)``; the limits are those of ``job.limits``.

        Raises:
            TypeError: If the call has any but one positional argument.
            RuntimeError: If the executor was shut down.
        """
        if len(args) != 1 or kwargs:
            raise TypeError(f"Expected fn(job) with one argument, got {len(args)} and {list(kwargs)}.")
        with self._lock:
            if self._closing:
                raise RuntimeError("The executor was shut down.")
            number, self._count = self._count, self._count + 1
            folder = self._folder / str(number)
            folder.mkdir()
            limits = getattr(args[0], "limits", Limits())
            request = {
                "function": f"{fn.__module__}:{fn.__qualname__}",
                "argument": args[0],
                "folder": str(folder),
                "limits": limits,
                "preload": getattr(args[0], "preload", ()),
                "path": list(sys.path),
            }
            run = _Run(number, Future(), request, limits)
            self._queued.append(run)
        with contextlib.suppress(OSError):  # closed: another thread has shut down, and the job is over already
            self._waker.send_bytes(b"1")
        return run.future

    def kill(self, future: Future[Any]) -> None:
        """Ends the job of a future now; it raises `OutOfTimeError`."""
        if future.cancel():
            return
        with self._lock:
            for run in self._running.values():
                if run.future is future:
                    self._end(run, OutOfTimeError("stopped: the budget was over"))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Kills what runs if `cancel_futures`, waits if `wait`, and frees everything."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            if cancel_futures:
                for run in self._queued:
                    run.future.cancel()
                for run in self._running.values():
                    self._end(run, OutOfTimeError("stopped: the executor was shut down"))
            self._waker.send_bytes(b"1")
        if wait:
            self._thread.join()

    def _supervise(self) -> None:
        ticks = 0
        while self._queued or self._running or not self._closing:
            try:
                self._start_queued()
                pause_s = TICK_S if self._running or self._closing else None
                for kind, number, value in self._launcher.happenings(self._wake, pause_s):
                    self._hear(kind, number, value)
            except launchers.LauncherDiedError:
                self._replace_launcher()
            while self._wake.poll():
                self._wake.recv_bytes()
            ticks += 1
            with self._lock:
                for run in self._running.values():
                    self._watch(run, roll_call=ticks % ROLL_CALL_TICKS == 0)
        launchers.release(self._launcher)
        with self._lock:  # who shuts down may still be about to wake this thread
            self._wake.close()
            self._waker.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start_queued(self) -> None:
        with self._lock:
            while self._queued and len(self._running) < self._max_workers:
                run = self._queued.popleft()
                if run.future.set_running_or_notify_cancel():
                    run.started = time.monotonic()
                    self._running[run.number] = run
                    self._launcher.start(run.number, run.request)

    def _hear(self, kind: str, number: int, value: int) -> None:
        run = self._running[number]
        if kind == "started":
            run.pid, run.started = value, time.monotonic()
            if run.cause is not None:
                _kill_tree(run.pid)
            return
        with self._lock:
            del self._running[number]
        _settle(run, value)
        shutil.rmtree(run.folder, ignore_errors=True)

    def _replace_launcher(self) -> None:
        """The fork server is gone, and with it every worker: says so and starts a new one."""
        with self._lock:
            lost, self._running = list(self._running.values()), {}
        for run in lost:
            run.future.set_exception(run.cause or CrashedError("the worker's server process ended"))
        self._launcher.close()
        self._launcher = launchers.acquire()

    def _watch(self, run: _Run, *, roll_call: bool) -> None:
        if not run.pid or run.cause is not None:
            return
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(run.pid)
            family = [process, *process.children(recursive=True)] if roll_call else [process]
            resident_mb = sum(p.memory_info().rss for p in family) / 2**20
            run.peak_mb = max(run.peak_mb, resident_mb)
            limit_mb = run.limits.memory_mb
            if limit_mb is not None and resident_mb > limit_mb + self._launcher.base_memory_mb():
                self._end(run, OutOfMemoryError(f"used {resident_mb:.0f} MB, {limit_mb:.0f} MB allowed"))
        limit_s = run.limits.time_s
        if limit_s is not None and time.monotonic() - run.started > limit_s:
            self._end(run, OutOfTimeError(f"killed after {limit_s:.1f} s"))
        with contextlib.suppress(OSError):
            output = run.folder / child.OUTPUT
            if output.stat().st_size > run.limits.output_bytes:
                os.truncate(output, 0)

    def _end(self, run: _Run, cause: Exception) -> None:
        if run.cause is None:
            run.cause = cause
            if run.pid:
                _kill_tree(run.pid)


def _settle(run: _Run, code: int) -> None:
    """Turns the end of a process into the result or the exception of its future."""
    result: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        result = json.loads((run.folder / child.RESULT).read_text(encoding="utf-8"))
    if "value" in result:
        run.future.set_result(result["value"])
    elif run.cause is not None:
        run.future.set_exception(run.cause)
    elif "time" in result:
        run.future.set_exception(OutOfTimeError(result["time"]))
    elif "memory" in result:
        run.future.set_exception(OutOfMemoryError(result["memory"]))
    elif "error" in result:
        run.future.set_exception(RuntimeError(result["error"]))
    elif "crash" in result:
        run.future.set_exception(CrashedError(result["crash"]))
    else:
        name = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = " (perhaps the system's out-of-memory killer)" if code == -signal.SIGKILL else ""
        run.future.set_exception(CrashedError(f"the worker ended with {name}{hint}"))


def _kill_tree(pid: int) -> None:
    """Kills a worker, its process group, and descendants that left the group."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        family = psutil.Process(pid).children(recursive=True)
    with contextlib.suppress(OSError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.kill()
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
