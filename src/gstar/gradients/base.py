"""What every estimator of the policy gradient is: what it draws, and what it makes of the rewards.

All of them estimate the same vector,

    grad J(theta) = grad E_{T, s ~ g(. | T)} [ R(s, T) ],

and differ in what they draw to do so, and in variance per training. `docs/policy_gradient.md` derives them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeAlias

import autograd.numpy as anp
import numpy as np
from autograd import grad
from autograd.tracer import getval

from gstar.distribution import AbstractDistribution, Points
from gstar.distribution.truncated import Differentiable

Array: TypeAlias = np.ndarray

IMPORTANCE_CLIP: Final = 2.0
"""The largest weight of a remembered trial: the bias is small, the variance bounded."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Is the strategies that were drawn for T tasks, n for each.

    Args:
        contexts: ``(T, X)``.
        points: ``T * n`` strategies, the n of one task together.
        log_probs: ``(T, n)`` log-probabilities under the distribution they were drawn from.
        extra: Arrays that the estimator needs later.
        shares: ``(T, n)`` by which rewards are weighed to get what g expects, 1 in all for a task; None: all alike.
    """

    contexts: Array
    points: Points
    log_probs: Array
    extra: Mapping[str, Array] = field(default_factory=dict)
    shares: Array | None = None

    @property
    def n(self) -> int:
        """Strategies per task."""
        return int(self.log_probs.shape[1])

    def expected(self, rewards: Array) -> Array:
        """Returns ``(T,)`` the reward that the g of these draws expects, by what ``(T, n)`` rewards say."""
        return np.asarray(rewards.mean(axis=1) if self.shares is None else (self.shares * rewards).sum(axis=1))


@dataclass(frozen=True, eq=False)
class Estimate:
    """Is a gradient and what the estimator wants to remember.

    Args:
        gradient: ``(W,)``, the direction in which the expected reward grows.
        memory: ``(B,)`` the estimator's own numbers.
    """

    gradient: Array
    memory: Array


class AbstractGradient(ABC):
    """Estimates the gradient of the expected reward. A new one is one file and one line in the list."""

    name: ClassVar[str]
    epochs: ClassVar[int] = 1
    """How many updates are made with the same draws."""
    handles_reuse: ClassVar[bool] = True
    """Whether draws of earlier meta-parameters can be used again, by importance weights."""
    suits_natural: ClassVar[bool] = True
    """Whether its noise shrinks where g hardly changes; if not, a natural step there is noise drawn out."""
    is_sampled: ClassVar[bool] = True
    """Whether it has the noise of draws, so that what is added to it may have some too."""
    is_scaled: ClassVar[bool] = False
    """Whether `turn` gives its steps the right length, so that an adaptive optimiser would spoil them."""

    def start(self) -> Array:
        """Returns ``(B,)`` what it remembers before the first iteration."""
        return np.zeros(0)

    def draw(self, g: AbstractDistribution, meta: Array, contexts: Array, n: int, *, rng: np.random.Generator) -> Draws:
        """Draws n strategies for each of T contexts."""
        points = g.draw(meta, contexts, rng.random((n * len(contexts), g.n_uniforms)))
        log_probs = np.asarray(g.log_prob(meta, contexts, points)).reshape(len(contexts), n)
        return Draws(contexts, points, log_probs)

    @abstractmethod
    def estimate(self, g: AbstractDistribution, meta: Array, draws: Draws, rewards: Array, memory: Array) -> Estimate:
        """Returns the gradient.

        Args:
            g: The distribution.
            meta: ``(W,)`` meta-parameters now; those of the draws may have been others.
            draws: T tasks with n strategies each.
            rewards: ``(T, n)``, all finite.
            memory: What it returned the last time.
        """

    def turn(self, g: AbstractDistribution, meta: Array, contexts: Array, gradient: Array) -> Array:
        """Returns ``(W,)`` the direction to go for a gradient: that of the gradient, if nothing else is known."""
        return gradient


def ascend(objective: Callable[[Differentiable], Differentiable], meta: Array) -> Array:
    """Returns ``(W,)`` the gradient of a scalar function of the meta-parameters."""
    return np.asarray(grad(objective)(meta))


def importance(log_probs: Array, draws: Draws) -> Array:
    """Returns ``(T, n)`` clipped weights of draws under other meta-parameters: 1 for those of now."""
    return np.asarray(np.minimum(IMPORTANCE_CLIP, np.exp(np.minimum(log_probs - draws.log_probs, 50.0))))


def score_gradient(g: AbstractDistribution, meta: Array, draws: Draws, advantages: Array) -> Array:
    """Returns ``(W,)`` the mean of weight x advantage x grad log g(s).

    The weights and advantages are constants; only the log-probability is differentiated.
    """
    shape = draws.log_probs.shape

    def objective(theta: Differentiable) -> Differentiable:
        log_probs = anp.reshape(g.log_prob(theta, draws.contexts, draws.points), shape)
        return anp.mean(importance(getval(log_probs), draws) * advantages * log_probs)

    return ascend(objective, meta)


def leave_one_out(rewards: Array) -> Array:
    """Returns ``(T, n)`` rewards less the mean of the others of the same task; plain rewards if there are none."""
    n = rewards.shape[1]
    if n < 2:
        return rewards
    return np.asarray((rewards - rewards.mean(axis=1, keepdims=True)) * n / (n - 1))
