"""What a training costs: predicted seconds, corrected by all that has been measured.

Each learner brings a rough guess of its seconds (`AbstractLearner.work`). The model adds, in
log space, what experience says of the learner and of the strategy, and what the trials of the
running history say of this machine: one that is twice as slow is known after a few trials.

    log seconds = log (work + overhead) + learner (offset + slopes . shape) + strategy        from records
                + machine + learner here + strategy here + noise                 from history

Every term is shrunk to zero, so that the guess rules where nothing is known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias

import numpy as np

from gstar.records import Records
from gstar.space import Configuration, Scalar, Space
from gstar.strategy import Strategy
from gstar.trial import Status, Trial

Array: TypeAlias = np.ndarray

MAX_CELLS: Final = 20_000
"""How many recorded costs are read at most; more would only cost time."""

OVERHEAD_S: Final = 0.05
"""What a training costs besides its work; shorter times are not told apart."""

_GOLDEN: Final = 0.5 * (5**0.5 - 1)
"""Multiples of it, less their whole part, fall evenly; equal steps could hit the same few strategies on every task."""
_NOISE_VAR: Final = 0.06
_CELL_VAR: Final = 0.25
_OFFSET_VAR: Final = 0.5
_SLOPE_VAR: Final = 0.04
_STRATEGY_VAR: Final = 0.15
_MACHINE_VAR: Final = 1.0
_HERE_VAR: Final = 0.1
_CELLS_PER_OFFSET: Final = 10.0


class LearnerFacts(Protocol):
    """Is what policies and costs need to know of a learner; every `AbstractLearner` fits."""

    @property
    def space(self) -> Space:
        """The configuration space."""

    @property
    def has_schedule(self) -> bool:
        """Whether it has a learning rate that a schedule can move."""

    @property
    def is_anytime(self) -> bool:
        """Whether a training that its deadline cuts short leaves a model that is nearly as good."""

    @property
    def handles_pace(self) -> bool:
        """Whether it trains by mini-batches, so that the order of the rows is part of a strategy."""

    @property
    def handles_initial(self) -> bool:
        """Whether it can begin with the weights of another model."""

    @property
    def default_schedule(self) -> Mapping[str, Scalar]:
        """Where its default schedule differs from that of the schedule's space."""

    def has_same_body(self, a: Mapping[str, Scalar], b: Mapping[str, Scalar]) -> bool:
        """Tells whether models of two configurations have weights of the same names and shapes, but for the last."""

    def with_body(self, configuration: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> Configuration:
        """Returns a configuration that has the same body as another, and is trained as before."""

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        """Returns a rough guess of the seconds one training takes on one core."""


def folds_of(fidelity: str) -> int:
    """Returns how many models a trial of this fidelity trains.

    Example:
        >>> folds_of("5-fold"), folds_of("holdout")
        (5, 1)
    """
    found = re.match(r"(\d+)-fold", fidelity)
    return max(1, int(found.group(1))) if found else 1


class CostModel:
    """Predicts the log-seconds of one training (one fold, one thread) of a strategy.

    Args:
        records: What was measured on other tasks.
        learners: Name to learner; strategies of other learners are priced like the average one.
    """

    def __init__(self, records: Records, learners: Mapping[str, LearnerFacts]) -> None:
        self.learners = dict(learners)
        self._names = sorted(self.learners)
        self._base: dict[tuple[str, tuple[int, int, int]], float] = {}
        self._weights = np.zeros((len(self._names), 4))  # offset, slopes by rows, features, classes
        self._cells = np.zeros(len(self._names))
        self._strategy_offset: dict[str, float] = {}
        self._everywhere = 0.0
        self._fit(records)

    def predict(
        self, strategies: Sequence[Strategy], shape: tuple[int, int, int], history: Sequence[Trial] = ()
    ) -> tuple[Array, Array]:
        """Returns the mean and the deviation of the log-seconds of one training.

        Args:
            strategies: P strategies.
            shape: Rows, features and classes of the task.
            history: Trials on that task on this machine. One that ran out of time is known to
                cost at least what it took, and corrects upwards only.

        Returns:
            Two arrays ``(P,)``.
        """
        mean = self._prior_mean(strategies, shape)
        variance = np.array([self._prior_variance(s.learner) for s in strategies])
        told, residual = self._residuals(history, shape)
        if told:
            known = self._covariance(told, told) + _NOISE_VAR * np.eye(len(told))
            cross = self._covariance(strategies, told)
            gain = np.linalg.solve(known, cross.T).T
            mean = mean + gain @ residual
            variance = np.maximum(variance - np.sum(gain * cross, axis=1), 0.0)
        return mean, np.sqrt(variance + _NOISE_VAR)

    def _fit(self, records: Records) -> None:
        rows, columns = np.nonzero(np.isfinite(records.costs))
        if not len(rows):
            return
        if len(rows) > MAX_CELLS:
            some = np.unique((np.arange(MAX_CELLS) * _GOLDEN % 1 * len(rows)).astype(int))
            rows, columns = rows[some], columns[some]
        index = {name: i for i, name in enumerate(self._names)}
        which = np.array([index.get(s.learner, -1) for s in records.strategies])
        known = which[columns] >= 0
        rows, columns = rows[known], columns[known]
        shapes = [(int(r), int(f), int(c)) for r, f, c in records.shapes]
        guess = np.array([self._log_work(records.strategies[p], shapes[t]) for t, p in zip(rows, columns, strict=True)])
        residual = np.log(np.maximum(records.costs[rows, columns], OVERHEAD_S)) - guess
        features = _shape_features(records.shapes)[rows]  # (cells, 4)
        self._fit_learners(which[columns], features, residual)
        residual = residual - self._everywhere - np.sum(features * self._weights[which[columns]], axis=1)
        counts = np.bincount(columns, minlength=len(records.strategies))
        sums = np.bincount(columns, residual, minlength=len(records.strategies))
        shrunk = sums / (counts + _CELL_VAR / _STRATEGY_VAR)
        self._strategy_offset = {s.hash: float(o) for s, o in zip(records.strategies, shrunk, strict=True)}

    def _fit_learners(self, which: Array, features: Array, residual: Array) -> None:
        """Solves one ridge for the offset shared by all and the weights of each learner."""
        n = len(self._names)
        prior = np.array([_OFFSET_VAR, _SLOPE_VAR, _SLOPE_VAR, _SLOPE_VAR])
        normal = np.diag(np.r_[1 / _OFFSET_VAR, np.tile(1 / prior, n)])
        right = np.zeros(1 + 4 * n)
        for i in range(n):
            block = np.r_[0, 1 + 4 * i : 5 + 4 * i]
            x = np.c_[np.ones(int(np.sum(which == i))), features[which == i]]
            normal[np.ix_(block, block)] += x.T @ x / _CELL_VAR
            right[block] += x.T @ residual[which == i] / _CELL_VAR
            self._cells[i] = len(x)
        solution = np.linalg.solve(normal, right)
        self._everywhere = float(solution[0])
        self._weights = solution[1:].reshape(n, 4)

    def _log_work(self, strategy: Strategy, shape: tuple[int, int, int]) -> float:
        key = (strategy.hash, shape)
        if key not in self._base:
            learner = self.learners.get(strategy.learner)
            rows = max(2, round(shape[0] * _row_share(strategy)))
            work = 1.0 if learner is None else learner.work(rows, shape[1], shape[2], strategy.configuration)
            self._base[key] = math.log(max(work, 0.0) + OVERHEAD_S)
        return self._base[key]

    def _prior_mean(self, strategies: Sequence[Strategy], shape: tuple[int, int, int]) -> Array:
        features = _shape_features(np.array([shape], float))[0]
        offset = dict(zip(self._names, self._everywhere + self._weights @ features, strict=True))
        return np.array(
            [
                self._log_work(s, shape)
                + offset.get(s.learner, self._everywhere)
                + self._strategy_offset.get(s.hash, 0)
                for s in strategies
            ]
        )

    def _prior_variance(self, learner: str) -> float:
        cells = self._cells[self._names.index(learner)] if learner in self.learners else 0.0
        return float(_MACHINE_VAR + _OFFSET_VAR / (1 + cells / _CELLS_PER_OFFSET) + 2 * _HERE_VAR)

    def _covariance(self, left: Sequence[Strategy], right: Sequence[Strategy]) -> Array:
        """Covariance of what is unknown of two lists of strategies on this machine."""
        names = {name: i for i, name in enumerate({s.learner: 0 for s in (*left, *right)})}
        a = np.array([names[s.learner] for s in left])
        b = np.array([names[s.learner] for s in right])
        own = np.array([self._prior_variance(name) - _MACHINE_VAR - _HERE_VAR for name in names])
        same = np.array([s.hash for s in left])[:, None] == np.array([s.hash for s in right])[None, :]
        return np.asarray(_MACHINE_VAR + own[a][:, None] * (a[:, None] == b[None, :]) + _HERE_VAR * same)

    def _residuals(self, history: Sequence[Trial], shape: tuple[int, int, int]) -> tuple[list[Strategy], Array]:
        timed = (Status.COMPLETED, Status.OUT_OF_TIME)
        measured = [t for t in history if t.cost_s > 0 and t.status in timed and t.strategy.learner in self.learners]
        if not measured:
            return [], np.empty(0)
        expected = self._prior_mean([t.strategy for t in measured], shape)
        log_cost = np.array([math.log(max(t.cost_s / folds_of(t.fidelity), OVERHEAD_S)) for t in measured])
        residual = log_cost - expected
        keep = [i for i, t in enumerate(measured) if t.completed or residual[i] > 0]
        return [measured[i].strategy for i in keep], residual[keep]


def _row_share(strategy: Strategy) -> float:
    kind = strategy.selection.get("kind", "all")
    share = strategy.selection.get(f"{kind}_fraction", 1.0)
    return float(share) if isinstance(share, int | float) else 1.0


def _shape_features(shapes: Array) -> Array:
    """Returns ``(T, 4)``: one, and the logs of rows, features, classes around typical values."""
    rows, features, classes = np.log(np.maximum(shapes, 1.0)).T
    return np.stack([np.ones(len(rows)), rows - math.log(2000), features - math.log(20), classes], axis=1)
