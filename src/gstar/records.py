"""The table that policies learn from: tasks x strategies, aggregated from stored trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gstar.metric import TaskKind
from gstar.strategy import Strategy

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class Records:
    """Is what is known of P strategies on T tasks of one kind, with the same metric.

    Args:
        kind: Kind of all the tasks.
        tasks: T fingerprints.
        families: T names; tasks of one family must stay on one side of any split.
        shapes: ``(T, 3)`` float64 rows, features, classes.
        meta_features: ``(T, M)`` in the order of `gstar.metafeatures.NAMES`.
        strategies: P strategies.
        scores: ``(T, P)`` mean validation score, higher is better, NaN where none completed.
        costs: ``(T, P)`` mean seconds of one training (cost / folds), NaN where none completed.
        counts: ``(T, P)`` completed trials.
        failures: ``(T, P)`` trials that ended otherwise.
    """

    kind: TaskKind
    tasks: tuple[str, ...]
    families: tuple[str, ...]
    shapes: Array
    meta_features: Array
    strategies: tuple[Strategy, ...]
    scores: Array
    costs: Array
    counts: Array
    failures: Array

    def __len__(self) -> int:
        return len(self.tasks)

    @staticmethod
    def empty(kind: TaskKind, n_meta_features: int) -> Records:
        """Returns the records of a machine that has not tried anything yet."""
        none = np.empty((0, 0))
        return Records(kind, (), (), np.empty((0, 3)), np.empty((0, n_meta_features)), (), none, none, none, none)

    def without(self, *, tasks: frozenset[str] = frozenset(), families: frozenset[str] = frozenset()) -> Records:
        """Returns the records without these tasks and without all tasks of these families."""
        keep = np.array(
            [t not in tasks and f not in families for t, f in zip(self.tasks, self.families, strict=True)], bool
        )
        rows = np.flatnonzero(keep)
        return Records(
            self.kind,
            tuple(self.tasks[i] for i in rows),
            tuple(self.families[i] for i in rows),
            self.shapes[rows],
            self.meta_features[rows],
            self.strategies,
            self.scores[rows],
            self.costs[rows],
            self.counts[rows],
            self.failures[rows],
        )
