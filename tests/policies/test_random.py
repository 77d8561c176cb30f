from __future__ import annotations

import pytest

from gstar.policies.random import RandomPolicy
from gstar.testing.policy import PolicyContract, PolicyFactory, toy_learners


class TestRandomContract(PolicyContract):
    @pytest.fixture
    def policy_factory(self) -> PolicyFactory:
        return lambda records: RandomPolicy(records, learners=toy_learners())
