"""One training on its way: step, look at the validation rows, keep the best state; any number may branch from it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from gstar.control import GO_ON, POINTS, Decision, Observation
from gstar.errors import UsageError
from gstar.inputs import Inputs
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.metric import METRICS, Metric, TaskKind
from gstar.schedule import factors_at

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class Best:
    """Is the state that was best on the validation rows so far.

    Args:
        score: Its score there, higher is better.
        state: It.
        prediction: Its predictions there.
        progress: When it was.
    """

    score: float
    state: State
    prediction: Array
    progress: float


@dataclass(frozen=True)
class Rows:
    """Is what the targets tell before the training.

    Args:
        constant_loss: Loss on the validation rows of the best constant prediction of the support rows.
        imbalance: See `Observation`.
        n: Number of support rows.
        shares: ``(C,)`` of the classes among the support rows; empty for values.
        even: ``(V,)`` weights of the validation rows under which all their classes weigh the same, or None.
    """

    constant_loss: float
    imbalance: float
    n: int
    shares: Array
    even: Array | None

    @staticmethod
    def of(spec: TrainingSpec, metric: Metric, target: Array) -> Rows:
        """Looks at the targets."""
        assert spec.validation is not None
        valid = spec.validation[1]
        if not spec.kind.is_classification:
            loss = -metric.score(valid, np.full(len(valid), target.mean()))
            return Rows(loss, 0.0, len(target), np.empty(0), None)
        shares = np.bincount(target.astype(int), minlength=spec.n_classes) / len(target)
        there = shares[shares > 0]
        entropy = -float(np.sum(there * np.log(there)))
        loss = -metric.score(valid, np.tile(shares, (len(valid), 1)))
        even = 1.0 / np.bincount(valid.astype(int))[valid.astype(int)]
        return Rows(loss, 1.0 - entropy / max(np.log(len(there)), 1e-9), len(target), shares, even)


@dataclass(eq=False)
class Fitting:
    """Trains one model step by step and keeps the state that was best on the validation rows.

    It looks at the validation rows as often as the learner says, and ends when as many steps as
    its patience (or a fifth of the best number of steps, if more) brought nothing.

    Args:
        learner: What trains.
        spec: What it was told.
        target: ``(S,)`` targets of the support rows.
        metric: What early stopping watches.
        deadline: Time by `time.monotonic` after which it ends, or None.
        state: Where it stands.
        prediction: On the validation rows, at the last look.
        score: Of that.
        best: The best so far.
        ended: Whether more looks would change nothing.
        decisions: What was decided so far.
        mark: Progress, support loss and validation loss at the last decision, as shares of the constant's.
    """

    learner: AbstractLearner
    spec: TrainingSpec
    target: Array
    metric: Metric
    deadline: float | None
    state: Any
    prediction: Array | None = None
    score: float = float("nan")
    best: Best | None = None
    ended: bool = False
    decisions: tuple[Decision, ...] = ()
    mark: tuple[float, float, float] = (0.0, 1.0, 1.0)

    @staticmethod
    def start(
        learner: AbstractLearner,
        inputs: Inputs,
        target: Array,
        spec: TrainingSpec,
        *,
        loss: str,
        deadline: float | None = None,
    ) -> Fitting:
        """Prepares a training; nothing is trained yet."""
        return Fitting(learner, spec, target, METRICS[loss], deadline, learner.init(inputs, target, spec))

    def look(self) -> None:
        """Trains until the next look at the validation rows, and looks.

        Raises:
            FloatingPointError: If the first predictions of all are not finite.
        """
        assert self.spec.validation is not None
        learner, (valid_inputs, valid_target) = self.learner, self.spec.validation
        self.state = learner.step(self.state, learner.steps_to_check(self.state), self.deadline)
        prediction = learner.predict(self.state, valid_inputs)
        if not np.all(np.isfinite(prediction)):
            if self.best is None:
                raise FloatingPointError(f"predictions are not finite after {self.state.steps} steps")
            self.ended = True
            return
        self.prediction, self.score = prediction, self.metric.score(valid_target, prediction, self._weights)
        if self.best is None or self.score > self.best.score:
            self.best = Best(self.score, learner.snapshot(self.state), prediction, self.progress)
        waited = self.state.steps - self.best.state.steps
        in_vain = learner.patience is not None and waited > max(learner.patience, self.best.state.steps // 5)
        out_of_time = self.deadline is not None and time.monotonic() >= self.deadline
        self.ended = bool(self.state.done or out_of_time or in_vain)

    @property
    def progress(self) -> float:
        """How far it has come; 0 where the learner does not tell."""
        return float(self.state.progress) if self.learner.handles_control else 0.0

    @property
    def is_due(self) -> bool:
        """Whether a decision is to be taken now."""
        n = len(self.decisions)
        return not self.ended and self.learner.handles_control and n < len(POINTS) and self.progress >= POINTS[n]

    def decide(self, decision: Decision) -> None:
        """Changes how it goes on; points that have passed meanwhile are passed over."""
        skipped = sum(self.progress >= point for point in POINTS) - len(self.decisions) - 1
        self.mark = (self.progress, *self._losses)
        self.decisions += (decision, *(GO_ON,) * skipped)
        self.state = self.learner.adjust(
            self.state, rate_factor=decision.rate_factor, drop_share=decision.drop_share, balance=decision.balance
        )
        self.ended = self.ended or decision.stop
        if decision.balance and self.best is not None and self.spec.validation is not None:
            score = self.metric.score(self.spec.validation[1], self.best.prediction, self._weights)
            self.best = replace(self.best, score=score)

    def branch(self) -> Fitting:
        """Returns a training that goes on in the same way, whatever becomes of this one."""
        return replace(self, state=self.learner.snapshot(self.state))

    @cached_property
    def _rows(self) -> Rows:
        return Rows.of(self.spec, self.metric, self.target)

    @property
    def _weights(self) -> Array | None:
        return self._rows.even if any(d.balance for d in self.decisions) else None

    @property
    def _losses(self) -> tuple[float, float]:
        """Support and validation loss, as shares of that of a constant prediction."""
        constant = max(self._rows.constant_loss, 1e-9)
        support = self.state.support_loss
        if self.spec.kind.is_classification:
            return support / constant, -self.score / constant
        return (2 * support) ** 0.5, -self.score / constant  # networks train on half the squared error, standardised

    def observe(self) -> Observation:
        """Returns what a controller sees now.

        Raises:
            UsageError: If the learner cannot be controlled, or nothing was trained yet.
        """
        if self.best is None or self.prediction is None or not self.learner.handles_control:
            raise UsageError("Expected a training that has begun, of a learner that can be controlled.")
        (support, valid), progress = self._losses, self.progress
        before, support_before, valid_before = self.mark
        span = max(progress - before, 1e-3)
        left = factors_at(self.spec.schedule, np.linspace(progress, 1.0, 20))
        decided = float(np.prod([d.rate_factor for d in self.decisions]))
        return Observation(
            progress=progress,
            support_loss=support,
            valid_loss=valid,
            best_valid_loss=-self.best.score / max(self._rows.constant_loss, 1e-9),
            support_slope=_log_ratio(support, support_before) / span,
            valid_slope=_log_ratio(valid, valid_before) / span,
            waited=progress - self.best.progress,
            contradicted=self._contradicted(self.prediction),
            imbalance=self._rows.imbalance,
            is_regression=not self.spec.kind.is_classification,
            is_binary=self.spec.kind is TaskKind.BINARY,
            rate=decided * float(left[0]),
            rate_left=float(left.mean() / left[0]),
            rate_decided=decided,
            dropped=any(d.drop_share > 0 for d in self.decisions),
            balanced=any(d.balance for d in self.decisions),
            planned_steps=self.state.steps / max(progress, 1e-3),
            rows=self._rows.n,
        )

    def _contradicted(self, prediction: Array) -> float:
        assert self.spec.validation is not None
        if not self.spec.kind.is_classification:
            return 0.0
        target = self.spec.validation[1].astype(int)
        return float(np.mean(prediction[np.arange(len(target)), target] < 0.5 * self._rows.shares[target]))


def _log_ratio(now: float, before: float) -> float:
    return float(np.log(max(now, 1e-4) / max(before, 1e-4))) if np.isfinite(now) else 0.0
