"""What a distribution over strategies must be able to do, whatever it is over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from gstar.distribution.points import Points
from gstar.distribution.truncated import Differentiable, Powers
from gstar.space import Scalar

Array: TypeAlias = np.ndarray


def rows_of(contexts: Array, n_points: int) -> Array:
    """Returns for each of ``T * n`` points the row of its context, the n of one context together."""
    return np.repeat(np.arange(len(contexts)), n_points // max(1, len(contexts)))


class AbstractDistribution(ABC):
    """Is g: contexts and meta-parameters -> a distribution over strategies, differentiable.

    Wherever there are T contexts and ``T * n`` points, the n points of a context stand together.
    """

    context_size: int
    """X, the number of values in a context."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of meta-parameters W."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Names what the meta-parameters mean: the same for the same space, context and network."""

    @abstractmethod
    def start(self, rng: np.random.Generator, *, at: Mapping[str, Scalar] | None = None, spread: float = 0.5) -> Array:
        """Returns ``(W,)`` meta-parameters to begin with, the same distribution for every context.

        Args:
            rng: Draws the first layer of the network, if there is one.
            at: A configuration to start around; None: the middle of every range, all choices alike.
            spread: How broad: the scale of numbers in units of their range.
        """

    @abstractmethod
    def points(self, configurations: Sequence[Mapping[str, Scalar]]) -> Points:
        """Returns configurations in the form that `log_prob` reads."""

    @abstractmethod
    def draw(self, meta: Array, contexts: Array, uniforms: Array) -> Points:
        """Draws strategies.

        Args:
            meta: ``(W,)`` meta-parameters.
            contexts: ``(T, X)``.
            uniforms: ``(T * n, n_uniforms)`` uniform numbers in [0, 1); the same ones give the same
                draws, and near ones under near meta-parameters: common random numbers.
        """

    @property
    @abstractmethod
    def n_uniforms(self) -> int:
        """How many uniform numbers one draw takes."""

    @abstractmethod
    def log_prob(self, meta: Differentiable, contexts: Array, points: Points) -> Differentiable:
        """Returns ``(T * n,)`` log-probabilities (densities where real numbers are on)."""

    def entropy(self, meta: Differentiable, contexts: Array) -> Differentiable:
        """Returns ``(T,)`` entropies in nats."""
        return self.mean_log_ratio(meta, None, contexts, powers=(-1.0, 0.0))

    def kl(self, meta: Differentiable, other: Differentiable, contexts: Array) -> Differentiable:
        """Returns ``(T,)`` divergences KL(g_meta | g_other)."""
        return self.mean_log_ratio(meta, other, contexts, powers=(1.0, 1.0))

    @abstractmethod
    def mean_log_ratio(
        self, meta: Differentiable, other: Differentiable | None, contexts: Array, *, powers: Powers
    ) -> Differentiable:
        """Returns ``(T,)`` E_g log(g^a / h^b), h of other meta-parameters (None: h = 1): any mix of the two above.

        a H(g) - b KL(g | h), say, has the powers (-a - b, -b), and costs hardly more than one of them.
        """

    @abstractmethod
    def fisher(self, meta: Array, contexts: Array) -> Array:
        """Returns ``(W, W)`` the Hessian of the divergence from g, averaged over contexts."""

    @abstractmethod
    def mode(self, meta: Array, contexts: Array) -> Points:
        """Returns the most probable strategy of each of T contexts."""

    @abstractmethod
    def enumerate(self) -> tuple[Points, Array]:
        """Returns P strategies that stand for all there are, and ``(P,)`` log-sizes of their cells.

        The probability of a cell is exp(`log_prob` + log-size), normalised over the cells.
        """
