"""A distribution over a finite list of strategies: everything follows from their log-probabilities."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from autograd import hessian

from gstar.distribution.base import AbstractDistribution, rows_of
from gstar.distribution.points import Points
from gstar.distribution.segments import log_shares, mean_log_ratio
from gstar.distribution.truncated import Differentiable, Powers
from gstar.errors import UsageError
from gstar.space import Scalar

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class FiniteDistribution(AbstractDistribution):
    """Is a distribution over P candidates; a subclass says how probable they are.

    Args:
        candidates: P points.

    Raises:
        UsageError: If there is no candidate.
    """

    candidates: Points

    def __post_init__(self) -> None:
        if not len(self.candidates):
            raise UsageError("Expected at least one candidate, got none.")
        object.__setattr__(self, "candidates", replace(self.candidates, index=np.arange(len(self.candidates))))

    @abstractmethod
    def log_probs(self, meta: Differentiable, contexts: Array) -> Differentiable:
        """Returns ``(T, P)`` log-probabilities of all candidates."""

    @property
    def n_uniforms(self) -> int:
        """One: where in the list."""
        return 1

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        return {_key(c): i for i, c in enumerate(self.candidates.configurations)}

    def points(self, configurations: Sequence[Mapping[str, Scalar]]) -> Points:
        """Returns candidates by their configurations.

        Raises:
            UsageError: If one is no candidate.
        """
        rows = [self._rows.get(_key(c), -1) for c in configurations]
        if -1 in rows:
            raise UsageError(
                f"Expected one of {len(self.candidates)} candidates, got {configurations[rows.index(-1)]}."
            )
        return self.candidates.take(np.array(rows, int))

    def draw(self, meta: Array, contexts: Array, uniforms: Array) -> Points:
        shares = np.cumsum(np.exp(self.log_probs(meta, contexts)), axis=1)
        rows = rows_of(contexts, len(uniforms))
        below = (uniforms[:, :1] * shares[rows, -1:] >= shares[rows]).sum(axis=1)
        return self.candidates.take(np.minimum(below, len(self.candidates) - 1))

    def log_prob(self, meta: Differentiable, contexts: Array, points: Points) -> Differentiable:
        rows = rows_of(contexts, len(points))
        return self.log_probs(meta, contexts)[rows, points.index]

    def mean_log_ratio(
        self, meta: Differentiable, other: Differentiable | None, contexts: Array, *, powers: Powers
    ) -> Differentiable:
        log_probs = self.log_probs(meta, contexts)
        others = None if other is None else self.log_probs(other, contexts)
        return mean_log_ratio(log_probs, others, np.array([len(self.candidates)]), powers)[:, 0]

    def fisher(self, meta: Array, contexts: Array) -> Array:
        return np.asarray(hessian(lambda theta: self.kl(meta, theta, contexts).mean())(meta))

    def mode(self, meta: Array, contexts: Array) -> Points:
        return self.candidates.take(np.argmax(self.log_probs(meta, contexts), axis=1))

    def enumerate(self) -> tuple[Points, Array]:
        return self.candidates, np.zeros(len(self.candidates))


def log_softmax(logits: Differentiable) -> Differentiable:
    """Returns ``(T, P)`` log-probabilities in proportion to exp(logits)."""
    return log_shares(logits, np.array([np.shape(logits)[1]]))


def _key(configuration: Mapping[str, Scalar]) -> str:
    return json.dumps(configuration, sort_keys=True)
