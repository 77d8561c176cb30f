"""Makes probabilities as sure as they should be: one temperature for all classes.

References:
    Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks (2017),
    https://arxiv.org/abs/1706.04599
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np

from gstar.metric import METRICS

Array: TypeAlias = np.ndarray

LEAST_ROWS: Final = 300
"""With fewer validation rows the temperature would be luck (measured by benchmarks/calibration.py)."""
_PARTS: Final = 5


def apply_temperature(probabilities: Array, temperature: float) -> Array:
    """Returns probabilities sharpened (temperature < 1) or softened (> 1); ranks stay as they are.

    Args:
        probabilities: ``(N, C)``, rows summing to 1.
        temperature: Positive.

    Returns:
        ``(N, C)``, rows summing to 1.
    """
    if temperature == 1.0:
        return probabilities
    logits = np.log(np.clip(probabilities, 1e-12, None)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit_temperature(probabilities: Array, target: Array, weights: Array | None = None) -> float:
    """Returns the temperature with the least log-loss, or 1 where that is not known to help.

    Fitted to four fifths of the rows, it must lower the log-loss of the other fifth, on
    average over the fifths by more than one standard error.

    Args:
        probabilities: ``(V, C)`` validation predictions.
        target: ``(V,)`` class codes.
        weights: ``(V,)`` row weights, or None.
    """
    if len(target) < LEAST_ROWS:
        return 1.0
    part = np.arange(len(target)) % _PARTS
    gains = []
    for i in range(_PARTS):
        temperature = _minimise(*_take(part != i, probabilities, target, weights))
        kept, codes, mass = _take(part == i, probabilities, target, weights)
        gains.append(_score(apply_temperature(kept, temperature), codes, mass) - _score(kept, codes, mass))
    if np.mean(gains) <= np.std(gains, ddof=1) / np.sqrt(_PARTS):
        return 1.0
    return _minimise(probabilities, target, weights)


def _take(rows: Array, probabilities: Array, target: Array, weights: Array | None) -> tuple[Array, Array, Array | None]:
    return probabilities[rows], target[rows], None if weights is None else weights[rows]


def _score(probabilities: Array, target: Array, weights: Array | None) -> float:
    return METRICS["log_loss"].score(target, probabilities, weights)


def _minimise(probabilities: Array, target: Array, weights: Array | None) -> float:
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return -_score(apply_temperature(probabilities, float(np.exp(log_temperature))), target, weights)

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))
