"""How good predictions are. A score is higher-is-better, always.

Predictions have one form everywhere: ``(N, C)`` class probabilities, columns in the order
of the task's classes, or ``(N,)`` values for regression. Targets are ``(N,)`` class codes
0..C-1, or values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

import numpy as np

from gstar.errors import UnknownMetricError, UsageError, did_you_mean

Array: TypeAlias = np.ndarray


class TaskKind(StrEnum):
    """Is what the target asks for."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def is_classification(self) -> bool:
        """Tells whether predictions are class probabilities."""
        return self is not TaskKind.REGRESSION


CLASSIFICATION: Final = frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})
REGRESSION: Final = frozenset({TaskKind.REGRESSION})


@dataclass(frozen=True)
class Metric:
    """Scores predictions; higher is better.

    Args:
        name: The name users know, for example ``"rmse"``.
        function: ``(target (N,), prediction (N, C) or (N,), weights (N,) or None) -> float``.
        kinds: The kinds of task that it fits.
        sign: 1 if the published number is higher-is-better, -1 if lower.
        uses_probabilities: Whether it reads probabilities and not just the top class, so
            that calibration can change it.
        best: Best published value; infinite where there is none.
    """

    name: str
    function: Callable[[Array, Array, Array | None], float]
    kinds: frozenset[TaskKind]
    sign: int = 1
    uses_probabilities: bool = False
    best: float = float("inf")

    def score(self, target: Array, prediction: Array, weights: Array | None = None) -> float:
        """Returns the score, higher is better; NaN where it is not defined.

        Args:
            target: ``(N,)`` class codes or values.
            prediction: ``(N, C)`` probabilities or ``(N,)`` values.
            weights: ``(N,)`` row weights, or None.
        """
        return self.sign * float(self.function(target, prediction, weights))

    def published(self, score: float) -> float:
        """Turns a score back into the number that users know, for example rmse >= 0."""
        return self.sign * score


def _labels(prediction: Array) -> Array:
    return np.asarray(np.argmax(prediction, axis=1))


def _accuracy(y: Array, p: Array, w: Array | None) -> float:
    return float(np.average(_labels(p) == y, weights=w))


def _balanced_accuracy(y: Array, p: Array, w: Array | None) -> float:
    hit = (_labels(p) == y).astype(float)
    w = np.ones(len(y)) if w is None else w
    recalls = [np.average(hit[y == c], weights=w[y == c]) for c in np.unique(y)]
    return float(np.mean(recalls))


def _f1(y: Array, p: Array, w: Array | None) -> float:
    from sklearn.metrics import f1_score

    average = "binary" if p.shape[1] == 2 else "macro"
    return float(f1_score(y, _labels(p), average=average, sample_weight=w, zero_division=0.0))


def _log_loss(y: Array, p: Array, w: Array | None) -> float:
    eps = np.finfo(np.float32).eps
    q = np.clip(p, eps, None)
    q = q / q.sum(axis=1, keepdims=True)
    return float(np.average(-np.log(q[np.arange(len(y)), y.astype(int)]), weights=w))


def _auc(positive: Array, score: Array, w: Array | None) -> float:
    """Area under the ROC curve by ranks, ties counted half; NaN if one side is absent."""
    w = np.ones(len(score)) if w is None else np.asarray(w, float)
    order = np.argsort(score, kind="stable")
    s, pos, w = score[order], positive[order], w[order]
    start = np.flatnonzero(np.r_[True, s[1:] != s[:-1]])
    up = np.add.reduceat(w * pos, start)
    down = np.add.reduceat(w * ~pos, start)
    if up.sum() <= 0 or down.sum() <= 0:
        return float("nan")
    below = np.cumsum(down) - down
    return float(np.sum(up * (below + 0.5 * down)) / (up.sum() * down.sum()))


def _roc_auc(y: Array, p: Array, w: Array | None) -> float:
    if p.shape[1] == 2:
        return _auc(y == 1, p[:, 1], w)
    areas = [_auc(y == c, p[:, c], w) for c in range(p.shape[1])]
    present = [a for a in areas if np.isfinite(a)]
    return float(np.mean(present)) if present else float("nan")


def _rmse(y: Array, p: Array, w: Array | None) -> float:
    return float(np.sqrt(np.average((y - p) ** 2, weights=w)))


def _mae(y: Array, p: Array, w: Array | None) -> float:
    return float(np.average(np.abs(y - p), weights=w))


def _r2(y: Array, p: Array, w: Array | None) -> float:
    total = np.average((y - np.average(y, weights=w)) ** 2, weights=w)
    rest = np.average((y - p) ** 2, weights=w)
    return float(1 - rest / total) if total > 0 else float(rest == 0)


METRICS: Final[dict[str, Metric]] = {
    m.name: m
    for m in (
        Metric("roc_auc", _roc_auc, CLASSIFICATION, uses_probabilities=True, best=1.0),
        Metric("log_loss", _log_loss, CLASSIFICATION, sign=-1, uses_probabilities=True, best=0.0),
        Metric("accuracy", _accuracy, CLASSIFICATION, best=1.0),
        Metric("balanced_accuracy", _balanced_accuracy, CLASSIFICATION, best=1.0),
        Metric("f1", _f1, CLASSIFICATION, best=1.0),
        Metric("rmse", _rmse, REGRESSION, sign=-1, best=0.0),
        Metric("mae", _mae, REGRESSION, sign=-1, best=0.0),
        Metric("r2", _r2, REGRESSION, best=1.0),
    )
}

DEFAULT_METRIC: Final = {
    TaskKind.BINARY: "roc_auc",
    TaskKind.MULTICLASS: "log_loss",
    TaskKind.REGRESSION: "rmse",
}


def get_metric(metric: str | Metric | Callable[..., float] | None, kind: TaskKind) -> Metric:
    """Returns the metric by name, the default of the kind, or a wrapped function of the user's.

    Args:
        metric: A name, a `Metric`, None for the default, or a function ``(y_true, y_pred) ->
            float``, higher is better, that gets class codes and top classes, or values.
        kind: The kind of task.

    Raises:
        UnknownMetricError: If no metric has the name or it does not fit the kind.
        UsageError: If it is none of these.
    """
    if metric is None:
        return METRICS[DEFAULT_METRIC[kind]]
    if isinstance(metric, str):
        fitting = [name for name, m in METRICS.items() if kind in m.kinds]
        if metric not in METRICS:
            near = did_you_mean(metric, METRICS)
            raise UnknownMetricError(f"No metric {metric!r}; for {kind} tasks: {fitting}.{near}")
        metric = METRICS[metric]
    if isinstance(metric, Metric):
        if kind not in metric.kinds:
            fitting = [name for name, m in METRICS.items() if kind in m.kinds]
            raise UnknownMetricError(f"Metric {metric.name!r} does not fit a {kind} task; these do: {fitting}.")
        return metric
    if callable(metric):
        function = metric

        def wrapped(y: Array, p: Array, w: Array | None) -> float:
            return float(function(y, _labels(p) if p.ndim == 2 else p))

        return Metric(getattr(function, "__name__", "custom"), wrapped, frozenset({kind}))
    raise UsageError(f"Expected a metric's name, a Metric or a function, got {metric!r}.")
