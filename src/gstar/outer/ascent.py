"""How meta-parameters move along a gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray

BETAS: Final = (0.9, 0.99)
EPSILON: Final = 1e-12


@dataclass(frozen=True, eq=False)
class Adam:
    """Is the optimiser's state: moving means of the gradient and of its square.

    References:
        Kingma, Ba: Adam: a method for stochastic optimization (2015), https://arxiv.org/abs/1412.6980

    Args:
        mean: ``(W,)``.
        square: ``(W,)``.
        count: Steps so far.
    """

    mean: Array
    square: Array
    count: int = 0

    @staticmethod
    def start(size: int) -> Adam:
        """Returns the state before the first step."""
        return Adam(np.zeros(size), np.zeros(size))

    def push(self, direction: Array, rate: float) -> tuple[Array, Adam]:
        """Returns ``(W,)`` the step along the moving mean of directions that have their length already.

        Where directions agree, it is as long as they are; where they are noise, a fourth of it.
        """
        mean = BETAS[0] * self.mean + (1 - BETAS[0]) * direction
        return rate * mean, replace(self, mean=mean, count=self.count + 1)

    def step(self, gradient: Array, rate: float) -> tuple[Array, Adam]:
        """Returns ``(W,)`` the step uphill, and the state after it."""
        count = self.count + 1
        mean = BETAS[0] * self.mean + (1 - BETAS[0]) * gradient
        square = BETAS[1] * self.square + (1 - BETAS[1]) * gradient**2
        fair_mean, fair_square = mean / (1 - BETAS[0] ** count), square / (1 - BETAS[1] ** count)
        return rate * fair_mean / (np.sqrt(fair_square) + EPSILON), replace(self, mean=mean, square=square, count=count)
