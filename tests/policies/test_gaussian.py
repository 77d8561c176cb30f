from __future__ import annotations

import pytest

from gstar.policies.gaussian import GaussianPolicy
from gstar.testing.policy import PolicyContract, PolicyFactory, toy_learners


class TestGaussianContract(PolicyContract):
    @pytest.fixture
    def policy_factory(self) -> PolicyFactory:
        return lambda records: GaussianPolicy(records, learners=toy_learners())
