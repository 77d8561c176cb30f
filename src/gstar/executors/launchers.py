"""Two ways to start a worker process: fork it from a preloaded server, or spawn it."""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import socket
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from multiprocessing.connection import Connection, wait
from typing import Any, TypeAlias

import psutil

Happening: TypeAlias = tuple[str, int, int]
"""``("started", number, pid)`` or ``("ended", number, exit code)``, negative for a signal."""


class LauncherDiedError(Exception):
    """Says that the fork server is gone."""


class AbstractLauncher(ABC):
    """Starts workers and tells when they end."""

    @abstractmethod
    def start(self, number: int, request: dict[str, Any]) -> None:
        """Starts a worker for this request; the number names it in happenings."""

    @abstractmethod
    def happenings(self, wake: Connection[Any, Any], timeout_s: float | None) -> list[Happening]:
        """Waits until something happened, `wake` is readable, or the time is over."""

    @abstractmethod
    def base_memory_mb(self) -> float:
        """Returns the resident MB that a worker has before it does anything."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of the launcher; workers that still run are killed."""


class ForkLauncher(AbstractLauncher):
    """Asks a preloaded server process to fork."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        environment = os.environ | {
            f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")
        }
        environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gstar.executors.forkserver", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        theirs.close()
        self._connection: Connection[Any, Any] = Connection(ours.detach())
        self.owner = os.getpid()

    def start(self, number: int, request: dict[str, Any]) -> None:
        try:
            self._connection.send((number, request))
        except OSError as error:
            raise LauncherDiedError(str(error)) from error

    def happenings(self, wake: Connection[Any, Any], timeout_s: float | None) -> list[Happening]:
        found: list[Happening] = []
        if self._connection in wait([self._connection, wake], timeout_s):
            try:
                while self._connection.poll():
                    found.append(self._connection.recv())
            except (EOFError, OSError) as error:
                if not found:
                    raise LauncherDiedError(str(error)) from error
        return found

    def base_memory_mb(self) -> float:
        with contextlib.suppress(psutil.Error):
            return float(psutil.Process(self._process.pid).memory_info().rss) / 2**20
        return 0.0

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.close()
        if os.getpid() == self.owner:
            self._process.wait()
        else:
            self._process.returncode = 0  # a child of the parent's: not ours to wait for

    @property
    def usable(self) -> bool:
        """Whether the server lives and belongs to this very process, not to a parent that forked."""
        return self.owner == os.getpid() and self._process.poll() is None


class SpawnLauncher(AbstractLauncher):
    """Starts a fresh interpreter for each worker: slow (seconds), safe everywhere."""

    def __init__(self) -> None:
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._news: list[Happening] = []

    def start(self, number: int, request: dict[str, Any]) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gstar.executors.spawned"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(pickle.dumps(request))
        self._processes[number] = process
        self._news.append(("started", number, process.pid))

    def happenings(self, wake: Connection[Any, Any], timeout_s: float | None) -> list[Happening]:
        if not self._news:
            wait([wake], min(0.05, timeout_s or 0.05) if self._processes else timeout_s)
        found, self._news = self._news, []
        for number, process in list(self._processes.items()):
            code = process.poll()
            if code is not None:
                del self._processes[number]
                found.append(("ended", number, code))
        return found

    def base_memory_mb(self) -> float:
        return 250.0

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


_idle: list[ForkLauncher] = []
_idle_lock = threading.Lock()


@atexit.register
def _close_idle() -> None:
    """Ends the fork server that was kept warm, at the end of the process."""
    with _idle_lock:
        while _idle:
            _idle.pop().close()


def acquire() -> AbstractLauncher:
    """Returns a launcher for one executor: a warm fork server where forking is safe."""
    if os.environ.get("GSTAR_START_METHOD") == "spawn" or not sys.platform.startswith("linux"):
        return SpawnLauncher()
    with _idle_lock:
        while _idle:
            launcher = _idle.pop()
            if launcher.usable:
                return launcher
            launcher.close()
    return ForkLauncher()


def release(launcher: AbstractLauncher) -> None:
    """Takes a launcher without workers back; one fork server is kept warm for the next fit."""
    if isinstance(launcher, ForkLauncher) and launcher.usable:
        with _idle_lock:
            if not _idle:
                _idle.append(launcher)
                return
    launcher.close()
