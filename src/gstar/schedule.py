"""How the learning rate moves during training, as factors on the configured rate."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gstar.space import Scalar


def rate_factors(schedule: Mapping[str, Scalar], n_steps: int) -> np.ndarray:
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
    kind = schedule.get("kind", "constant")
    progress = np.linspace(0.0, 1.0, n_steps) if n_steps > 1 else np.zeros(n_steps)
    if kind == "decay":
        return np.asarray(float(schedule["decay_final"] or 1.0) ** progress)
    if kind == "restarts":
        cycles = int(schedule["restarts_cycles"] or 1)
        within = np.minimum(progress * cycles, np.nextafter(cycles, 0)) % 1.0
        return np.asarray(0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * within)))
    return np.ones(n_steps)
