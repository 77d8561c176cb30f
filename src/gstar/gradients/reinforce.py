"""REINFORCE with a moving baseline."""

from __future__ import annotations

from typing import ClassVar, Final, TypeAlias

import numpy as np

from gstar.distribution import AbstractDistribution
from gstar.gradients.base import AbstractGradient, Draws, Estimate, score_gradient

Array: TypeAlias = np.ndarray

RATE: Final = 0.1
"""The share of the newest mean reward in the moving mean."""


class Reinforce(AbstractGradient):
    """Weighs grad log g(s) by the reward less the moving mean of all rewards so far.

    The baseline does not depend on the strategies at hand, so the estimate is unbiased; but it does not
    know that some tasks are hard for every strategy, and that is its variance.

    References:
        Williams: Simple statistical gradient-following algorithms for connectionist reinforcement
        learning (1992), https://doi.org/10.1007/BF00992696
    """

    name: ClassVar[str] = "reinforce"

    def start(self) -> Array:
        return np.zeros(2)

    def estimate(self, g: AbstractDistribution, meta: Array, draws: Draws, rewards: Array, memory: Array) -> Estimate:
        """Returns the gradient; the memory is ``(2,)``: the moving sum of mean rewards, and of their weights."""
        baseline = memory[0] / memory[1] if memory[1] > 0 else 0.0
        gradient = score_gradient(g, meta, draws, rewards - baseline)
        return Estimate(gradient, (1 - RATE) * memory + RATE * np.array([rewards.mean(), 1.0]))
