"""The gradient of what the best of three strategies reaches, the best by validation."""

from __future__ import annotations

from math import comb
from typing import ClassVar, Final, TypeAlias

import numpy as np

from gstar.distribution import AbstractDistribution
from gstar.gradients.base import AbstractGradient, Draws, Estimate, leave_one_out, score_gradient

Array: TypeAlias = np.ndarray

TRIES: Final = 3
"""k: how many strategies are tried on a task, of which the one that validates best is kept."""


class BestOf(AbstractGradient):
    """Weighs grad log g(s) by what s adds to two other strategies of the task, averaged over all pairs of others.

    A g that is rewarded by the mean ends on one strategy; the second and third trial then bring nothing. Here a
    strategy counts where the others fail, so that g stays as broad as its tasks are different. What counts is the
    reward of the strategy that validates best, if the world says how strategies validate; else the best reward.

    References:
        Walder, Karkhanis: Pass@K policy optimization: solving harder reinforcement learning problems (2025),
        https://arxiv.org/abs/2505.15201

    Differences from the paper:
        1. The best is chosen by another score than the reward, so that an addition can be negative.
        2. The mean addition of the others to each other is taken off as a second baseline.
    """

    name: ClassVar[str] = "best_of"
    handles_reuse: ClassVar[bool] = False

    def estimate(self, g: AbstractDistribution, meta: Array, draws: Draws, rewards: Array, memory: Array) -> Estimate:
        valid = draws.extra.get("valid", rewards)
        return Estimate(score_gradient(g, meta, draws, additions(rewards, valid)), memory)


def additions(rewards: Array, valid: Array, k: int = TRIES) -> Array:
    """Returns ``(T, n)`` k times what each strategy adds to k - 1 others, less what those add to each other.

    Args:
        rewards: ``(T, n)``.
        valid: ``(T, n)`` by which the best of k is chosen, higher is better; NaN is never chosen before a number.
        k: How many are tried; no more than n. For 1 it is the leave-one-out advantage.
    """
    n = rewards.shape[1]
    k = min(k, n)
    if k == 1:
        return leave_one_out(rewards)
    by_valid = np.argsort(np.nan_to_num(valid, nan=-np.inf), axis=1, kind="stable")
    ranked = np.take_along_axis(rewards, by_valid, axis=1)
    is_top, is_only_top = _chances(n - 1, k)
    found = np.empty(rewards.shape)
    for i in range(n):
        others = np.delete(ranked, i, axis=1)
        added = (is_top[:i] * (ranked[:, i : i + 1] - others[:, :i])).sum(axis=1)
        found[:, i] = k * added - (is_only_top * others).sum(axis=1)
    return np.take_along_axis(found, np.argsort(by_valid, axis=1), axis=1)


def _chances(m: int, k: int) -> tuple[Array, Array]:
    """Returns two vectors ``(m,)`` for m strategies from the worst to the best.

    The chance of each to be the best of k - 1 of them; and that to be the best of k less that to be the second of k, or
    zeros if there are not so many.
    """
    top = np.array([comb(r, k - 2) for r in range(m)]) / comb(m, k - 1)
    if k > m:
        return top, np.zeros(m)
    lead = np.array([comb(r, k - 1) - comb(r, k - 2) * (m - 1 - r) for r in range(m)]) / comb(m, k)
    return top, lead
