"""Runs jobs in this very process, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from gstar.executors.limits import OutOfMemoryError

P = ParamSpec("P")
T = TypeVar("T")


class SerialExecutor(Executor):
    """Runs each job inside `submit`. Nothing is limited: a hanging job hangs the caller.

    Example:
        >>> SerialExecutor().submit(sum, [1, 2]).result()
        3
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Runs the function now; its exception, if any, is in the future."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except MemoryError as error:
            future.set_exception(OutOfMemoryError(str(error) or "MemoryError"))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> Any:
        """Does nothing: there is nothing left to wait for."""
