"""g cut to a finite list of strategies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from gstar.distribution.finite import FiniteDistribution, log_softmax
from gstar.distribution.tree import TreeDistribution
from gstar.distribution.truncated import Differentiable
from gstar.space import Scalar

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class CandidateDistribution(FiniteDistribution):
    """Is g cut to a finite list of strategies: a softmax over their log-probabilities in a tree.

    This is how g plays on recorded tasks, where only what was tried has a reward, and how it chooses
    among strategies that are known to work.

    Args:
        candidates: P points of the tree's space.
        tree: The distribution over all strategies, whose meta-parameters these are.
        prior: ``(P,)`` log-weights added to every task's, or None.

    Raises:
        UsageError: If there is no candidate.
    """

    tree: TreeDistribution
    prior: Array | None = None

    @property
    def context_size(self) -> int:  # type: ignore[override]
        """X, that of the tree."""
        return self.tree.context_size

    @property
    def size(self) -> int:
        """The number of meta-parameters W, those of the tree."""
        return self.tree.size

    @cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self.tree.fingerprint} {list(self._rows)}".encode())
        digest.update(b"" if self.prior is None else np.ascontiguousarray(self.prior, float).tobytes())
        return digest.hexdigest()[:16]

    def start(self, rng: np.random.Generator, *, at: Mapping[str, Scalar] | None = None, spread: float = 0.5) -> Array:
        return self.tree.start(rng, at=at, spread=spread)

    def log_probs(self, meta: Differentiable, contexts: Array) -> Differentiable:
        logits = self.tree.log_probs(meta, contexts, self.candidates)
        return log_softmax(logits if self.prior is None else logits + self.prior)
