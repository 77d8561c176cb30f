"""Proximal policy optimisation: several clipped steps with the same trials."""

from __future__ import annotations

from typing import ClassVar, Final, TypeAlias

import autograd.numpy as anp
import numpy as np

from gstar.distribution import AbstractDistribution
from gstar.distribution.truncated import Differentiable
from gstar.gradients.base import AbstractGradient, Draws, Estimate, ascend, leave_one_out

Array: TypeAlias = np.ndarray

CLIP: Final = 0.2
"""How far the ratio of probabilities may go before a strategy stops to pull."""


class PPO(AbstractGradient):
    """Climbs the mean of min(ratio x advantage, clipped ratio x advantage), leave-one-out advantages.

    References:
        Schulman et al.: Proximal policy optimization algorithms (2017), https://arxiv.org/abs/1707.06347

    Differences from the paper:
        1. No value network: the baseline is the other strategies of the task.
        2. Advantages are not divided by the batch's deviation, which would weigh easy tasks up.
    """

    name: ClassVar[str] = "ppo"
    epochs: ClassVar[int] = 4

    def estimate(self, g: AbstractDistribution, meta: Array, draws: Draws, rewards: Array, memory: Array) -> Estimate:
        advantages = leave_one_out(rewards)

        def objective(theta: Differentiable) -> Differentiable:
            log_probs = anp.reshape(g.log_prob(theta, draws.contexts, draws.points), draws.log_probs.shape)
            ratios = anp.exp(log_probs - draws.log_probs)
            clipped = anp.clip(ratios, 1 - CLIP, 1 + CLIP)
            return anp.mean(anp.minimum(ratios * advantages, clipped * advantages))

        return Estimate(ascend(objective, meta), memory)
