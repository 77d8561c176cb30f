"""Factor analysis of a table with holes: what moves the scores of many strategies together.

    z[t, j] = mean[j] + loadings[j] . f[t] + noise,   f ~ N(0, I),   noise ~ N(0, variance[j])

fitted by (parameter-expanded) expectation maximisation with shrinkage; every step is a few products of `(T, P)`
matrices. The number of factors is chosen by the likelihood of whole rows (tasks) that were held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray

RANKS: Final = (0, 1, 2, 4, 8)
N_SPLITS: Final = 4
ROWS_PER_FACTOR: Final = 4
MANY_ROWS: Final = 300
"""Of more rows so many, evenly spaced, say enough about the number of factors, and one split of them."""

PRIOR_VARIANCE: Final = 0.15
"""Variance of a normalised score about which nothing is known; it counts as `PRIOR_ROWS` rows."""
PRIOR_ROWS: Final = 2.0
_ITERATIONS: Final = 12
_LAST_ITERATIONS: Final = 2
"""How many are made over all of many rows, starting from what part of them has led to."""


@dataclass(frozen=True, eq=False)
class Factors:
    """Is the fitted parts of the model.

    Args:
        mean: ``(P,)``.
        loadings: ``(P, K)``.
        variance: ``(P,)`` of what is left of each strategy.
    """

    mean: Array
    loadings: Array
    variance: Array

    def posterior(self, table: Array) -> tuple[Array, Array]:
        """Returns ``(T, K)`` means and ``(T, K, K)`` covariances of the factors of each row."""
        known, rest = _split(table, self.mean)
        weight = known / self.variance
        k = self.loadings.shape[1]
        outer = (self.loadings[:, :, None] * self.loadings[:, None, :]).reshape(len(self.loadings), k * k)
        precision = np.eye(k) + (weight @ outer).reshape(len(table), k, k)
        covariance = np.linalg.inv(precision)
        return np.einsum("tij,tj->ti", covariance, (weight * rest) @ self.loadings), covariance

    def log_likelihood(self, table: Array) -> float:
        """Returns the log-likelihood of the known cells, all rows together."""
        known, rest = _split(table, self.mean)
        factors, covariance = self.posterior(table)
        inner = np.einsum("tk,tk->", factors, (known / self.variance * rest) @ self.loadings)
        squares = np.sum(known * rest**2 / self.variance) - inner
        logs = np.sum(known * np.log(2 * np.pi * self.variance)) - np.sum(np.linalg.slogdet(covariance)[1])
        return float(-0.5 * (squares + logs))


def fit_factors(table: Array, rank: int) -> Factors:
    """Fits the model with a given number of factors.

    Args:
        table: ``(T, P)`` normalised scores, NaN where not known.
        rank: K.
    """
    known = np.isfinite(table)
    mean = np.where(known, table, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return _improve(Factors(mean, *_start(table, mean, rank)), table, _ITERATIONS if rank else 0)


def _improve(model: Factors, table: Array, iterations: int) -> Factors:
    known = np.isfinite(table).astype(float)
    counts = known.sum(axis=0)
    mean, loadings, variance = model.mean, model.loadings, model.variance
    rank = loadings.shape[1]
    for _ in range(iterations):
        factors, covariance = Factors(mean, loadings, variance).posterior(table)
        _, rest = _split(table, mean)
        second = covariance + factors[:, :, None] * factors[:, None, :]
        k2 = rank * rank
        ridge = (variance / PRIOR_VARIANCE)[:, None, None] * np.eye(rank)
        normal = (known.T @ second.reshape(len(table), k2)).reshape(-1, rank, rank) + ridge
        loadings = np.linalg.solve(normal, (rest.T @ factors)[:, :, None])[:, :, 0]
        fitted = factors @ loadings.T
        mean = np.where(known > 0, table - fitted, 0.0).sum(axis=0) / np.maximum(counts, 1)
        spread = (known.T @ covariance.reshape(len(table), k2)).reshape(-1, rank, rank)
        extra = np.einsum("pi,pij,pj->p", loadings, spread, loadings)
        left = np.where(known > 0, table - fitted - mean, 0.0)
        variance = (np.sum(left**2, axis=0) + extra + PRIOR_ROWS * PRIOR_VARIANCE) / (counts + PRIOR_ROWS)
        loadings = loadings @ np.linalg.cholesky(second.mean(axis=0))  # keeps the factors at unit variance
    return Factors(mean, loadings, variance)


def choose_factors(table: Array, groups: Sequence[str]) -> Factors:
    """Fits the model with the number of factors that predicts held-out rows best.

    More factors are tried as long as that helps. Rows of one group are held out together.
    """
    if len(table) > MANY_ROWS:
        some = np.linspace(0, len(table) - 1, MANY_ROWS).astype(int)
        first = _choose(table[some], _splits([groups[i] for i in some]), range(1))
        if first.loadings.shape[1]:
            return _improve(first, table, _LAST_ITERATIONS)
        return fit_factors(table, 0)
    return _choose(table, _splits(groups), range(N_SPLITS))


def _choose(table: Array, split: Array, held_out: Sequence[int]) -> Factors:
    best_rank, best = 0, -np.inf
    for rank in RANKS:
        if rank * ROWS_PER_FACTOR > len(table) or rank >= max(1, table.shape[1]):
            break
        likelihood = sum(fit_factors(table[split != i], rank).log_likelihood(table[split == i]) for i in held_out)
        if likelihood <= best:
            break
        best_rank, best = rank, likelihood
    return fit_factors(table, best_rank)


def _splits(groups: Sequence[str]) -> Array:
    number = {group: i % N_SPLITS for i, group in enumerate(sorted(set(groups)))}
    return np.array([number[group] for group in groups], int)


def _split(table: Array, mean: Array) -> tuple[Array, Array]:
    known = np.isfinite(table)
    return known, np.where(known, table - mean, 0.0)


def _start(table: Array, mean: Array, rank: int) -> tuple[Array, Array]:
    """Starts from the leading principal components, holes filled with zero."""
    known, rest = _split(table, mean)
    variance = (np.sum(rest**2, axis=0) + PRIOR_ROWS * PRIOR_VARIANCE) / (known.sum(axis=0) + PRIOR_ROWS)
    if rank == 0:
        return np.empty((table.shape[1], 0)), variance
    values, vectors = np.linalg.eigh(rest.T @ rest)
    loadings = vectors[:, ::-1][:, :rank] * np.sqrt(np.maximum(values[::-1][:rank], 0.0) / len(table))
    return loadings, np.maximum(variance - np.sum(loadings**2, axis=1), 0.2 * variance)
