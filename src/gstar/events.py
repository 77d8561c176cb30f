"""What a search tells those who watch it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gstar.trial import Trial


@dataclass(frozen=True)
class Event:
    """Is what a display is told.

    Args:
        kind: ``"started"``, ``"trial_started"``, ``"trial_ended"``, ``"waiting"``,
            ``"ensembling"`` or ``"done"``.
        seconds_left: Of the budget; None if the budget is a number of trials.
        trials_left: Of the budget; None if the budget is in seconds.
        best_score: Best validation score of a single trial so far, or None.
        metric: Name of the metric.
        running: Descriptions of the trials on their way.
        trial: The trial that ended, if one did.
        message: One line for the user, or empty.
    """

    kind: str
    seconds_left: float | None
    trials_left: int | None
    best_score: float | None
    metric: str
    running: tuple[str, ...]
    trial: Trial | None = None
    message: str = ""


class Listener(Protocol):
    """Is anything that wants to know how a search goes on."""

    def notify(self, event: Event) -> None:
        """Is called in the thread of the search; must be quick."""
