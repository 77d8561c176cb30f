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

FEW_TRIALS: Final = 6
"""A search should afford about this many trials; folds are given up before that."""
SAVING_S: Final = 0.4
SAVING_SHARE: Final = 0.07
"""Time that a trial is kept from training for, so that it can predict and save before the budget is over."""
MANY_TRIALS: Final = 40
"""Folds are repeated if a search still affords about this many trials."""
FEW_ROWS: Final = 1500
"""Up to here there are more folds, and they may be repeated."""
MOST_REPEATS: Final = 4


@dataclass(frozen=True)
class Budget:
    """Is what may be spent: seconds, trials, or both.

    Args:
        started: Time by `time.monotonic` from which seconds count.
        seconds: How many, or None.
        trials: How many, or None.
    """

    started: float
    seconds: float | None
    trials: int | None

    @property
    def reserve_s(self) -> float:
        """Seconds kept back for the ensemble: a longer search leaves more models to choose from."""
        return 0.3 + min(2.0, 0.015 * (self.seconds or 0.0))

    @property
    def left_s(self) -> float | None:
        """Seconds left for trials, never negative; None without a limit."""
        if self.seconds is None:
            return None
        return max(0.0, self.started + self.seconds - self.reserve_s - time.monotonic())

    def allowance_s(self, predicted_cost_s: float) -> float | None:
        """Returns how long a trial may train: thrice what was predicted, or half of what is left.

        Some of what is left is for what comes after training: a model that is not saved in time is lost.
        """
        left_s = self.left_s
        if left_s is None:
            return None
        left_s = max(0.5 * left_s, (1 - SAVING_SHARE) * left_s - SAVING_S)
        if math.isfinite(predicted_cost_s):
            return min(left_s, max(1.0, 3.0 * predicted_cost_s))
        return min(left_s, max(1.0, 0.5 * left_s))

    @property
    def repeats(self) -> bool:
        """Whether the search must not depend on the clock."""
        return self.seconds is None


@dataclass(frozen=True)
class FoldPlan:
    """Is how rows are split into those that train and those that validate.

    Args:
        folds: Parts of the rows, each of which validates once; 1: hold-out.
        fraction: Share of the rows that a hold-out validates on.
        repeats: How often all of it is done again with other parts.
    """

    folds: int
    fraction: float
    repeats: int = 1


def fold_plan(task: Task, budget: Budget, learners: Mapping[str, AbstractLearner], n_workers: int) -> FoldPlan:
    """Chooses cross-validation where it can be afforded, else hold-out.

    Folds use every row for validation and average several models; they cost as many
    trainings. Where rows are few and time is not, they are repeated: luck in the validation
    averages out, and so do the models. The choice depends on the sizes and the budget alone, not on the clock.

    Args:
        task: The task.
        budget: What may be spent.
        learners: Those that may be used; the dearest quarter decides what a trial costs.
        n_workers: Trials side by side.
    """
    rows = len(task)
    fraction = float(np.clip(4000 / rows, 0.1, 0.2))
    if budget.seconds is None:
        return FoldPlan(5 if rows <= 5000 else 1, fraction)
    size = (rows, task.inputs.n_features, task.n_classes)
    costs = [learner.work(*size, learner.space.default()) for learner in learners.values()]
    trainings = budget.seconds * n_workers / float(np.quantile(costs, 0.75))
    for folds in (8, 5, 3):
        if folds == 8 and rows > FEW_ROWS:
            continue
        if folds * FEW_TRIALS <= trainings:
            most = MOST_REPEATS if rows <= FEW_ROWS and task.order is None else 1
            return FoldPlan(folds, fraction, int(np.clip(trainings / (folds * MANY_TRIALS), 1, most)))
    return FoldPlan(1, fraction)
