"""How meta-parameters and a context become the raw numbers of the heads.

All meta-parameters are one flat vector, so that an optimiser, a natural gradient and an
evolution strategy need not know what they move. Without a context the vector is the raw numbers
themselves (*free*). With one, a small network adds what the context changes; its last layer
starts at zero, so that at first g does not look at the context at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import autograd.numpy as anp
import numpy as np

from gstar.distribution.truncated import Differentiable

Array: TypeAlias = np.ndarray


@dataclass(frozen=True)
class ContextMap:
    """Maps ``(T, X)`` contexts to ``(T, K)`` raw numbers.

    Args:
        raw_size: K.
        context_size: X; 0: free numbers.
        hidden: Width of the hidden layer; 0: linear in the context.
    """

    raw_size: int
    context_size: int = 0
    hidden: int = 0

    @property
    def size(self) -> int:
        """The number of meta-parameters W."""
        return self.raw_size + self._inner + self._features * self.raw_size

    @property
    def _features(self) -> int:
        return (self.hidden or self.context_size) if self.context_size else 0

    @property
    def _inner(self) -> int:
        return (self.context_size + 1) * self.hidden if self.context_size else 0

    def start(self, raw: Array, rng: np.random.Generator) -> Array:
        """Returns ``(W,)`` meta-parameters under which every context gives the same raw numbers."""
        inner = rng.normal(0.0, 1.0 / np.sqrt(self.context_size + 1), self._inner)
        return np.concatenate([raw, inner, np.zeros(self.size - len(raw) - len(inner))])

    def __call__(self, meta: Differentiable, contexts: Array) -> Differentiable:
        """Returns ``(T, K)`` raw numbers."""
        base = meta[None, : self.raw_size]
        if not self.context_size:
            return base + np.zeros((len(contexts), 1))
        features: Differentiable = contexts
        if self.hidden:
            inner = anp.reshape(meta[self.raw_size : self.raw_size + self._inner], (self.context_size + 1, self.hidden))
            features = anp.tanh(anp.dot(contexts, inner[:-1]) + inner[-1])
        outer = anp.reshape(meta[self.raw_size + self._inner :], (self._features, self.raw_size))
        return base + anp.dot(features, outer)

    def jacobian(self, meta: Array, contexts: Array) -> Array:
        """Returns ``(T, K, W)`` derivatives of the raw numbers by the meta-parameters."""
        n, k = len(contexts), self.raw_size
        base = np.broadcast_to(np.eye(k), (n, k, k))
        if not self.context_size:
            return np.asarray(base)
        features, parts = contexts, [base]
        if self.hidden:
            inner = meta[k : k + self._inner].reshape(self.context_size + 1, self.hidden)
            outer = meta[k + self._inner :].reshape(self.hidden, k)
            features = np.tanh(contexts @ inner[:-1] + inner[-1])
            inputs = np.c_[contexts, np.ones(n)]
            parts.append(np.einsum("tx,th,hk->tkxh", inputs, 1 - features**2, outer).reshape(n, k, -1))
        parts.append(np.einsum("tf,kj->tkfj", features, np.eye(k)).reshape(n, k, -1))
        return np.concatenate(parts, axis=2)
