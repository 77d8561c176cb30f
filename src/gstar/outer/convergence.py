"""When the outer loop has converged: a stated test, not a fixed count."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray

ERRORS: Final = 2.0
"""So many standard errors are noise."""
BLOCKS: Final = 6
"""Parts of the window; each is to be longer than the memory of the optimiser."""


@dataclass(frozen=True)
class Convergence:
    """Says whether g still learns: it does not if reward *and* divergence are both flat within their noise.

    Looked at are the last `window` iterations since the learning rate was last lowered:

    1. **Reward**: the means of the two halves differ by no more than two standard errors of their difference.
    2. **Divergence**: g may move, as the noise of its steps moves it, but in no direction. With d_i the way of g in
       the i-th of 6 parts of the window, d_i . d_j in the metric of the divergence has the mean 0 if ways are noise,
       and |drift|^2, twice the divergence that the drift makes in a part, if there is one. The mean over pairs is no
       more than two standard errors above 0. Neighbours are no pair: the optimiser's memory joins them.

    When both are flat, the learning rate is lowered to `factor` of itself, since the noise may be that of the steps;
    when it was lowered `lowerings` times, g has converged.

    Args:
        window: Iterations that are looked at.
        lowerings: How often the learning rate is lowered.
        factor: To what share of itself.
    """

    window: int = 100
    lowerings: int = 2
    factor: float = 0.3

    def is_flat(self, rewards: Array, trail: Array, divergence: Callable[[Array, Array], float]) -> bool:
        """Tells whether the last iterations brought nothing.

        Args:
            rewards: ``(I,)`` mean reward of each iteration since the rate was last lowered.
            trail: ``(I, W)`` meta-parameters after each of them.
            divergence: KL between two vectors of meta-parameters, averaged over contexts.
        """
        if len(rewards) < self.window or len(trail) < self.window:
            return False
        return _is_level(rewards[-self.window :]) and not _has_direction(trail[-self.window :], divergence)


def _is_level(rewards: Array) -> bool:
    early, late = np.array_split(rewards, 2)
    error = np.sqrt(early.var(ddof=1) / len(early) + late.var(ddof=1) / len(late))
    return bool(abs(late.mean() - early.mean()) <= ERRORS * error)


def _has_direction(trail: Array, divergence: Callable[[Array, Array], float]) -> bool:
    """Tells whether parts of the trail go the same way: KL(a, b) is about |a - b|^2 / 2, which gives inner products."""
    places = trail[np.linspace(0, len(trail) - 1, BLOCKS + 1).astype(int)]
    kl = np.zeros((len(places), len(places)))
    for i, j in itertools.combinations(range(len(places)), 2):
        kl[i, j] = divergence(places[j], places[i])
    products = kl[:-1, 1:] + kl[1:, :-1] - kl[:-1, :-1] - kl[1:, 1:]
    apart = products[np.triu_indices(BLOCKS, 2)]
    return bool(apart.sum() > ERRORS * np.sqrt((apart**2).sum()))
