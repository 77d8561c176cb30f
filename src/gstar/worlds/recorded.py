"""A world that remembers: every trial is a cell of a table of tasks x strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from gstar.distribution import CandidateDistribution, TreeDistribution
from gstar.errors import DataError
from gstar.gradients import Draws
from gstar.records import Records
from gstar.space import Categorical, Space
from gstar.strategy import Strategy
from gstar.world import AbstractWorld, DrawnTasks, Outcomes

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class RecordedWorld(AbstractWorld):
    """Answers from a table. Only recorded strategies can be drawn: g is cut to them, see `distribution`.

    Args:
        contexts: ``(T, X)`` one row per task.
        strategies: P strategies.
        scores: ``(T, P)``, higher is better, NaN where a trial failed or was never made.
        costs_s: ``(T, P)`` seconds.
        zero: ``(T,)`` scores that are worth 0.
        one: ``(T,)`` scores that are worth 1.
        valid: ``(T, P)`` scores on validation rows, by which the best of several is chosen, or None.
    """

    contexts: Array
    strategies: Sequence[Strategy]
    scores: Array
    costs_s: Array
    zero: Array
    one: Array
    valid: Array | None = None

    def __post_init__(self) -> None:
        if not len(self.contexts) or not len(self.strategies):
            raise DataError("Expected records of at least one task and one strategy, got none.")

    @staticmethod
    def of(records: Records, contexts: Array) -> RecordedWorld:
        """Builds the world of records: a task's median score is worth 0, its best one 1.

        Tasks on which fewer than two different scores are known teach nothing and are left out.
        """
        low = np.array([np.nanmedian(row) if np.isfinite(row).any() else np.nan for row in records.scores])
        high = np.array([np.nanmax(row) if np.isfinite(row).any() else np.nan for row in records.scores])
        rows = np.flatnonzero(high > low)
        return RecordedWorld(
            contexts[rows], records.strategies, records.scores[rows], records.costs[rows], low[rows], high[rows]
        )

    @property
    def context_size(self) -> int:  # type: ignore[override]
        """X."""
        return int(self.contexts.shape[1])

    def distribution(self, space: Space | None = None, *, hidden: int = 0) -> CandidateDistribution:
        """Returns g over the recorded strategies; before it has learned, all have the same probability.

        Args:
            space: A strategy space that holds them all: what g learns of one strategy it believes of those like
                it. None: g learns each one by itself.
            hidden: Width of the network that reads the context; 0: linear.
        """
        names = tuple(s.hash for s in self.strategies)
        tree = TreeDistribution(
            space or Space({"strategy": Categorical(names)}), context_size=self.context_size, hidden=hidden
        )
        points = tree.points([s.to_point(space) if space else {"strategy": s.hash} for s in self.strategies])
        start = tree.start(np.random.default_rng(0))
        return CandidateDistribution(points, tree, -np.asarray(tree.log_prob(start, tree.no_context, points)))

    def take(self, rows: Array) -> RecordedWorld:
        """Returns the world with these tasks only."""
        names = ("contexts", "scores", "costs_s", "zero", "one", "valid")
        cut = {name: array[rows] for name in names if (array := getattr(self, name)) is not None}
        return replace(self, **cut)

    def draw(self, n: int, rng: np.random.Generator, *, iteration: int) -> DrawnTasks:
        rows = rng.integers(len(self.contexts), size=n)
        return DrawnTasks(self.contexts[rows], rows.tolist())

    def train(self, tasks: DrawnTasks, draws: Draws, *, seed: int) -> Outcomes:
        columns = draws.points.index.reshape(len(tasks), -1)
        rows = np.asarray(tasks.items)[:, None]
        valid = None if self.valid is None else self.valid[rows, columns]
        return Outcomes(self.scores[rows, columns], self.costs_s[rows, columns], valid=valid)

    def reward(self, tasks: DrawnTasks, scores: Array) -> Array:
        rows = np.asarray(tasks.items)
        zero, one = self.zero[rows, None], self.one[rows, None]
        return np.asarray((scores - zero) / (one - zero))
