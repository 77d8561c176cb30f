"""REINFORCE with the other strategies of the same task as the baseline: the default."""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import numpy as np

from gstar.distribution import AbstractDistribution
from gstar.gradients.base import AbstractGradient, Draws, Estimate, leave_one_out, score_gradient

Array: TypeAlias = np.ndarray


class LeaveOneOut(AbstractGradient):
    """Weighs grad log g(s) by the reward less the mean reward of the task's other strategies.

    The others are drawn independently, so the estimate is unbiased; and what all strategies of a task
    share (it is easy, its rows are lucky) cancels.

    References:
        Kool, van Hoof, Welling: Buy 4 REINFORCE samples, get a baseline for free! (2019),
        https://openreview.net/forum?id=r1lgTGL5DE
    """

    name: ClassVar[str] = "leave_one_out"

    def estimate(self, g: AbstractDistribution, meta: Array, draws: Draws, rewards: Array, memory: Array) -> Estimate:
        return Estimate(score_gradient(g, meta, draws, leave_one_out(rewards)), memory)
