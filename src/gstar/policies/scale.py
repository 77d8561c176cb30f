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
    location, spread = _constants(scores, known)
    with np.errstate(invalid="ignore"):
        values = (scores - location[:, None]) / np.where(np.isfinite(spread), spread, np.inf)[:, None]
    values = np.where(known, np.maximum(values, FLOOR), np.nan)
    _settle_sparse(values, known, location, spread)
    values[~known & (failures > 0)] = FLOOR
    return Normalised(values, location, spread)


def _constants(scores: Array, known: Array) -> tuple[Array, Array]:
    """Returns the median of each row and the distance from there to the best.

    Where most tie for the best, the distance is what the others miss; NaN where there is none.
    """
    counts = known.sum(axis=1)
    location, spread = np.zeros(len(scores)), np.full(len(scores), np.nan)
    rows = np.flatnonzero(counts)
    ordered = np.sort(np.where(known[rows], scores[rows], np.nan), axis=1)  # NaN goes last
    each, n = np.arange(len(rows)), counts[rows]
    worst, best = ordered[:, :1].ravel(), ordered[each, n - 1]
    location[rows] = middle = (ordered[each, (n - 1) // 2] + ordered[each, n // 2]) / 2
    least = _TINY * np.maximum(1.0, np.maximum(np.abs(worst), np.abs(best)))
    for distance in (middle - worst, best - middle):
        spread[rows] = np.where(distance > least, distance, spread[rows])
    return location, spread


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
