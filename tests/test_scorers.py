"""What is scored at once must be what the metric says of each prediction alone."""

from __future__ import annotations

import numpy as np
import pytest

from gstar.metric import METRICS, TaskKind, get_metric
from gstar.scorers import Scorer, areas

NAMES = sorted(METRICS)


def task(name: str, n_classes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of five models with many ties, and the target."""
    if name in ("rmse", "mae", "r2"):
        y = rng.normal(size=150)
        return y + rng.normal(size=(5, 150)), y
    stack = rng.integers(1, 6, (5, 150, n_classes)).astype(float)
    return stack / stack.sum(axis=2, keepdims=True), rng.integers(0, n_classes, 150)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_metric(name, n_classes, weighted):
    rng = np.random.default_rng(1)
    stack, y = task(name, n_classes, rng)
    scorer = Scorer(METRICS[name], y, rng.random(150) if weighted else None)
    got = scorer.score(scorer.reduce(stack))
    expected = np.array([METRICS[name].score(y, p, scorer.weights) for p in stack])
    if name == "r2":
        assert np.array_equal(np.argsort(got), np.argsort(expected))
    else:
        assert np.allclose(got, expected, rtol=1e-5)
    rows = np.arange(0, 150, 3)
    part = scorer.take(rows)
    assert np.allclose(part.score(part.reduce(stack[:, rows])), part.score(scorer.reduce(stack)[:, rows]), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_average_of_reduced_predictions_is_the_reduced_average(name):
    stack, y = task(name, 3, np.random.default_rng(2))
    scorer = Scorer(METRICS[name], y)
    reduced = scorer.reduce(stack).mean(axis=0, keepdims=True)
    assert np.allclose(scorer.score(reduced), scorer.score(scorer.reduce(stack.mean(axis=0, keepdims=True))), rtol=1e-5)


def test_classes_that_do_not_occur_count_as_in_the_metric():
    stack, y = task("f1", 4, np.random.default_rng(3))
    y = np.where(y == 3, 0, y)
    stack[:, :, 3] = 0.0
    for name in ("f1", "balanced_accuracy", "roc_auc"):
        scorer = Scorer(METRICS[name], y)
        assert np.allclose(scorer.score(scorer.reduce(stack)), [METRICS[name].score(y, p) for p in stack]), name


def test_an_area_with_one_class_is_not_defined():
    assert np.isnan(areas(np.zeros((2, 3)), np.zeros(3, bool))).all()
    scorer = Scorer(METRICS["roc_auc"], np.zeros(3, int))
    assert np.array_equal(scorer.score(np.full((2, 3), 0.5)), [-np.inf, -np.inf])


def test_ties_count_half():
    positive = np.array([True, False, True, False])
    assert areas(np.array([[0.5, 0.5, 0.5, 0.5], [1.0, 0.0, 0.5, 0.5]]), positive).tolist() == [0.5, 0.875]


def test_a_function_of_the_user_is_scored_one_by_one():
    metric = get_metric(lambda y, p: float((y == p).mean()), TaskKind.BINARY)
    stack, y = task("accuracy", 2, np.random.default_rng(4))
    scorer = Scorer(metric, y)
    assert not scorer.is_fast
    assert np.allclose(scorer.score(scorer.reduce(stack)), Scorer(METRICS["accuracy"], y).score(stack))


def test_a_user_metric_with_a_known_name_is_not_taken_for_the_known_one():
    def rmse(y, p):
        return -float(np.abs(y - p).max())

    y = np.array([0.0, 1.0, 2.0])
    scorer = Scorer(get_metric(rmse, TaskKind.REGRESSION), y)
    assert scorer.score(scorer.reduce(np.array([[0.0, 1.0, 5.0]]))).tolist() == [-3.0]
