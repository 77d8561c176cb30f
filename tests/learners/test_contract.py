"""Every learner that is installed keeps the contract."""

from __future__ import annotations

import pytest

from gstar.learner import AbstractLearner, get_learner
from gstar.testing.learner import LearnerContract

LEARNERS = [
    "catboost",
    "constant",
    "extra_trees",
    "kernel",
    "lightgbm",
    "linear",
    "mlp",
    "neighbors",
    "random_forest",
    "xgboost",
]


class TestLearners(LearnerContract):
    @pytest.fixture(params=LEARNERS)
    def learner(self, request: pytest.FixtureRequest) -> AbstractLearner:
        return get_learner(request.param)
