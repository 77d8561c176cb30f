"""A learner that costs nothing, and a policy that lets it, so that all that is left is what gstar itself costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from gstar.policy import AbstractPolicy, Context
from gstar.testing.evil import AbstractEvilLearner
from gstar.trial import Proposal, Trial


class Quick(AbstractEvilLearner):
    """Has a million variants that all predict the same, and misbehaves in no way."""

    name = "quick"

    def misbehave(self) -> None:
        """Does nothing."""


class AllRows(AbstractPolicy):
    """Proposes what another policy does, but on all rows: a selection of rows may train models to find them."""

    name: ClassVar[str] = "all_rows"

    def __init__(self, inner: AbstractPolicy):
        self.inner = inner

    @property
    def version(self) -> str:
        return self.inner.version

    def ask(self, contexts: Sequence[Context], rng: np.random.Generator) -> list[Proposal | None]:
        found = self.inner.ask(contexts, rng)
        return [p and replace(p, strategy=replace(p.strategy, selection={"kind": "all"})) for p in found]

    def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
        return self.inner.tell(trials)
