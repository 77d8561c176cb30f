"""Antithetic evolution strategies: perturb g itself and see which side earns more."""

from __future__ import annotations

from typing import ClassVar, Final, TypeAlias

import numpy as np

from gstar.distribution import AbstractDistribution, Points
from gstar.gradients.base import AbstractGradient, Draws, Estimate

Array: TypeAlias = np.ndarray

SCALE: Final = 0.1
"""The deviation of the perturbations of meta-parameters."""


class Evolution(AbstractGradient):
    """Averages perturbation x (reward of the plus side - reward of the minus side) / (2 scale^2).

    Both sides draw with the same uniform numbers (common random numbers), so that for continuous
    parameters the difference is smooth. It needs no log-probability.

    References:
        Salimans et al.: Evolution strategies as a scalable alternative to reinforcement learning (2017),
        https://arxiv.org/abs/1703.03864
    """

    name: ClassVar[str] = "evolution"
    handles_reuse: ClassVar[bool] = False
    suits_natural: ClassVar[bool] = False

    def draw(self, g: AbstractDistribution, meta: Array, contexts: Array, n: int, *, rng: np.random.Generator) -> Draws:
        """Draws for each context one strategy from each of n perturbed g, in pairs of plus and minus."""
        n_pairs, n_tasks = max(1, n // 2), len(contexts)
        noise = SCALE * rng.standard_normal((n_pairs, len(meta)))
        uniforms = rng.random((n_pairs, n_tasks, g.n_uniforms))
        parts, log_probs = [], []
        for pair in range(n_pairs):
            for side in (1.0, -1.0):
                moved = meta + side * noise[pair]
                parts.append(g.draw(moved, contexts, uniforms[pair]))
                log_probs.append(np.asarray(g.log_prob(moved, contexts, parts[-1])))
        task_first = np.arange(2 * n_pairs * n_tasks).reshape(2 * n_pairs, n_tasks).T.ravel()
        return Draws(contexts, Points.join(parts).take(task_first), np.stack(log_probs, axis=1), {"noise": noise})

    def estimate(self, g: AbstractDistribution, meta: Array, draws: Draws, rewards: Array, memory: Array) -> Estimate:
        differences = (rewards[:, 0::2] - rewards[:, 1::2]).mean(axis=0)
        noise = draws.extra["noise"]
        return Estimate(differences @ noise / (2 * SCALE**2 * len(noise)), memory)
