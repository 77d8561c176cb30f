"""Rows left out of a ridge regression, against a model fitted without them."""

from __future__ import annotations

import numpy as np
import pytest

from gstar.learners import ridge as module
from gstar.learners.ridge import Ridge


def few(monkeypatch: pytest.MonkeyPatch, strength: float) -> None:
    """Leaves one strength to choose from."""
    monkeypatch.setattr(module, "STRENGTHS", np.array([strength]))


@pytest.mark.parametrize("n_columns", [6, 90])
def test_the_loss_is_that_of_models_without_the_row(monkeypatch: pytest.MonkeyPatch, n_columns: int) -> None:
    few(monkeypatch, 0.3)
    rng = np.random.default_rng(0)
    matrix, target = rng.normal(size=(40, n_columns)), rng.normal(size=40)
    ridge = Ridge.fit(matrix, target, 0)
    x = (matrix - ridge.centre) * ridge.scale
    strength = 0.3 * np.mean(np.sum(x**2, axis=1))
    errors = []
    for i in range(40):
        kept = np.arange(40) != i
        middle, mean = x[kept].mean(axis=0), target[kept].mean()
        inner = (x[kept] - middle).T @ (x[kept] - middle) + strength * np.eye(n_columns)
        found = np.linalg.solve(inner, (x[kept] - middle).T @ (target[kept] - mean))
        errors.append((x[i] - middle) @ found + mean - target[i])
    assert float(ridge.loss) == pytest.approx(np.mean(np.square(errors)), rel=1e-6)


def test_a_weight_of_two_is_two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, 0.1)
    monkeypatch.setattr(module, "SHARPNESSES", np.array([2.0]))
    rng = np.random.default_rng(1)
    matrix, target, weights = rng.normal(size=(30, 5)), rng.integers(0, 2, 30), rng.integers(1, 3, 30)
    weighted = Ridge.fit(matrix, target, 2, weights.astype(float))
    few(monkeypatch, 0.1 * weights.mean())  # strengths are those of a single row
    repeated = Ridge.fit(np.repeat(matrix, weights, axis=0), np.repeat(target, weights), 2)
    np.testing.assert_allclose(weighted.coefficients, repeated.coefficients, rtol=1e-6)


def test_it_is_as_sure_as_it_can_be() -> None:
    """Tests that labels without any relation get the prior, and clear ones get nearly certain probabilities."""
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(120, 300))
    unrelated = Ridge.fit(matrix, rng.integers(0, 2, 120), 2)
    assert float(np.max(unrelated.predict(rng.normal(size=(50, 300))))) < 0.75
    target = rng.integers(0, 3, 120)
    matrix[:, :30] += 2.0 * (target[:, None] == np.arange(30) % 3)
    clear = Ridge.fit(matrix, target, 3)
    assert float(np.mean(clear.predict(matrix)[np.arange(120), target])) > 0.95


def test_the_sharpness_is_the_best_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    matrix, target = rng.normal(size=(80, 40)), np.repeat([0, 1], 40)
    matrix[:, :3] += 0.7 * target[:, None]
    found, all_sharpnesses, losses = Ridge.fit(matrix, target, 2), module.SHARPNESSES, []
    for sharpness in all_sharpnesses:
        monkeypatch.setattr(module, "SHARPNESSES", np.array([sharpness]))
        losses.append(float(Ridge.fit(matrix, target, 2).loss))
    assert float(found.sharpness) == all_sharpnesses[np.argmin(losses)]
    assert float(found.loss) == pytest.approx(min(losses))


def test_a_constant_column_counts_for_nothing() -> None:
    matrix = np.c_[np.full(20, 1e6), np.arange(20.0)]
    ridge = Ridge.fit(matrix, np.arange(20.0), 0)
    np.testing.assert_allclose(ridge.predict(matrix + np.array([1e3, 0.0])), np.arange(20.0), atol=0.1)
