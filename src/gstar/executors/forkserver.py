"""A small process that has the libraries loaded and forks workers on demand.

Started once by ``python -m gstar.executors.forkserver FD`` and kept for the life of the
parent, it makes a new worker in about 10 ms where a fresh interpreter needs seconds. It is
not the standard library's: that one imports the user's ``__main__`` again in each worker,
which runs a script without a main guard twice.

It runs no threads and nothing numerical itself, so that forking is safe. When the parent
goes away, its end of the socket closes; the server kills what still runs and leaves.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import sys
from collections.abc import Iterable
from multiprocessing.connection import Connection
from typing import Any

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
    "gstar.learners.lightgbm",
    "gstar.learners.xgboost",
    "gstar.learners.catboost",
)


def main(descriptor: int) -> None:
    """Serves fork requests until the parent's end of the socket closes."""
    from gstar.executors import child

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _load(PRELOAD)
    wake, wakened = os.pipe()
    os.set_blocking(wakened, False)
    signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    parent = Connection(descriptor)
    running: dict[int, int] = {}
    try:
        while True:
            ready, _, _ = select.select([descriptor, wake], [], [])
            if wake in ready:
                os.read(wake, 4096)
                _reap(parent, running)
            if descriptor in ready:
                number, request = parent.recv()
                _load(request["preload"])
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    os.close(descriptor)
                    child.run(request)
                running[pid] = number
                parent.send(("started", number, pid))
    except (EOFError, ConnectionError):
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
    os._exit(0)


def _load(modules: Iterable[str]) -> None:
    """Imports what is not there yet; what cannot be imported is left to the worker, which says why."""
    missing = [name for name in modules if name not in sys.modules]
    for module in missing:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    if missing:
        gc.collect()
        gc.freeze()


def _reap(parent: Connection[Any, Any], running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        number = running.pop(pid, None)
        if number is not None:
            parent.send(("ended", number, os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
