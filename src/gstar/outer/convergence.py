"""When the outer loop has converged: a stated test, not a fixed count."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray


@dataclass(frozen=True)
class Convergence:
    """Says whether g still learns: it does not if reward *and* g are both flat within their noise.

    Looked at are the last `window` iterations since the learning rate was last lowered:

    1. **Reward**: the mean of the later half is not above that of the earlier half by more than two
       standard errors of their difference.
    2. **Divergence**: over the window g has moved no further than a random walk with the same steps would:
       the divergence from its start to its end is at most `drift` times the sum of those over its
       `blocks` parts. (A random walk's squares add up, so the expected quotient is 1; for a straight
       walk it is the number of blocks.)

    When both are flat, the learning rate is lowered to `factor` of itself, since the noise may be that of the steps;
    when it was lowered `lowerings` times, g has converged.

    Args:
        window: Iterations that are looked at.
        blocks: Parts of the window; each is longer than the memory of the optimiser.
        drift: The quotient that still counts as a random walk.
        lowerings: How often the learning rate is lowered.
        factor: To what share of itself.
    """

    window: int = 100
    blocks: int = 5
    drift: float = 2.0
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
        return self._reward_is_flat(rewards[-self.window :]) and self._walk_is_random(trail[-self.window :], divergence)

    def _reward_is_flat(self, rewards: Array) -> bool:
        early, late = np.array_split(rewards, 2)
        error = np.sqrt(early.var(ddof=1) / len(early) + late.var(ddof=1) / len(late))
        return bool(late.mean() - early.mean() <= 2 * error)

    def _walk_is_random(self, trail: Array, divergence: Callable[[Array, Array], float]) -> bool:
        places = np.linspace(0, len(trail) - 1, self.blocks + 1).astype(int)
        steps = sum(divergence(trail[b], trail[a]) for a, b in itertools.pairwise(places))
        return divergence(trail[-1], trail[0]) <= self.drift * steps
