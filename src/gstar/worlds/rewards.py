"""What a score is worth: constants of each task, so that tasks with other metrics can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gstar.errors import DataError
from gstar.metric import Metric
from gstar.task import Task

Array: TypeAlias = np.ndarray


@dataclass(frozen=True)
class RewardScale:
    """Is two scores of a task: one that is worth 0 and one that is worth 1.

    Example:
        >>> RewardScale(zero=-2.0, one=0.0).reward(np.array([-1.0, -2.0])).tolist()
        [0.5, 0.0]
    """

    zero: float
    one: float

    def reward(self, scores: Array) -> Array:
        """Returns scores as rewards."""
        return np.asarray((scores - self.zero) / (self.one - self.zero))

    @staticmethod
    def of_task(task: Task, support: Array, query: Array) -> RewardScale:
        """Returns the scale on which a constant prediction is worth 0 and a perfect one 1.

        Args:
            task: The task.
            support: Rows from which the constant is taken: the shares of the classes, or the mean.
            query: Rows on which it is scored.

        Raises:
            DataError: If the metric cannot tell the two apart.
        """
        truth = task.target[query]
        if task.kind.is_classification:
            shares = np.bincount(task.target[support].astype(int), minlength=task.n_classes) / len(support)
            constant, perfect = np.tile(shares, (len(query), 1)), np.eye(task.n_classes)[truth.astype(int)]
        else:
            constant, perfect = np.full(len(query), task.target[support].mean()), truth
        return RewardScale.between(task.metric, truth, constant, perfect)

    @staticmethod
    def between(metric: Metric, truth: Array, constant: Array, perfect: Array) -> RewardScale:
        """Returns the scale from a constant prediction to a perfect one."""
        zero, one = metric.score(truth, constant), metric.score(truth, perfect)
        if not (np.isfinite(zero) and np.isfinite(one) and one > zero):
            raise DataError(
                f"Expected {metric.name} to score a perfect prediction above a constant one on the query rows, "
                f"got {one} and {zero}; take a task with more rows or classes, or another metric."
            )
        return RewardScale(zero, one)
