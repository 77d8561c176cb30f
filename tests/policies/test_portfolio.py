from __future__ import annotations

import pytest

from gstar.policies.portfolio import PortfolioPolicy
from gstar.testing.policy import PolicyContract, PolicyFactory, toy_learners


class TestPortfolioContract(PolicyContract):
    @pytest.fixture
    def policy_factory(self) -> PolicyFactory:
        return lambda records: PortfolioPolicy(records, learners=toy_learners())
