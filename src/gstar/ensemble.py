"""Combines models: greedy selection on validation predictions, held to the average of the best.

Again and again the model is added that helps the average most. On few validation rows that
follows luck, so the result is mixed with the plain mean of the best few models, whose share
is ``DOUBT_ROWS / (DOUBT_ROWS + V)``: the fewer rows, the plainer the ensemble. Among those few
is what lags behind the best by no more than `LAG` of its way from a constant answer, or is
ahead of it on some resample of the rows: a model that is known to be bad only spoils them.
Measured by benchmarks/ensemble.py, this is as good as bags of selections, faster, and keeps
fewer models.

References:
    Caruana, Niculescu-Mizil, Crew, Ksikes: Ensemble selection from libraries of models (2004),
    https://doi.org/10.1145/1015330.1015432

Differences from the paper: (1) shrinkage to the mean of the best instead of bags; (2) the best
prefix is kept; (3) weights below `LEAST` are dropped, so that the ensemble stays small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from gstar.metric import Metric
from gstar.scorers import Scorer

Array: TypeAlias = np.ndarray

MAX_ROWS: Final = 8_000
"""More validation rows are not looked at: they would cost time and decide nothing."""
MAX_CELLS: Final = 500_000
"""Nor more numbers, over all models and classes."""
DOUBT_ROWS: Final = 300
BEST_FEW: Final = 5
LAG: Final = 0.05
RESAMPLES: Final = 200
LEAST: Final = 0.02
PATIENCE: Final = 5
"""A selection ends when so many more models in a row brought nothing."""
SLOW_MODELS: Final = 12
"""A metric that scores one prediction at a time chooses among so many of the best."""
SLOW_RESAMPLES: Final = 40
"""And resamples the rows so often."""


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
        weights: ``(V,)`` row weights, or None; whole numbers count as repetitions.
        seed: Seed of the choice of rows, where there are too many.
        steps: How many models, with repetition, are added at most.

    Returns:
        ``(M,)`` non-negative, summing to 1.
    """
    if len(predictions) == 1:
        return np.ones(1)
    scorer = Scorer(metric, target, weights)
    stack = np.stack([scorer.reduce(p[None])[0] for p in predictions])
    rng = np.random.default_rng(seed)
    rows = _rows(stack, rng)
    stack, scorer = stack[:, rows], scorer.take(rows)
    scores = scorer.score(stack)
    ranking = np.argsort(-scores, kind="stable")
    usable = ranking if scorer.is_fast else ranking[:SLOW_MODELS]
    mixed = np.zeros(len(stack))
    mixed[usable] = _greedy(stack[usable], scorer, steps)
    doubt = DOUBT_ROWS / (DOUBT_ROWS + _size(scorer))
    mixed *= 1 - doubt
    few = ranking[:BEST_FEW]
    floor = scorer.score(scorer.reduce(_constant(predictions[0][rows], scorer)[None]))[0]
    if np.isfinite(scores[few[0]]) and np.isfinite(floor):
        near = scores[few] >= scores[few[0]] - LAG * (scores[few[0]] - floor)
        few = few[near | _is_sometimes_ahead(stack[few], scorer, rng)]
    mixed[few] += doubt / len(few)
    mixed[mixed < min(LEAST, 0.5 * mixed.max())] = 0.0
    return np.asarray(mixed / mixed.sum())


def greedy(stack: Array, target: Array, metric: Metric, *, weights: Array | None = None, steps: int = 40) -> Array:
    """Returns ``(M,)`` weights of a greedy selection on all rows, without any guard.

    Args:
        stack: ``(M, V, C)`` or ``(M, V)`` validation predictions.
        target: ``(V,)`` class codes or values.
        metric: What the ensemble should be good at.
        weights: ``(V,)`` row weights, or None.
        steps: How many models, with repetition, are added at most.
    """
    scorer = Scorer(metric, target, weights)
    return _greedy(scorer.reduce(stack), scorer, steps)


def _is_sometimes_ahead(stack: Array, scorer: Scorer, rng: np.random.Generator) -> Array:
    """Returns ``(M,)`` whether a model scores as well as the first one on some resample of the rows that count.

    Where the metric is not defined, as for want of a class, a resample says nothing.
    """
    ahead = np.zeros(len(stack), bool)
    counted = np.arange(stack.shape[1]) if scorer.weights is None else np.flatnonzero(scorer.weights > 0)
    for _ in range(RESAMPLES if scorer.is_fast else SLOW_RESAMPLES):
        rows = rng.choice(counted, len(counted))
        scores = scorer.take(rows).score(stack[:, rows])
        ahead |= (scores >= scores[0]) & np.isfinite(scores[0])
    return ahead


def _constant(like: Array, scorer: Scorer) -> Array:
    """Returns the answer that knows the target but no features, of the shape of a prediction ``(V, C)`` or ``(V,)``."""
    known = scorer.target if like.ndim == 1 else np.eye(like.shape[1])[scorer.target]
    return np.broadcast_to(np.average(known, axis=0, weights=scorer.weights), like.shape)


def _rows(stack: Array, rng: np.random.Generator) -> Array:
    """Returns the rows to look at, sorted."""
    n_rows = stack.shape[1]
    most = min(MAX_ROWS, max(DOUBT_ROWS, MAX_CELLS * n_rows // stack.size))
    return np.arange(n_rows) if n_rows <= most else np.sort(rng.choice(n_rows, most, replace=False))


def _size(scorer: Scorer) -> float:
    """Returns how many rows the weights stand for: their sum if they are counts, else the effective number."""
    w = scorer.weights
    if w is None:
        return len(scorer.target)
    return float(w.sum() if np.array_equal(w, np.round(w)) else w.sum() ** 2 / (w**2).sum())


def _greedy(stack: Array, scorer: Scorer, steps: int) -> Array:
    """Returns ``(M,)`` weights of the best prefix of a greedy selection with replacement."""
    counts = np.zeros(len(stack))
    total = np.zeros_like(stack[0])
    best_score, best_counts = -np.inf, np.ones(len(stack))
    waited = 0
    for size in range(1, steps + 1):
        scores = scorer.score((total + stack) / size)
        chosen = int(np.argmax(scores))
        counts[chosen] += 1
        total = total + stack[chosen]
        waited += 1
        if scores[chosen] > best_score + 1e-12:
            best_score, best_counts, waited = float(scores[chosen]), counts.copy(), 0
        if waited == PATIENCE:
            break
    return np.asarray(best_counts / best_counts.sum())
