"""The outer plug-in: context -> distribution over strategies.

Random, portfolio, surrogate and policy gradient are all the same pair of methods: `ask`
for proposals, `tell` what came of them. A policy is a function of the history it is shown,
so that a restart needs no saved optimiser; what it has learned across tasks (its
meta-parameters) is given when it is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np

from gstar.metric import TaskKind
from gstar.strategy import Strategy
from gstar.trial import Proposal, Trial

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class Context:
    """Is what a policy sees before it proposes: the task, the past on it, the means left.

    Args:
        task: Fingerprint of the task.
        kind: Kind of task.
        form: ``"table"``, ``"images"`` or ``"sequences"``.
        metric: Name of the metric.
        n_rows, n_features, n_classes: Size of the support rows (C = 0 for regression).
        meta_features: ``(M,)`` in the order of `gstar.metafeatures.NAMES`, always finite.
        learners: Names of the learners that may be proposed here.
        history: Trials on this task so far, oldest first.
        pending: Strategies that are running and whose score is not known yet.
        budget_left_s: Seconds left, or None if the budget is a number of trials.
        trials_left: Trials left, or None if the budget is in seconds.
        folds: How many models one trial trains (1 for hold-out).
        cores: Cores that trials share.
        has_order: Whether rows have a known order.
        initial: Strategies that begin with the weights of a similar task, the most similar first; others that
            do so make no sense here.
    """

    task: str
    kind: TaskKind
    form: str
    metric: str
    n_rows: int
    n_features: int
    n_classes: int
    meta_features: Array
    learners: tuple[str, ...]
    history: tuple[Trial, ...] = ()
    pending: tuple[Strategy, ...] = ()
    budget_left_s: float | None = None
    trials_left: int | None = None
    folds: int = 1
    cores: int = 1
    has_order: bool = False
    initial: tuple[Strategy, ...] = ()
    extra: Mapping[str, float] = field(default_factory=dict)


class AbstractPolicy(ABC):
    """Proposes strategies for contexts, and learns from trials."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def version(self) -> str:
        """Names the meta-parameters, so that a stored log-probability can be understood."""

    @abstractmethod
    def ask(self, contexts: Sequence[Context], rng: np.random.Generator) -> list[Proposal | None]:
        """Returns one proposal per context; None means STOP: nothing is worth its time.

        A proposal names a learner among `context.learners`, and neither a strategy of the
        history nor one that is pending.
        """

    @abstractmethod
    def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
        """Learns from finished trials; returns statistics by name (empty if it learns nothing)."""
