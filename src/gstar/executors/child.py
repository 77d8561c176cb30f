"""What happens inside a worker process, from its first instruction to its last.

The parent hears of the end from the fork server, at the latest when the operating system has ended
the process, and reads `result.json` from the job's folder: there is no pipe or lock that a killed
process could leave in a bad state.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from gstar.executors.limits import OutOfTimeError

RESULT = "result.json"
OUTPUT = "output.txt"


def run(request: dict[str, Any], done: int | None = None) -> None:
    """Runs one request to its end; never returns.

    Args:
        request: ``function`` as "module:name", pickled by reference only; ``argument``;
            ``folder`` for the result; ``limits``; ``path``, the parent's import path.
        done: A pipe that gets a byte as soon as the result is written: a process with all libraries
            in its memory takes some milliseconds to end.
    """
    code = 1
    try:
        _isolate(request)
        sys.path[:] = request["path"]
        module, _, name = request["function"].partition(":")
        function = getattr(importlib.import_module(module), name)
        _finish(request["folder"], {"value": function(request["argument"])})
        code = 0
    except MemoryError as error:
        _finish(request["folder"], {"memory": str(error) or "MemoryError"})
    except OutOfTimeError as error:
        _finish(request["folder"], {"time": str(error)})
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        exits = isinstance(error, SystemExit | KeyboardInterrupt)
        _finish(request["folder"], {"crash" if exits else "error": text})
    finally:
        if done is not None and (Path(request["folder"]) / RESULT).exists():  # a full disk, for one, has no room for it
            with contextlib.suppress(OSError):
                os.write(done, b"1")
        os._exit(code)


def _finish(folder: str, result: dict[str, Any]) -> None:
    partial = Path(folder) / f"{RESULT}.part"
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.rename(Path(folder) / RESULT)


def _isolate(request: dict[str, Any]) -> None:
    """Leaves the parent's process group, terminal and output; sets the limits."""
    with contextlib.suppress(OSError):
        os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    _die_with_parent()
    output = os.open(Path(request["folder"]) / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    faulthandler.enable(file=2)
    _limit_memory(request["limits"].memory_mb)
    _limit_threads(request["limits"].threads)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        import ctypes

        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def _limit_memory(memory_mb: float | None) -> None:
    """Bounds the address space: what an idle worker has, and the allowance on top."""
    if memory_mb is None or sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + int((memory_mb + 256) * 2**20)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _limit_threads(threads: int) -> None:
    if threads == 1 and os.environ.get("OMP_NUM_THREADS") == "1":
        return  # the fork server has set every library to one thread before it loaded it
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    os.environ["OMP_NUM_THREADS"] = os.environ["LOKY_MAX_CPU_COUNT"] = str(threads)
