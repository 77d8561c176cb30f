"""What may be spent on a search, and how it is shared out: among trials, and among folds."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from gstar.learner import AbstractLearner
from gstar.task import Task

FEW_TRIALS: Final = 8
"""A search should afford about this many trials; folds are given up before that."""


@dataclass(frozen=True)
class Budget:
    """Is what may be spent: seconds, trials, or both.

    Args:
        started: Time by `time.monotonic` from which seconds count.
        seconds: How many, or None.
        trials: How many, or None.
        reserve_s: Seconds kept back for the ensemble.
    """

    started: float
    seconds: float | None
    trials: int | None
    reserve_s: float = 0.3

    @property
    def left_s(self) -> float | None:
        """Seconds left for trials, never negative; None without a limit."""
        if self.seconds is None:
            return None
        return max(0.0, self.started + self.seconds - self.reserve_s - time.monotonic())

    def allowance_s(self, predicted_cost_s: float) -> float | None:
        """Returns how long a trial may train: thrice what was predicted, or half of what is left."""
        left_s = self.left_s
        if left_s is None:
            return None
        if math.isfinite(predicted_cost_s):
            return min(left_s, max(1.0, 3.0 * predicted_cost_s))
        return min(left_s, max(1.0, 0.5 * left_s))

    @property
    def repeats(self) -> bool:
        """Whether the search must not depend on the clock."""
        return self.seconds is None


def fold_plan(task: Task, budget: Budget, learners: Mapping[str, AbstractLearner], n_workers: int) -> tuple[int, float]:
    """Chooses cross-validation where it can be afforded, else hold-out.

    Folds use every row for validation and average several models; they cost as many
    trainings. The choice depends on the sizes and the budget alone, not on the clock.

    Args:
        task: The task.
        budget: What may be spent.
        learners: Those that may be used; the dearest half decides what a trial costs.
        n_workers: Trials side by side.

    Returns:
        The number of folds (1: hold-out) and the share of rows that a hold-out validates on.
    """
    rows = len(task)
    fraction = float(np.clip(4000 / rows, 0.1, 0.2))
    if budget.seconds is None:
        return (5 if rows <= 5000 else 1), fraction
    size = (rows, task.inputs.n_features, task.n_classes)
    costs = [learner.work(*size, learner.space.default()) for learner in learners.values()]
    trial_s = float(np.quantile(costs, 0.75))
    for folds in (8, 5, 3):
        if folds == 8 and rows > 1500:
            continue
        if folds * trial_s * FEW_TRIALS <= budget.seconds * n_workers:
            return folds, fraction
    return 1, fraction
