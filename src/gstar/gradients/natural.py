"""The natural gradient, for a small g: steps of equal length in what the distribution does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, TypeAlias

import numpy as np

from gstar.distribution import AbstractDistribution
from gstar.errors import UsageError
from gstar.gradients.base import AbstractGradient, Draws, Estimate
from gstar.gradients.leave_one_out import LeaveOneOut

Array: TypeAlias = np.ndarray

DAMPING: Final = 1e-3
"""Added to the diagonal of the Fisher matrix, as a share of its mean."""
LEAST_FISHER: Final = 1e-2
"""Added to it besides: where g is nearly certain, a step of length 1 moves no meta-parameter further than 10."""
ROUNDING: Final = 1e-14
"""Rewards that differ by less than this share of themselves are alike: their gradient is not drawn out to length 1."""
MAX_SIZE: Final = 100
"""More meta-parameters than this make the matrix too dear."""


@dataclass(frozen=True)
class Natural(AbstractGradient):
    """Solves Fisher x step = gradient, and gives the step length 1 in the Fisher metric.

    A step of length r moves g by a divergence of r^2 / 2, or less where damping holds it back,
    however flat the rewards are. That is what a number's location and scale need: what is a small
    move for a broad distribution is a leap for a narrow one.

    Args:
        inner: The estimator whose gradient is turned.

    References:
        Kakade: A natural policy gradient (2001), https://papers.nips.cc/paper/2073-a-natural-policy-gradient

    Differences from the paper:
        1. The Fisher matrix is the Hessian of the exact divergence, not an average over trajectories.
        2. The length is normalised, and the outer loop averages directions over iterations.
    """

    inner: AbstractGradient = field(default_factory=LeaveOneOut)
    name: ClassVar[str] = "natural"
    is_scaled: ClassVar[bool] = True

    @property
    def epochs(self) -> int:  # type: ignore[override]
        """Those of the inner estimator."""
        return self.inner.epochs

    @property
    def handles_reuse(self) -> bool:  # type: ignore[override]
        """As the inner estimator does."""
        return self.inner.handles_reuse

    @property
    def is_sampled(self) -> bool:  # type: ignore[override]
        """As the inner estimator is."""
        return self.inner.is_sampled

    def start(self) -> Array:
        return self.inner.start()

    def draw(self, g: AbstractDistribution, meta: Array, contexts: Array, n: int, *, rng: np.random.Generator) -> Draws:
        return self.inner.draw(g, meta, contexts, n, rng=rng)

    def estimate(self, g: AbstractDistribution, meta: Array, draws: Draws, rewards: Array, memory: Array) -> Estimate:
        """Returns the inner estimate, or zeros if all rewards are alike: else rounding errors would be followed."""
        estimate = self.inner.estimate(g, meta, draws, rewards, memory)
        alike = np.ptp(rewards) <= ROUNDING * np.abs(rewards).max()
        return replace(estimate, gradient=np.zeros(len(meta))) if alike else estimate

    def turn(self, g: AbstractDistribution, meta: Array, contexts: Array, gradient: Array) -> Array:
        """Returns ``(W,)`` the step of length 1 for a gradient; zeros stay zeros."""
        fisher = fisher_matrix(g, meta, contexts)
        fisher[np.diag_indices_from(fisher)] += DAMPING * np.trace(fisher) / len(fisher) + LEAST_FISHER
        step = np.linalg.solve(fisher, gradient)
        length = np.sqrt(max(0.0, float(step @ gradient)))
        return np.asarray(step / length if length > 0 else np.zeros(len(step)))


def fisher_matrix(g: AbstractDistribution, meta: Array, contexts: Array) -> Array:
    """Returns ``(W, W)`` the Hessian of the divergence from g: how fast each direction changes it.

    Raises:
        UsageError: If g has too many meta-parameters.
    """
    if g.size > MAX_SIZE:
        raise UsageError(
            f"The natural gradient needs at most {MAX_SIZE} meta-parameters, got {g.size}; use natural=False."
        )
    return g.fisher(meta, contexts)
