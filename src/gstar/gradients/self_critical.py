"""REINFORCE with the most probable strategy as the baseline."""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import numpy as np

from gstar.distribution import AbstractDistribution, Points
from gstar.gradients.base import AbstractGradient, Draws, Estimate, score_gradient

Array: TypeAlias = np.ndarray


class SelfCritical(AbstractGradient):
    """Weighs grad log g(s) by the reward less that of g's most probable strategy on the same task.

    It costs one more training per task, and rewards only what is better than what g would do now.

    References:
        Rennie et al.: Self-critical sequence training for image captioning (2017),
        https://arxiv.org/abs/1612.00563
    """

    name: ClassVar[str] = "self_critical"

    def draw(self, g: AbstractDistribution, meta: Array, contexts: Array, n: int, *, rng: np.random.Generator) -> Draws:
        """Draws n - 1 strategies for each context, and the most probable one as the last."""
        sampled = super().draw(g, meta, contexts, max(1, n - 1), rng=rng)
        n_tasks, n_sampled = sampled.log_probs.shape
        joined = Points.join([sampled.points, g.mode(meta, contexts)])
        rows = np.arange(n_tasks * n_sampled).reshape(n_tasks, n_sampled)
        points = joined.take(np.c_[rows, rows.size + np.arange(n_tasks)].ravel())
        log_probs = np.asarray(g.log_prob(meta, contexts, points)).reshape(n_tasks, n_sampled + 1)
        shares = np.tile(np.r_[np.full(n_sampled, 1 / n_sampled), 0.0], (n_tasks, 1))
        return Draws(contexts, points, log_probs, shares=shares)

    def estimate(self, g: AbstractDistribution, meta: Array, draws: Draws, rewards: Array, memory: Array) -> Estimate:
        advantages = (rewards - rewards[:, -1:]) * draws.n / (draws.n - 1)
        return Estimate(score_gradient(g, meta, draws, advantages), memory)
