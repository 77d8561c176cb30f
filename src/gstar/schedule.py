"""How the learning rate moves during training, as factors on the configured rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np

from gstar.space import Scalar

Array: TypeAlias = np.ndarray

LEAST: Final = 0.01
"""Where a cosine ends."""
LEAST_RESTART: Final = 0.05
CYCLE_START: Final = 0.04


def rate_factors(schedule: Mapping[str, Scalar], n_steps: int) -> Array:
    """Returns the factor of every step.

    Args:
        schedule: A point of `gstar.strategy.SCHEDULE_SPACE`; empty means constant.
        n_steps: How many steps are planned.

    Returns:
        ``(n_steps,)`` float64 in (0, 1].

    Example:
        >>> rate_factors({"kind": "decay", "decay_final": 0.25}, 3).tolist()
        [1.0, 0.5, 0.25]
    """
    return factors_at(schedule, np.linspace(0.0, 1.0, n_steps) if n_steps > 1 else np.zeros(n_steps))


def factors_at(schedule: Mapping[str, Scalar], progress: Array) -> Array:
    """Returns the factor at each point of the training.

    Args:
        schedule: A point of `gstar.strategy.SCHEDULE_SPACE`; empty means constant.
        progress: ``(N,)`` shares of the training that are over, in [0, 1].

    Returns:
        ``(N,)`` float64 in (0, 1].

    Example:
        >>> factors_at({"kind": "step", "step_factor": 0.5, "step_drops": 1}, np.array([0.4, 0.5])).tolist()
        [1.0, 0.5]
    """
    kind = schedule.get("kind", "constant")
    warm_up = float(schedule.get("warm_up") or 0.0)
    if kind == "decay":
        return np.asarray(float(schedule["decay_final"] or 1.0) ** progress)
    if kind == "restarts":
        cycles = int(schedule["restarts_cycles"] or 1)
        return _cosine(np.minimum(progress * cycles, np.nextafter(cycles, 0)) % 1.0, LEAST_RESTART)
    if kind == "one_cycle":
        return _one_cycle(progress, float(schedule["one_cycle_rise"] or 0.3))
    after = np.clip((progress - warm_up) / (1 - warm_up), 0.0, 1.0)
    factors = np.ones(len(progress))
    if kind == "cosine":
        factors = _cosine(after, LEAST)
    elif kind == "step":
        drops = int(schedule["step_drops"] or 1)
        factors = float(schedule["step_factor"] or 1.0) ** np.minimum(np.floor(after * (drops + 1)), drops)
    return np.asarray(factors * _warm_up(progress, warm_up))


def _cosine(progress: Array, least: float) -> Array:
    return np.asarray(least + (1 - least) * 0.5 * (1 + np.cos(np.pi * progress)))


def _one_cycle(progress: Array, rise: float) -> Array:
    """Rises as a half cosine over the first part, and falls as another over the rest."""
    up, down = np.minimum(progress / rise, 1.0), np.clip((progress - rise) / (1 - rise), 0.0, 1.0)
    return np.where(progress < rise, _cosine(1 - up, CYCLE_START), _cosine(down, LEAST))


def _warm_up(progress: Array, share: float) -> Array:
    """Rises in a straight line from a hundredth to 1."""
    return np.maximum(np.minimum(progress / share, 1.0), LEAST) if share > 0 else np.ones(len(progress))
