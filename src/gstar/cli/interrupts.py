"""What Ctrl-C and SIGTERM do during a fit: the first keeps the best model so far, the second ends all at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final

from gstar.cli.screen import say

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Handles signals while it is entered.

    Before and while models are tried, the first signal raises `KeyboardInterrupt`, which the
    search turns into a model of what it has. Later, when that model is being made and saved,
    it only sets the exit code, since little time is left. The second signal kills all workers
    and ends the process; neither experience nor the model file is half-written by that.
    """

    def __init__(self) -> None:
        self.received = 0
        self.searching: bool | None = None
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, 0 after neither."""
        return 128 + self.received if self.received else 0

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            _end_workers()
            os._exit(128 + number)
        self.received = number
        if self.searching is None:
            say("Interrupted before there was a model.")
        else:
            say("Interrupted: keeping the best model so far; once more to end at once.")
        if self.searching is not False:
            raise KeyboardInterrupt


def _end_workers() -> None:
    import psutil

    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
