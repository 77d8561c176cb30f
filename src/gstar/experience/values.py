"""What an experience tells about itself, besides trials and records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray


class ExperienceWarning(UserWarning):
    """Says that new trials are not kept, and why."""


@dataclass(frozen=True)
class Run:
    """Is one fit: the trials that share a budget.

    Args:
        id: 32 hexadecimal digits, unique in the world.
        task: Fingerprint of the task.
        task_name: What a person calls the task.
        settings: Budget, seed and the like.
        status: ``"running"``, ``"completed"``, ``"interrupted"``, ``"failed"``, or
            ``"abandoned"`` if its process ended without a word.
        score: Validation score of what came of it, or None.
        seconds: Wall-clock seconds it took, or None.
        summary: What else is worth keeping.
        created: Seconds since 1970-01-01 UTC when it began.
        trials: How many trials are recorded.
    """

    id: str
    task: str
    task_name: str
    settings: Mapping[str, Any]
    status: str
    score: float | None
    seconds: float | None
    summary: Mapping[str, Any]
    created: float
    trials: int


@dataclass(frozen=True, eq=False)
class PolicyVersion:
    """Is the meta-parameters of a policy at one time, with the evidence for them.

    Args:
        name: Name of the policy.
        version: Names these meta-parameters among those of the policy.
        weights: The meta-parameters, arrays by name.
        evidence: JSON values: what it was learned from and how it did on held-out tasks.
        accepted: Whether this is the version in use; at most one per name is.
        created: Seconds since 1970-01-01 UTC.
    """

    name: str
    version: str
    weights: Mapping[str, Array]
    evidence: Mapping[str, Any]
    accepted: bool
    created: float


@dataclass(frozen=True)
class ExperienceStatus:
    """Is what there is to say about the state of an experience.

    Args:
        place: Path or URL (without password), or ``"memory"``.
        mode: ``"on"``, ``"frozen"`` or ``"off"``.
        keeps: Whether new trials outlive this process.
        warning: Why they do not, if they should; else empty.
        size_bytes: Of the file; 0 in memory.
        schema: Version of the tables.
        journal_mode: How the file is kept whole, and `journal_reason` why so.
        tasks, strategies, trials, runs, policies: Counts.
        weights: Networks whose weights are kept, the bytes they take, and the bytes they may take.
        trials_in_memory: Further trials that end with this process.
        by_kind: Kind of task -> number of tasks.
        by_learner: Learner -> number of trials that completed, and of others.
    """

    place: str
    mode: str
    keeps: bool
    warning: str
    size_bytes: int
    schema: str
    journal_mode: str
    journal_reason: str
    tasks: int
    strategies: int
    trials: int
    runs: int
    policies: int
    weights: int = 0
    weights_bytes: int = 0
    weights_room: int = 0
    trials_in_memory: int = 0
    by_kind: Mapping[str, int] = field(default_factory=dict)
    by_learner: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
