from __future__ import annotations

import pytest

from gstar.policies.gradient import GradientPolicy
from gstar.testing.policy import PolicyContract, PolicyFactory, toy_learners


class TestGradientContract(PolicyContract):
    @pytest.fixture
    def policy_factory(self) -> PolicyFactory:
        return lambda records: GradientPolicy(records, learners=toy_learners())
