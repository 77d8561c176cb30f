"""One scale for the scores of all tasks: 0 for a middling strategy, 1 for the best known.

Per task two fixed constants turn a raw score into a normalised one, ``(score - location) /
scale``, where the location is the median of the recorded scores and the scale the distance
from there to the best. They never move with the batch that is looked at, so a reward means
the same today and tomorrow. What is worse than -1 counts -1, and so does a failed trial: how
bad a bad model is teaches nothing about the good ones.

A task on which few strategies were tried was most likely shown good ones only; its median is
not middling. Its constants are chosen such that its strategies lie where the same strategies
lie on the tasks on which many were tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray

FLOOR: Final = -1.0
"""What a failed trial is worth, and the worst that a completed one can be worth."""

_MAX_WIDE: Final = 64
_TINY: Final = 1e-12


@dataclass(frozen=True, eq=False)
class Normalised:
    """Is recorded scores on the common scale.

    Args:
        values: ``(T, P)`` in [-1, about 1], NaN where nothing is known.
        location: ``(T,)`` raw score that counts 0.
        scale: ``(T,)`` raw difference that counts 1, NaN where the scores do not differ.
    """

    values: Array
    location: Array
    scale: Array


def normalise(scores: Array, failures: Array) -> Normalised:
    """Puts the scores of each task on the common scale.

    Args:
        scores: ``(T, P)`` raw, higher is better, NaN where none completed.
        failures: ``(T, P)`` trials that did not complete.
    """
    known = np.isfinite(scores)
    location, spread = np.zeros(len(scores)), np.full(len(scores), np.nan)
    values = np.full(scores.shape, np.nan)
    for t in np.flatnonzero(known.any(axis=1)):
        row = scores[t, known[t]]
        location[t] = np.median(row)
        spread[t] = _spread(row)
        values[t, known[t]] = (row - location[t]) / spread[t] if np.isfinite(spread[t]) else 0.0
    values = np.maximum(values, FLOOR)
    _settle_sparse(values, known, location, spread)
    values[~known & (failures > 0)] = FLOOR
    return Normalised(values, location, spread)


def _spread(row: Array) -> float:
    """Distance from the median to the best; where most tie for the best, what the others miss."""
    size = max(1.0, float(np.max(np.abs(row))))
    middle = np.median(row)
    for distance in (row.max() - middle, middle - row.min()):
        if distance > _TINY * size:
            return float(distance)
    return float("nan")


def _settle_sparse(values: Array, known: Array, location: Array, spread: Array) -> None:
    """Moves the constants of tasks with few strategies to where wide tasks have them, in place."""
    counts = known.sum(axis=1)
    if not len(counts) or counts.max() == 0:
        return
    wide = np.flatnonzero(counts >= 0.5 * counts.max())
    wide = wide[np.argsort(-counts[wide], kind="stable")][:_MAX_WIDE]
    reference = np.where(known[wide], values[wide], np.nan)
    for t in np.flatnonzero((counts > 0) & (counts < 0.5 * counts.max())):
        part = reference[:, known[t]]
        part = part[np.isfinite(part).sum(axis=1) >= max(1, 0.5 * known[t].sum())]
        if not len(part):
            continue
        middle, top = np.nanmedian(part, axis=1).mean(), np.nanmax(part, axis=1).mean()
        values[t, known[t]] = np.maximum(middle + values[t, known[t]] * max(top - middle, 0.0), FLOOR)
        if np.isfinite(spread[t]) and top - middle > _TINY:
            spread[t] /= top - middle
            location[t] -= middle * spread[t]
        else:
            spread[t] = np.nan
