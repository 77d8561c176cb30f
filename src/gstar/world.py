"""Where the outer loop gets its tasks from, and where trials happen: trained now, or remembered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np

from gstar.gradients import Draws

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class DrawnTasks:
    """Is T tasks for one iteration of the outer loop.

    Args:
        contexts: ``(T, X)`` what g sees of them, standardised.
        items: What the world needs to train on them; one per task.
    """

    contexts: Array
    items: Sequence[Any]

    def __len__(self) -> int:
        return len(self.contexts)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Is what came of n strategies on each of T tasks.

    Args:
        scores: ``(T, n)``, higher is better, NaN where a trial did not complete.
        costs_s: ``(T, n)`` seconds spent.
        causes: Why trials failed, each cause once.
        valid: ``(T, n)`` scores on validation rows, by which the best of several is chosen, or None.
    """

    scores: Array
    costs_s: Array
    causes: tuple[str, ...] = field(default=())
    valid: Array | None = None


class AbstractWorld(ABC):
    """Draws tasks, trains models on them, and says what a score is worth.

    `run_outer` cannot tell a world that trains now from one that remembers.
    """

    context_size: int
    """X, the number of values in a context; 0: tasks look all alike."""
    failed_reward: ClassVar[float] = -1.0
    """What a trial is worth that failed or ran out of time, and the least that any trial is worth."""

    @abstractmethod
    def draw(self, n: int, rng: np.random.Generator, *, iteration: int) -> DrawnTasks:
        """Draws n tasks.

        Args:
            n: How many.
            rng: Draws them.
            iteration: Of the outer loop, for worlds that drift.
        """

    @abstractmethod
    def train(self, tasks: DrawnTasks, draws: Draws, *, seed: int) -> Outcomes:
        """Trains one model for each of ``T * n`` strategies, the n of a task together, and scores them.

        Args:
            tasks: T tasks.
            draws: The strategies, in `draws.points`, and the log-probabilities to remember them with.
            seed: Seed of everything random; strategies of one task share what can be shared.
        """

    def begin(self, tasks: DrawnTasks, draws: Draws, *, seed: int) -> Callable[[], Outcomes]:
        """Begins what `train` does, and returns what waits for its outcomes.

        Here nothing happens until it is asked for. A world whose trials run elsewhere starts them now: the one method
        that may be implemented anew, so that all other worlds need not know of it.
        """
        return lambda: self.train(tasks, draws, seed=seed)

    @abstractmethod
    def reward(self, tasks: DrawnTasks, scores: Array) -> Array:
        """Turns ``(T, n)`` scores into rewards by constants of each task; NaN stays NaN."""

    def rewards(self, tasks: DrawnTasks, outcomes: Outcomes) -> Array:
        """Returns ``(T, n)`` finite rewards: failed trials, and scores below that, are worth `failed_reward`."""
        rewards = self.reward(tasks, outcomes.scores)
        return np.maximum(np.where(np.isfinite(rewards), rewards, self.failed_reward), self.failed_reward)
