"""A small process that has the libraries loaded and forks workers on demand.

Started once by ``python -m gstar.executors.forkserver FD`` and kept for the life of the
parent, it makes a new worker in about 10 ms where a fresh interpreter needs seconds. It is
not the standard library's: that one imports the user's ``__main__`` again in each worker,
which runs a script without a main guard twice.

It runs no threads and nothing numerical itself, so that forking is safe. A worker says when its
result is written, so that nobody waits until the system has taken it down. When the parent goes
away, its end of the socket closes; the server kills what still runs and leaves.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from gstar.absent import absent

PRELOAD = (
    "numpy",
    "scipy.special",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.impute",
    "sklearn.linear_model",
    "sklearn.preprocessing",
    "gstar.lean_skops",
    "threadpoolctl",
    "gstar.inner",
    "gstar.encoding",
    "gstar.serialisation",
    "gstar.selection",
    "gstar.learners.linear",
    "gstar.learners.forest",
    "gstar.learners.neighbors",
    "gstar.learners.kernel",
    "gstar.learners.kernel_ridge",
    "gstar.learners.lightgbm",
    "gstar.learners.xgboost",
    "gstar.learners.catboost",
    "lightgbm",
    "xgboost",
    "catboost",
)
ABSENT = ("pyarrow", "polars")
"""What the others would load only because it is there. No learner needs them, and they start threads."""


@dataclass
class _Worker:
    """Is a forked process: the job it does, and the pipe on which it says that the result is written."""

    pid: int
    number: int
    line: int
    told: bool = False

    def hear(self, parent: Connection[Any, Any]) -> None:
        """Passes on that the result is written, and makes sure of the end of the worker and what it has started.

        A worker that dies before that closes its end without a word.
        """
        if os.read(self.line, 1):
            self.tell(parent, 0)
            self.kill()
        self.hang_up()

    def kill(self) -> None:
        """Ends the process and its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def tell(self, parent: Connection[Any, Any], code: int) -> None:
        """Says once that the job is over."""
        if not self.told:
            self.told = True
            parent.send(("ended", self.number, code))

    def hang_up(self) -> None:
        """Closes the pipe."""
        if self.line >= 0:
            os.close(self.line)
            self.line = -1


def main(descriptor: int) -> None:
    """Serves fork requests until the parent's end of the socket closes."""
    from gstar.executors import child

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with absent(*ABSENT):
        _load(PRELOAD)
    wake, wakened = os.pipe()
    os.set_blocking(wakened, False)
    signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    parent = Connection(descriptor)
    workers: dict[int, _Worker] = {}
    try:
        while True:
            lines = [worker.line for worker in workers.values() if worker.line >= 0]
            ready, _, _ = select.select([descriptor, wake, *lines], [], [])
            _hear(parent, workers.values(), ready)
            if wake in ready:
                os.read(wake, 4096)
                _reap(parent, workers)
            if descriptor in ready:
                number, request = parent.recv()
                _load(request["preload"])
                line, done = os.pipe()
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    os.close(descriptor)
                    child.run(request, done)
                os.close(done)
                workers[pid] = _Worker(pid, number, line)
                parent.send(("started", number, pid))
    except (EOFError, ConnectionError):
        for worker in workers.values():
            worker.kill()
    os._exit(0)


def _load(modules: Iterable[str]) -> None:
    """Imports what is not there yet; what cannot be imported is left to the worker, which says why."""
    missing = [name for name in modules if name not in sys.modules]
    for module in missing:
        with contextlib.suppress(Exception):  # such as OSError: libgomp is missing
            importlib.import_module(module)
    if missing:
        gc.collect()
        gc.freeze()


def _hear(parent: Connection[Any, Any], workers: Iterable[_Worker], ready: Collection[int]) -> None:
    for worker in workers:
        if worker.line in ready:
            worker.hear(parent)


def _reap(parent: Connection[Any, Any], workers: dict[int, _Worker]) -> None:
    while workers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        worker = workers.pop(pid, None)
        if worker is not None:
            worker.hang_up()
            worker.tell(parent, os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(int(sys.argv[1]))
