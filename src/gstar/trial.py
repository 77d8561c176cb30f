"""What was proposed and what came of it. Experience is made of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np

from gstar.strategy import Strategy

Array: TypeAlias = np.ndarray


class Status(StrEnum):
    """Is how a trial ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    OUT_OF_TIME = "out_of_time"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"


@dataclass(frozen=True)
class Proposal:
    """Is a strategy before it is tried.

    `log_prob`, `policy` and `policy_version` let a stored trial be reused off-policy.

    Args:
        strategy: What to try.
        log_prob: Log-probability under the policy that proposed it, in its context.
        policy: Name of that policy.
        policy_version: Version of its meta-parameters.
        predicted_score: On the policy's own normalised scale, NaN if it predicts none.
        predicted_deviation: Its standard deviation on the same scale, NaN if none.
        predicted_cost_s: Seconds on this machine, NaN if it predicts none.
        reason: Why, in one sentence for the user; it may be remembered, so it names no other task.
        source: Whose weights it begins with, for the user: that names another task, which may be forgotten one day,
            so it is shown and never remembered.
    """

    strategy: Strategy
    log_prob: float
    policy: str
    policy_version: str = "0"
    predicted_score: float = float("nan")
    predicted_deviation: float = float("nan")
    predicted_cost_s: float = float("nan")
    reason: str = ""
    source: str = ""

    @property
    def why(self) -> str:
        """Why it was tried and what it begins with, or at least by which policy."""
        return "; ".join(filter(None, (self.reason, self.source))) or self.policy

    @property
    def remembered_reason(self) -> str:
        """Why it was tried, without the name of another task."""
        return "; ".join(filter(None, (self.reason, "weights of a similar task" if self.source else "")))


@dataclass(frozen=True, eq=False)
class Trial:
    """Is one strategy on one task, with one seed and one fidelity, and what came of it.

    Args:
        proposal: The strategy and who proposed it.
        task: Fingerprint of the task.
        status: How it ended.
        fidelity: ``"holdout"`` or ``"5-fold"`` and the like.
        seed: Seed of everything random in it.
        metric: Name of the metric.
        score: Validation score, higher is better; None unless completed.
        query_score: Score on query rows where there are such (collection, benchmarks).
        cost_s: Wall-clock seconds spent.
        cost_steps: Steps of the inner loop, all folds together.
        memory_mb: Peak resident memory of the worker, in MB.
        error: The cause, one line, if it did not complete.
        number: 0-based position in its run.
        run: Identifier of the run.
        versions: Library versions that mattered.
        predictions: ``(V, C)`` or ``(V,)`` predictions on the validation rows, kept in the
            run and never stored in experience.
    """

    proposal: Proposal
    task: str
    status: Status
    fidelity: str
    seed: int
    metric: str
    score: float | None = None
    query_score: float | None = None
    cost_s: float = 0.0
    cost_steps: int = 0
    memory_mb: float = 0.0
    error: str = ""
    number: int = 0
    run: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    predictions: Array | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def strategy(self) -> Strategy:
        """The strategy that was tried."""
        return self.proposal.strategy

    @property
    def completed(self) -> bool:
        """Tells whether there is a score."""
        return self.status is Status.COMPLETED
