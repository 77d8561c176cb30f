"""What a run leaves in experience: its task, its trials as they end, how it ended, and weights for tasks to come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from gstar.errors import StorageError, UsageError
from gstar.experience import Experience
from gstar.parts import read_parts
from gstar.task import Task
from gstar.trial import Trial

Array: TypeAlias = np.ndarray
T = TypeVar("T")


@dataclass(eq=False)
class Journal:
    """Is the run's way into experience; what cannot be written is told once, and the run goes on without.

    Args:
        experience: Where it is remembered.
        task: What the run is about.
        run: Identifier of the run in experience; empty while, or if, there is none.
        notes: What the user should know, one sentence each.
    """

    experience: Experience
    task: Task
    run: str = ""
    notes: list[str] = field(default_factory=list)
    _unwritten: list[Trial] = field(default_factory=list, init=False)
    _works: bool = field(default=True, init=False)

    def begin(self, features: Array, settings: Mapping[str, Any], trials: Sequence[Trial]) -> list[Trial]:
        """Opens the run; returns the trials that ended before the task was described, with its identifier.

        Args:
            features: ``(M,)`` meta-features of the task.
            settings: What the run was asked for.
            trials: They ended already.
        """
        self._try(lambda: self.experience.add_task(self.task, features))
        self.run = self._try(lambda: self.experience.start_run(self.task.fingerprint, settings)) or ""
        named = [replace(trial, run=self.run) for trial in trials]
        for trial in named:
            self.add(trial)
        self.write()
        return named

    def add(self, trial: Trial) -> None:
        """Takes note of a trial, to be written soon."""
        if self.run:
            self._unwritten.append(trial)

    def write(self) -> None:
        """Remembers the trials that ended; best called while workers are busy and need not wait for the disk."""
        trials, self._unwritten = self._unwritten, []
        if trials:
            self._try(lambda: self.experience.append(trials))

    def end(self, status: str, seconds: float, *, score: float | None = None, **summary: Any) -> None:
        """Closes the run.

        Args:
            status: How it ended.
            seconds: How long it took.
            score: Validation score of the model, higher is better; None if there is none.
            summary: What else is remembered, as JSON values.
        """
        self.write()
        if self.run:
            self._try(
                lambda: self.experience.finish_run(
                    self.run, status=status, score=score, seconds=seconds, summary=summary
                )
            )

    def keep_weights(self, trial: Trial) -> None:
        """Keeps the weights of a network, for tasks to come; of the first fold, as one is enough."""
        weights = self.experience.weights
        if self.run and weights is not None:
            parts = read_parts(Path(str(trial.extra["folder"])), 0)
            origin = Path(str(trial.extra["initial"])) if trial.strategy.init else None
            self._try(lambda: weights.keep(self.task, trial.strategy, parts, run=self.run, origin=origin))

    def _try(self, write: Callable[[], T]) -> T | None:
        if not self._works:
            return None
        try:
            return write()
        except (StorageError, UsageError) as error:
            self._works = False
            self.notes.append(f"This run is not fully remembered: {error}")
            return None
