"""How alike two strategies are by what they are, before any of them was tried.

Strategies of one learner are alike to 0.5 at least and to 1 where their encodings agree;
strategies of different learners are not alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from gstar.cost import LearnerFacts
from gstar.strategy import INIT_SPACE, PACED_SELECTION_SPACE, SCHEDULE_SPACE, Strategy

Array: TypeAlias = np.ndarray

SAME_LEARNER: Final = 0.5
LENGTH: Final = 0.7
"""Distance in the encoding over which the rest of the likeness falls to exp(-1/2)."""


@dataclass(frozen=True, eq=False)
class Codes:
    """Is P strategies as numbers.

    Args:
        learner: ``(P,)`` int64 number of the learner.
        vectors: ``(P, D)`` encodings, zero-padded to the longest of all learners.
        identity: ``(P,)`` uint64 hashes.
    """

    learner: Array
    vectors: Array
    identity: Array

    def __len__(self) -> int:
        return len(self.learner)

    def take(self, rows: Array) -> Codes:
        """Returns the strategies at these positions."""
        return Codes(self.learner[rows], self.vectors[rows], self.identity[rows])

    def joined(self, other: Codes) -> Codes:
        """Returns these strategies and the others behind them."""
        return Codes(
            np.concatenate([self.learner, other.learner]),
            np.concatenate([self.vectors, other.vectors]),
            np.concatenate([self.identity, other.identity]),
        )


class Encoder:
    """Turns strategies into `Codes`, remembering those it has seen.

    Args:
        learners: Name to learner. A strategy of another learner, or one that its learner's space
            no longer knows, is alike to its own learner only.
    """

    def __init__(self, learners: Mapping[str, LearnerFacts]) -> None:
        self.learners = dict(learners)
        self._numbers = {name: i for i, name in enumerate(sorted(learners))}
        self._init = PACED_SELECTION_SPACE.size + SCHEDULE_SPACE.size
        self._extra = self._init + INIT_SPACE.size
        self.width = self._extra + max((x.space.size for x in learners.values()), default=0)
        self._seen: dict[str, Array] = {}

    def encode(self, strategies: Sequence[Strategy]) -> Codes:
        """Returns the codes of P strategies."""
        return Codes(
            np.array([self._numbers.setdefault(s.learner, len(self._numbers)) for s in strategies], np.int64),
            np.array([self._vector(s) for s in strategies]).reshape(len(strategies), self.width),
            np.array([int(s.hash, 16) for s in strategies], np.uint64),
        )

    def _vector(self, strategy: Strategy) -> Array:
        found = self._seen.get(strategy.hash)
        if found is None:
            found = self._seen[strategy.hash] = self._encode(strategy)
        return found

    def _encode(self, strategy: Strategy) -> Array:
        row = np.zeros(self.width)
        if strategy.learner not in self.learners:
            return row
        try:
            own = self.learners[strategy.learner].space.encode(strategy.configuration)
            row[: PACED_SELECTION_SPACE.size] = PACED_SELECTION_SPACE.encode(strategy.selection)
            if strategy.schedule:
                row[PACED_SELECTION_SPACE.size : self._init] = SCHEDULE_SPACE.encode(strategy.schedule)
            row[self._init : self._extra] = INIT_SPACE.encode(strategy.init or INIT_SPACE.default())
            row[self._extra : self._extra + len(own)] = own
        except (ValueError, AssertionError):
            return np.zeros(self.width)
        return row


def likeness(left: Codes, right: Codes) -> Array:
    """Returns ``(P, Q)`` in [0, 1], a positive semi-definite kernel."""
    distance = np.sum(left.vectors**2, 1)[:, None] + np.sum(right.vectors**2, 1)[None, :]
    distance = np.maximum(distance - 2 * left.vectors @ right.vectors.T, 0.0)
    near = SAME_LEARNER + (1 - SAME_LEARNER) * np.exp(-0.5 * distance / LENGTH**2)
    return np.asarray(near * (left.learner[:, None] == right.learner[None, :]))


def same(left: Codes, right: Codes) -> Array:
    """Returns ``(P, Q)``: 1 where both are the same strategy."""
    return np.asarray(left.identity[:, None] == right.identity[None, :], float)
