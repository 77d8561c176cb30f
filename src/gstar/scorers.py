"""Scores many predictions of the same rows at once, for searches over combinations of models.

`Scorer.reduce` keeps of each prediction what the metric looks at, so that an average of
reduced predictions is the reduced average. Metrics of the user's own are scored one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from gstar.metric import METRICS, Metric

Array: TypeAlias = np.ndarray
_EPS: Final = np.finfo(np.float32).eps
_LEVELS: Final = 2**29


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores stacks of predictions by one metric.

    Args:
        metric: The metric.
        target: ``(V,)`` class codes or values.
        weights: ``(V,)`` row weights, or None.
    """

    metric: Metric
    target: Array
    weights: Array | None = None

    @property
    def is_fast(self) -> bool:
        """Whether a stack is scored at once and not model by model."""
        known = METRICS.get(self.metric.name) is self.metric
        return known and (self.weights is None or self.metric.name != "roc_auc")

    def take(self, rows: Array) -> Scorer:
        """Returns the scorer of these rows."""
        weights = None if self.weights is None else self.weights[rows]
        return replace(self, target=self.target[rows], weights=weights)

    def reduce(self, stack: Array) -> Array:
        """Returns of ``(M, V, C)`` or ``(M, V)`` predictions what `score` needs: ``(M, V)`` or ``(M, V, C)``."""
        if self.is_fast and self.metric.name == "log_loss":
            return np.asarray(stack[:, np.arange(len(self.target)), self.target.astype(int)], np.float32)
        if self.is_fast and self.metric.name == "roc_auc" and stack.shape[2] == 2:
            return np.asarray(stack[:, :, 1])
        return stack

    def score(self, stack: Array) -> Array:
        """Returns ``(M,)`` scores of reduced predictions, higher is better; -inf where not defined.

        Those of r2 are only in the same order.
        """
        if self.is_fast:
            scores = _AT_ONCE[self.metric.name](stack, self.target, self.weights)
        else:
            scores = np.array([self.metric.score(self.target, p, self.weights) for p in stack])
        return np.where(np.isfinite(scores), scores, -np.inf)


def _log_loss(stack: Array, target: Array, weights: Array | None) -> Array:
    return np.asarray(np.average(np.log(np.maximum(stack, _EPS)), axis=1, weights=weights), float)


def _rmse(stack: Array, target: Array, weights: Array | None) -> Array:
    return np.asarray(-np.sqrt(np.average((stack - target) ** 2, axis=1, weights=weights)))


def _mae(stack: Array, target: Array, weights: Array | None) -> Array:
    return np.asarray(-np.average(np.abs(stack - target), axis=1, weights=weights))


def _roc_auc(stack: Array, target: Array, weights: Array | None) -> Array:
    if stack.ndim == 2:
        return areas(stack, target == 1)
    each = np.stack([areas(stack[:, :, c], target == c) for c in np.unique(target)])
    return np.asarray(each.mean(axis=0))


def areas(stack: Array, positive: Array) -> Array:
    """Returns ``(M,)`` areas under the ROC curve of ``(M, V)`` probabilities, ties counted half.

    Whole numbers with the class in the last bit are sorted, much faster than positions. Ties
    across classes all count for the model then; where there are any, they also count against
    it once, and the mean of both is the area. NaN if one class is absent.
    """
    ups, downs = int(positive.sum()), int((~positive).sum())
    if not ups or not downs:
        return np.full(len(stack), np.nan)
    keys = (np.clip(stack, 0.0, 1.0) * _LEVELS).astype(np.int32) << 1
    places = np.arange(len(positive), dtype=float)
    ranked = np.sort(keys | positive, axis=1)
    sums = np.asarray((ranked & 1) @ places)
    tied = np.flatnonzero(((ranked[:, 1:] ^ ranked[:, :-1]) == 1).any(axis=1))
    if len(tied):
        against = (1 - (np.sort(keys[tied] | ~positive, axis=1) & 1)) @ places
        sums[tied] = (sums[tied] + against) / 2
    return np.asarray((sums - ups * (ups - 1) / 2) / (ups * downs))


def _confusion(stack: Array, target: Array, weights: Array | None) -> Array:
    """Returns ``(M, C, C)`` weight of the rows of each true class and each predicted one."""
    n_models, _, n_classes = stack.shape
    cell = (np.arange(n_models)[:, None] * n_classes + target.astype(int)) * n_classes + stack.argmax(axis=2)
    mass = None if weights is None else np.broadcast_to(weights, cell.shape).ravel()
    return np.bincount(cell.ravel(), mass, n_models * n_classes**2).reshape(n_models, n_classes, n_classes)


def _accuracy(stack: Array, target: Array, weights: Array | None) -> Array:
    return np.asarray(np.average(stack.argmax(axis=2) == target, axis=1, weights=weights))


def _balanced_accuracy(stack: Array, target: Array, weights: Array | None) -> Array:
    counts = _confusion(stack, target, weights)
    present = np.unique(target.astype(int))
    hits = np.diagonal(counts, axis1=1, axis2=2)[:, present]
    return np.asarray((hits / counts.sum(axis=2)[:, present]).mean(axis=1))


def _f1(stack: Array, target: Array, weights: Array | None) -> Array:
    counts = _confusion(stack, target, weights)
    hits = np.diagonal(counts, axis1=1, axis2=2)
    sizes = counts.sum(axis=1) + counts.sum(axis=2)
    scores = 2 * hits / np.maximum(sizes, _EPS)
    if stack.shape[2] == 2:
        return np.asarray(scores[:, 1])
    return np.asarray(
        np.average(scores, axis=1, weights=None) * stack.shape[2] / np.maximum((sizes > 0).sum(axis=1), 1)
    )


_AT_ONCE: Final[dict[str, Callable[[Array, Array, Array | None], Array]]] = {
    "log_loss": _log_loss,
    "roc_auc": _roc_auc,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _rmse,
}
