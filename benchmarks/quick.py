"""A learner that costs nothing, so that all that is left is what gstar itself costs."""

from __future__ import annotations

from gstar.testing.evil import AbstractEvilLearner


class Quick(AbstractEvilLearner):
    """Has a million variants that all predict the same, and misbehaves in no way."""

    name = "quick"

    def misbehave(self) -> None:
        """Does nothing."""
