"""Combines models: greedy ensemble selection on validation predictions, bagged against luck.

Each bag sees a part of the rows and of the models, and adds, again and again, the model that
helps the average most; the weights are the mean over the bags. With few rows many bags
disagree, and their mean is close to a plain average of the good models: that is the guard.

References:
    Caruana, Niculescu-Mizil, Crew, Ksikes: Ensemble selection from libraries of models (2004),
    https://doi.org/10.1145/1015330.1015432

Differences from the paper: (1) bags draw rows too, not only models; (2) the best prefix is
kept per bag; (3) weights below `LEAST` are dropped, so that the ensemble stays small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from gstar.metric import METRICS, Metric

Array: TypeAlias = np.ndarray

MAX_ROWS: Final = 8_000
"""More validation rows are not looked at: they would cost time and decide nothing."""
BAG_ROWS: Final = 0.7
BAG_MODELS: Final = 0.7
LEAST: Final = 0.02
FEW_ROWS: Final = 100
"""With a smaller total weight of validation rows a selection would be luck: the best few are averaged."""
BEST_FEW: Final = 5


def select(
    predictions: Sequence[Array],
    target: Array,
    metric: Metric,
    *,
    weights: Array | None = None,
    seed: int = 0,
    steps: int = 40,
) -> Array:
    """Returns the weight of each model in the ensemble.

    Args:
        predictions: M validation predictions, ``(V, C)`` or ``(V,)`` each.
        target: ``(V,)`` class codes or values.
        metric: What the ensemble should be good at.
        weights: ``(V,)`` row weights, or None.
        seed: Seed of the bags.
        steps: How many models, with repetition, a bag adds at most.

    Returns:
        ``(M,)`` non-negative, summing to 1.
    """
    n_models, n_rows = len(predictions), len(target)
    if n_models == 1:
        return np.ones(1)
    rng = np.random.default_rng(seed)
    rows = np.arange(n_rows) if n_rows <= MAX_ROWS else np.sort(rng.choice(n_rows, MAX_ROWS, replace=False))
    stack = _reduce(np.stack([p[rows] for p in predictions]), target[rows], metric)
    scorer = _Scorer(metric, target[rows], None if weights is None else weights[rows])
    single = scorer.score(stack)
    best = int(np.argmax(single))
    if (n_rows if weights is None else weights.sum()) < FEW_ROWS:
        few = np.argsort(-single, kind="stable")[:BEST_FEW]
        return np.bincount(few, minlength=n_models) / len(few)
    total = np.zeros(n_models)
    n_bags = _n_bags(len(rows))
    for _ in range(n_bags):
        inside, models = np.arange(len(rows)), np.arange(n_models)
        if n_bags > 1:
            inside = np.flatnonzero(rng.random(len(rows)) < BAG_ROWS)
            chosen = rng.random(n_models) < BAG_MODELS
            chosen[best] = True
            models = np.flatnonzero(chosen)
        total[models] += _greedy(stack[np.ix_(models, inside)], scorer.take(inside), steps)
    total /= total.sum()
    total[total < min(LEAST, 0.5 * total.max())] = 0.0
    return np.asarray(total / total.sum())


def _n_bags(n_rows: int) -> int:
    """Few rows, many bags; each costs a whole selection."""
    return int(np.interp(np.log10(n_rows), [2, 3, 4], [24, 12, 4]))


@dataclass(frozen=True, eq=False)
class _Scorer:
    """Scores stacks of reduced predictions, one score per model."""

    metric: Metric
    target: Array
    weights: Array | None

    def take(self, rows: Array) -> _Scorer:
        return _Scorer(self.metric, self.target[rows], None if self.weights is None else self.weights[rows])

    def score(self, stack: Array) -> Array:
        """Returns ``(M,)`` scores of ``(M, V, ...)`` reduced predictions; -inf where not defined."""
        if self.metric is METRICS["log_loss"]:
            logs = np.log(np.clip(stack, np.finfo(np.float32).eps, None))
            return np.asarray(np.average(logs, axis=1, weights=self.weights))
        if self.metric is METRICS["rmse"]:
            return np.asarray(-np.sqrt(np.average((stack - self.target) ** 2, axis=1, weights=self.weights)))
        scores = np.array([self.metric.score(self.target, self._whole(p), self.weights) for p in stack])
        return np.where(np.isfinite(scores), scores, -np.inf)

    def _whole(self, prediction: Array) -> Array:
        """Undoes the reduction of binary probabilities to one column."""
        if prediction.ndim == 1 and self.metric is METRICS["roc_auc"]:
            return np.stack([1 - prediction, prediction], axis=1)
        return prediction


def _reduce(stack: Array, target: Array, metric: Metric) -> Array:
    """Keeps of ``(M, V, C)`` probabilities only what the metric looks at; averages stay averages."""
    if metric is METRICS["log_loss"]:
        return np.asarray(stack[:, np.arange(len(target)), target.astype(int)])
    if metric is METRICS["roc_auc"] and stack.shape[-1] == 2 and stack.ndim == 3:
        return np.asarray(stack[:, :, 1])
    return stack


def _greedy(stack: Array, scorer: _Scorer, steps: int) -> Array:
    """Returns ``(M,)`` weights of the best prefix of a greedy selection with replacement."""
    counts = np.zeros(len(stack))
    total = np.zeros_like(stack[0], float)
    best_score, best_counts = -np.inf, counts
    waited = 0
    for size in range(1, steps + 1):
        scores = scorer.score((total + stack) / size)
        chosen = int(np.argmax(scores))
        counts = counts.copy()
        counts[chosen] += 1
        total = total + stack[chosen]
        if scores[chosen] > best_score + 1e-12:
            best_score, best_counts, waited = float(scores[chosen]), counts, 0
        else:
            waited += 1
            if waited == 5:
                break
    if not best_counts.any():
        best_counts = np.ones(len(stack))
    return np.asarray(best_counts / best_counts.sum())
