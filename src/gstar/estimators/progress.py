"""Tells on stderr how a fit goes on, one line for each model that is better than all before."""

from __future__ import annotations

import sys

from gstar.events import Event
from gstar.metric import METRICS


class Progress:
    """Is a listener of a search that prints lines."""

    def __init__(self) -> None:
        self.best: float | None = None
        self.tried = 0

    def notify(self, event: Event) -> None:
        """Prints a line if the trial that ended is the best so far."""
        if event.kind != "trial_ended" or event.trial is None:
            return
        self.tried += 1
        if event.best_score is None or event.best_score == self.best:
            return
        self.best = event.best_score
        metric = METRICS.get(event.metric)
        score = self.best if metric is None else metric.published(self.best)
        left = f"{event.trials_left} trials" if event.seconds_left is None else f"{event.seconds_left:.1f} s"
        sys.stderr.write(
            f"[{left} left] {event.metric} {score:.4g} after {self.tried}: {event.trial.strategy.learner}\n"
        )
