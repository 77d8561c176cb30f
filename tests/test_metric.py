"""Metrics agree with scikit-learn's, and higher is always better."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from gstar.errors import UnknownMetricError, UsageError
from gstar.metric import METRICS, TaskKind, get_metric

REFERENCE = {
    "accuracy": lambda y, p, w: reference.accuracy_score(y, p.argmax(1), sample_weight=w),
    "balanced_accuracy": lambda y, p, w: reference.balanced_accuracy_score(y, p.argmax(1), sample_weight=w),
    "log_loss": lambda y, p, w: -reference.log_loss(y, p, sample_weight=w, labels=range(p.shape[1])),
    "rmse": lambda y, p, w: -reference.root_mean_squared_error(y, p, sample_weight=w),
    "mae": lambda y, p, w: -reference.mean_absolute_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: reference.r2_score(y, p, sample_weight=w),
}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.booleans(), st.sampled_from(sorted(METRICS)))
def test_scores_equal_scikit_learns(seed, n_classes, weighted, name):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, 40)])
    p = np.round(rng.dirichlet(np.ones(n_classes), len(y)), 2) + 1e-3
    p /= p.sum(1, keepdims=True)
    w = rng.random(len(y)) + 0.1 if weighted else None
    metric = METRICS[name]
    if TaskKind.REGRESSION in metric.kinds:
        y, p = rng.normal(size=50), rng.normal(size=50)
        w = rng.random(50) if weighted else None
    if name == "roc_auc":
        binary = n_classes == 2
        expected = (
            reference.roc_auc_score(y, p[:, 1], sample_weight=w)
            if binary
            else np.mean([reference.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(n_classes)])
        )
    elif name == "f1":
        average = "binary" if n_classes == 2 else "macro"
        expected = reference.f1_score(y, p.argmax(1), average=average, sample_weight=w, zero_division=0.0)
    else:
        expected = REFERENCE[name](y, p, w)
    assert metric.score(y, p, w) == pytest.approx(expected, abs=1e-6)


def test_a_perfect_prediction_is_never_worse_than_a_bad_one():
    for metric in METRICS.values():
        if TaskKind.BINARY in metric.kinds:
            y = np.array([0, 1, 1, 0])
            good, bad = np.eye(2)[y], np.eye(2)[1 - y]
        else:
            y = np.array([0.0, 1.0, 2.0])
            good, bad = y, -y
        assert metric.score(y, good) > metric.score(y, bad)
        assert metric.published(metric.score(y, good)) == pytest.approx(metric.best, abs=1e-6)


def test_auc_is_not_defined_with_one_class():
    assert np.isnan(METRICS["roc_auc"].score(np.zeros(3, int), np.full((3, 2), 0.5)))


def test_log_loss_of_a_sure_mistake_is_finite():
    assert np.isfinite(METRICS["log_loss"].score(np.array([0]), np.array([[0.0, 1.0]])))


def test_get_metric_by_default_name_value_and_function():
    assert get_metric(None, TaskKind.BINARY).name == "roc_auc"
    assert get_metric(None, TaskKind.MULTICLASS).name == "log_loss"
    assert get_metric("mae", TaskKind.REGRESSION) is METRICS["mae"]
    assert get_metric(METRICS["r2"], TaskKind.REGRESSION) is METRICS["r2"]

    def hits(y, labels):
        return float(np.mean(y == labels))

    metric = get_metric(hits, TaskKind.BINARY)
    assert metric.name == "hits"
    assert metric.score(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]])) == 0.5


@pytest.mark.parametrize(
    ("metric", "kind", "error", "match"),
    [
        ("rocauc", TaskKind.BINARY, UnknownMetricError, "Did you mean 'roc_auc'"),
        ("rmse", TaskKind.BINARY, UnknownMetricError, "does not fit a binary task"),
        (3, TaskKind.BINARY, UsageError, "Expected a metric's name"),
    ],
)
def test_wrong_metrics_are_refused(metric, kind, error, match):
    with pytest.raises(error, match=match):
        get_metric(metric, kind)
