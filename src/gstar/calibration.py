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
"""With fewer validation rows the temperature would be luck."""
_HALVES: Final = 2


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


def fit_temperature(probabilities: Array, target: Array) -> float:
    """Returns the temperature with the least log-loss, or 1 where that is not known to help.

    It must lower the log-loss of each half of the rows when fitted to the other half.

    Args:
        probabilities: ``(V, C)`` validation predictions.
        target: ``(V,)`` class codes.
    """
    if len(target) < LEAST_ROWS:
        return 1.0
    half = np.arange(len(target)) % _HALVES == 0
    for fit, check in ((half, ~half), (~half, half)):
        temperature = _minimise(probabilities[fit], target[fit])
        before = METRICS["log_loss"].score(target[check], probabilities[check])
        if METRICS["log_loss"].score(target[check], apply_temperature(probabilities[check], temperature)) <= before:
            return 1.0
    return _minimise(probabilities, target)


def _minimise(probabilities: Array, target: Array) -> float:
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        warmed = apply_temperature(probabilities, float(np.exp(log_temperature)))
        return -METRICS["log_loss"].score(target, warmed)

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))
