"""The exact gradient, where the reward of every strategy is known."""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import autograd.numpy as anp
import numpy as np

from gstar.distribution import AbstractDistribution
from gstar.distribution.truncated import Differentiable
from gstar.gradients.base import AbstractGradient, Draws, Estimate, ascend

Array: TypeAlias = np.ndarray


class Exact(AbstractGradient):
    """Differentiates the sum over all strategies of probability x reward.

    There is no sampling noise but that of the tasks. On recorded tasks it costs nothing more than a
    row of the table; where numbers are on, it sums over equal parts of their range.
    """

    name: ClassVar[str] = "exact"
    handles_reuse: ClassVar[bool] = False
    is_sampled: ClassVar[bool] = False

    def draw(self, g: AbstractDistribution, meta: Array, contexts: Array, n: int, *, rng: np.random.Generator) -> Draws:
        """Returns every strategy for each context, whatever n is."""
        cells, log_sizes = g.enumerate()
        points = cells.take(np.tile(np.arange(len(cells)), len(contexts)))
        log_probs = np.asarray(g.log_prob(meta, contexts, points)).reshape(len(contexts), len(cells))
        masses = np.exp(log_probs + log_sizes)
        shares = masses / masses.sum(axis=1, keepdims=True)
        return Draws(contexts, points, log_probs, {"log_sizes": log_sizes}, shares)

    def estimate(self, g: AbstractDistribution, meta: Array, draws: Draws, rewards: Array, memory: Array) -> Estimate:
        centred = rewards - rewards.mean(axis=1, keepdims=True)

        def objective(theta: Differentiable) -> Differentiable:
            log_probs = anp.reshape(g.log_prob(theta, draws.contexts, draws.points), draws.log_probs.shape)
            masses = anp.exp(log_probs + draws.extra["log_sizes"])
            return anp.mean(anp.sum(masses * centred, axis=1) / anp.sum(masses, axis=1))

        return Estimate(ascend(objective, meta), memory)
