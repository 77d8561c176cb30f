from __future__ import annotations

import numpy as np
import pytest

from gstar.policies.factors import MANY_ROWS, Factors, choose_factors, fit_factors


def _table(t: int, p: int, rank: int, *, noise: float, holes: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    full = rng.normal(size=p) + rng.normal(size=(t, rank)) @ rng.normal(size=(rank, p)) * 0.5
    table = full + rng.normal(0, noise, full.shape)
    table[rng.random(table.shape) < holes] = np.nan
    return table, full


def test_log_likelihood_is_that_of_the_normal_distribution() -> None:
    table, _ = _table(6, 5, 2, noise=0.3, holes=0.3, seed=0)
    model = Factors(np.arange(5.0), np.linspace(-1, 1, 10).reshape(5, 2), np.linspace(0.1, 0.5, 5))
    expected = 0.0
    for row in table:
        known = np.isfinite(row)
        covariance = (model.loadings @ model.loadings.T + np.diag(model.variance))[np.ix_(known, known)]
        rest = (row - model.mean)[known]
        expected -= 0.5 * (rest @ np.linalg.solve(covariance, rest) + np.linalg.slogdet(2 * np.pi * covariance)[1])
    assert model.log_likelihood(table) == pytest.approx(expected)


def test_fills_holes() -> None:
    table, full = _table(120, 20, 2, noise=0.05, holes=0.3, seed=1)
    model = fit_factors(table, 2)
    factors, _ = model.posterior(table)
    error = (model.mean + factors @ model.loadings.T - full)[np.isnan(table)]
    assert np.sqrt(np.mean(error**2)) < 0.15
    assert np.std(full) > 0.8


@pytest.mark.parametrize(("rank", "expected"), [(0, 0), (1, 1), (2, 2)])
def test_chooses_as_many_factors_as_there_are(rank: int, expected: int) -> None:
    table, _ = _table(80, 25, rank, noise=0.4, holes=0.2, seed=3)
    assert choose_factors(table, [f"f{i}" for i in range(80)]).loadings.shape[1] == expected


def test_does_not_find_factors_in_a_few_rows() -> None:
    table, _ = _table(3, 10, 2, noise=0.1, holes=0.0, seed=4)
    assert choose_factors(table, ["a", "b", "c"]).loadings.shape == (10, 0)


def test_a_column_without_scores_is_middling_and_unsure() -> None:
    table, _ = _table(30, 6, 1, noise=0.1, holes=0.0, seed=5)
    table[:, 2] = np.nan
    model = fit_factors(table, 1)
    assert model.mean[2] == 0.0
    np.testing.assert_allclose(model.loadings[2], 0.0, atol=1e-12)
    assert model.variance[2] == pytest.approx(0.15)


def test_the_fitted_spread_is_that_of_the_table() -> None:
    table, _ = _table(30, 12, 3, noise=0.2, holes=0.0, seed=6)
    model = fit_factors(table, 3)
    fitted = np.sum(model.loadings**2, axis=1) + model.variance
    np.testing.assert_allclose(fitted.mean(), table.var(axis=0).mean(), rtol=0.03)


def test_of_many_rows_part_is_enough_but_for_strategies_that_it_lacks() -> None:
    rows = 4 * MANY_ROWS
    table, full = _table(rows, 12, 2, noise=0.1, holes=0.2, seed=7)
    seldom = np.setdiff1d(np.arange(rows), np.linspace(0, rows - 1, MANY_ROWS).astype(int))[:60]
    table[np.setdiff1d(np.arange(rows), seldom), 3] = np.nan
    model = choose_factors(table, [f"f{i}" for i in range(rows)])
    assert model.loadings.shape[1] >= 2
    errors = []
    for found in (model, fit_factors(table, 2)):
        factors, _ = found.posterior(table)
        error = np.where(np.isnan(table), found.mean + factors @ found.loadings.T - full, np.nan)
        errors.append(np.sqrt(np.nanmean(error**2, axis=0)))
    assert errors[1].max() < 0.2
    np.testing.assert_allclose(errors[0], errors[1], atol=0.02)
