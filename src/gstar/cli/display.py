"""What a person sees while a fit runs: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from gstar.cli.screen import console, say
from gstar.cli.text import clean, duration, number, published

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

    from gstar.events import Event
    from gstar.trial import Status, Trial

RECENT: Final = 5
"""The live view shows so many of the last trials."""


def is_cut_short(trial: Trial) -> bool:
    """Tells whether a trial was still running when the search ended; that is no failure of its own."""
    return trial.status.value == "out_of_time" and trial.error.startswith("stopped:")


class Display(Protocol):
    """Is anything that shows how a search goes on; it is entered before and left after."""

    def notify(self, event: Event) -> None:
        """Shows an event."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def display(*, quiet: bool, verbose: bool) -> Display:
    """Returns the display that fits where stderr goes."""
    if quiet:
        return Silence()
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
    return LiveView() if is_terminal and not verbose else PlainLines(verbose=verbose)


class _Shown:
    """Is entered and left without doing anything."""

    def __enter__(self) -> _Shown:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def notify(self, event: Event) -> None:
        """Shows nothing."""


class Silence(_Shown):
    """Shows nothing."""


class PlainLines(_Shown):
    """Prints a line for each model that is better than all before, and for each kind of failure once.

    Args:
        verbose: Whether to print a line for every trial, with its configuration and reason.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self.best: float | None = None
        self.failures: set[tuple[str, Status]] = set()
        self.tried = 0

    def notify(self, event: Event) -> None:
        """Prints what is new."""
        if event.message:
            say(event.message)
        if event.kind == "ensembling":
            say(f"{_left(event)}combining the best of {self.tried} models")
        if event.trial is None or event.kind != "trial_ended" or is_cut_short(event.trial):
            return
        self.tried += 1
        is_best = event.best_score is not None and (self.best is None or event.best_score > self.best)
        self.best = event.best_score
        cause = (event.trial.strategy.learner, event.trial.status)
        is_news = is_best if event.trial.completed else cause not in self.failures
        self.failures |= set() if event.trial.completed else {cause}
        if is_news or self.verbose:
            say(f"{_left(event)}{_describe(event, verbose=self.verbose)}{'  best so far' if is_best else ''}")


class LiveView(_Shown):
    """Keeps a few lines up to date: time left, best score, what runs, what ended, what failed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.event: Event | None = None
        self.seen_at = 0.0
        self.tried = 0
        self.failures: Counter[tuple[str, str]] = Counter()
        self.recent: list[str] = []
        self.live: Live | None = None

    def __enter__(self) -> LiveView:
        from rich.live import Live

        self.live = Live(get_renderable=self.view, console=console(stderr=True), transient=True, refresh_per_second=4)
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def notify(self, event: Event) -> None:
        """Remembers what to show; the view is drawn a few times a second."""
        self.event, self.seen_at = event, self.clock()
        if event.trial is None or event.kind != "trial_ended" or is_cut_short(event.trial):
            return
        self.tried += 1
        if not event.trial.completed:
            self.failures[event.trial.strategy.learner, event.trial.status.value.replace("_", " ")] += 1
        self.recent = [*self.recent, _describe(event)][-RECENT:]

    def view(self) -> Group:
        """Returns what to draw now."""
        from rich.console import Group
        from rich.text import Text

        if self.event is None:
            return Group(Text("reading the data"))
        failed = ", ".join(f"{n} x {learner} {status}" for (learner, status), n in self.failures.items())
        running = ", ".join(self.event.running) or ("combining models" if self.event.kind == "ensembling" else "-")
        facts = {
            "left": self.left(),
            "best": f"{self.event.metric} {number(published(self.event.metric, self.event.best_score))}",
            "tried": str(self.tried),
            "running": running,
            "failed": failed or "none",
        }
        lines = [Text.assemble((f"{name:<8}", "bold"), clean(value, 100)) for name, value in facts.items()]
        lines += [Text(f"        {line}", style="dim") for line in self.recent]
        return Group(*lines)

    def left(self) -> str:
        """Returns what is left of the budget now, not when the last event came."""
        assert self.event is not None
        if self.event.seconds_left is not None:
            left_s = max(0.0, self.event.seconds_left - (self.clock() - self.seen_at))
            return duration(left_s) if left_s >= 60 else f"{left_s:.0f} s"
        return f"{self.event.trials_left} trials"


def _left(event: Event) -> str:
    if event.seconds_left is not None:
        return f"{event.seconds_left:5.0f} s left  "
    return f"{event.trials_left:3} trials left  "


def _describe(event: Event, *, verbose: bool = False) -> str:
    trial = event.trial
    assert trial is not None
    what = trial.strategy.describe() if verbose else trial.strategy.learner
    status = trial.status.value.replace("_", " ")
    score = f"{event.metric} {number(published(event.metric, trial.score))}" if trial.completed else status
    why = f"  {trial.error or trial.proposal.why}" if verbose or not trial.completed else ""
    return clean(f"{what}  {score}  {duration(trial.cost_s)}{why}", 0 if verbose else 100)
