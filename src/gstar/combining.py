"""What becomes of the trials of a run in the end: which are worth combining, and how much each weighs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from gstar.calibration import fit_temperature
from gstar.ensemble import select
from gstar.task import Task
from gstar.trial import Trial

Array: TypeAlias = np.ndarray

PER_LEARNER: Final = 2
"""Trials of one learner that may join an ensemble: more of a kind agree, in their luck above all."""


def worth_combining(completed: Sequence[Trial]) -> list[Trial]:
    """Returns the best few trials of each learner, best first, without those that a constant answer beats."""
    floor = next((t.score for t in completed if t.strategy.learner == "constant"), None)
    better = [t for t in completed if floor is None or (t.score or 0.0) > floor] or list(completed[:1])
    seen: Counter[str] = Counter()
    kept = []
    for trial in better:
        seen[trial.strategy.learner] += 1
        if seen[trial.strategy.learner] <= PER_LEARNER:
            kept.append(trial)
    return kept


def combine(
    task: Task, candidates: Sequence[Trial], target: Array, row_weights: Array | None, seed: int
) -> tuple[Array, float, float]:
    """Returns the weights of the candidates, the temperature, and the score of the ensemble."""
    predictions = [t.predictions for t in candidates if t.predictions is not None]
    weights = select(predictions, target, task.metric, weights=row_weights, seed=seed)
    blend = np.tensordot(weights, np.stack(predictions), axes=1)
    temperature = fit_temperature(blend, target, row_weights) if task.kind.is_classification else 1.0
    return weights, temperature, task.metric.score(target, blend, row_weights)
