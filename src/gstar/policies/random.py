"""Random search: the baseline that every policy must beat."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from gstar.cost import LearnerFacts
from gstar.policies.candidates import canonical, is_spent, learners_for, recorded, taken, tree_for, unique
from gstar.policies.sampling import Draw
from gstar.policy import AbstractPolicy, Context
from gstar.records import Records
from gstar.strategy import Strategy
from gstar.trial import Proposal, Trial


class RandomPolicy(AbstractPolicy):
    """Draws from the tree of strategies uniformly, never the same one twice.

    Each choice on the way down the tree has the same probability, so learners are drawn evenly
    however large their spaces are. `log_prob` is exact, given what was taken before.

    Args:
        records: Used only if `closed`.
        learners: Learners to use instead of the installed ones.
        closed: Whether to draw among the recorded strategies only, as a replay of recorded tasks must.
    """

    name: ClassVar[str] = "random"

    def __init__(
        self, records: Records, *, learners: Mapping[str, LearnerFacts] | None = None, closed: bool = False
    ) -> None:
        self.records = canonical(records)
        self.learners = learners
        self.closed = closed

    @property
    def version(self) -> str:
        """Is constant: there is nothing to learn."""
        return "1"

    def ask(self, contexts: Sequence[Context], rng: np.random.Generator) -> list[Proposal | None]:
        """Returns one draw per context, in order, from the same stream of random numbers."""
        return [self._ask_one(context, rng) for context in contexts]

    def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
        """Learns nothing."""
        return {}

    def _ask_one(self, context: Context, rng: np.random.Generator) -> Proposal | None:
        learners = learners_for(context, self.learners)
        if is_spent(context) or not learners:
            return None
        drawn = self._draw(context, learners, rng)
        if drawn is None:
            return None
        return Proposal(drawn[0], drawn[1], self.name, self.version, reason="drawn at random")

    def _draw(
        self, context: Context, learners: Mapping[str, LearnerFacts], rng: np.random.Generator
    ) -> tuple[Strategy, float] | None:
        if not self.closed:
            return Draw(tree_for(learners, context)).sample_new(taken(context), rng)
        columns = recorded(self.records, learners, context)
        left = unique((self.records.strategies[j] for j in columns), without=taken(context))
        return (left[int(rng.integers(len(left)))], -math.log(len(left))) if left else None
