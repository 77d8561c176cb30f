"""Every learner that is installed keeps the contract."""

from __future__ import annotations

import pytest

from gstar.learner import AbstractLearner, get_learner
from gstar.testing.learner import LearnerContract

LEARNERS = [
    "catboost",
    "cnn",
    "constant",
    "extra_trees",
    "flat_kernel_ridge",
    "flat_lightgbm",
    "flat_linear",
    "flat_mlp",
    "kernel",
    "kernel_ridge",
    "lightgbm",
    "linear",
    "mlp",
    "neighbors",
    "random_forest",
    "rnn",
    "rocket",
    "xgboost",
]


class TestLearners(LearnerContract):
    @pytest.fixture(params=LEARNERS)
    def learner(self, request: pytest.FixtureRequest) -> AbstractLearner:
        return get_learner(request.param)


class TestConvolutionsOnSequences(LearnerContract):
    @pytest.fixture(params=["cnn", "rocket"])
    def learner(self, request: pytest.FixtureRequest) -> AbstractLearner:
        return get_learner(request.param)

    @pytest.fixture
    def form(self) -> str:
        return "sequences"


class TestFlattenedSequences(LearnerContract):
    @pytest.fixture(params=["flat_linear", "flat_kernel_ridge", "flat_lightgbm", "flat_mlp"])
    def learner(self, request: pytest.FixtureRequest) -> AbstractLearner:
        return get_learner(request.param)

    @pytest.fixture
    def form(self) -> str:
        return "sequences"
