from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from gstar.policies.candidates import tree_for
from gstar.policies.random import RandomPolicy
from gstar.testing.policy import Episode, PolicyContract, PolicyFactory, toy_context, toy_learners, toy_records


class TestRandomContract(PolicyContract):
    @pytest.fixture
    def policy_factory(self) -> PolicyFactory:
        return lambda records: RandomPolicy(records, learners=toy_learners())


class TestClosedRandomContract(PolicyContract):
    """With many strategies, so that the closed set is not used up."""

    @pytest.fixture(params=[3, 24])
    def records(self, request: pytest.FixtureRequest):
        return toy_records(request.param, 60)

    @pytest.fixture
    def policy_factory(self) -> PolicyFactory:
        return lambda records: RandomPolicy(records, learners=toy_learners(), closed=True)


def test_learners_are_drawn_evenly() -> None:
    policy = RandomPolicy(toy_records(1), learners=toy_learners())
    drawn = policy.ask([toy_context()] * 600, np.random.default_rng(0))
    counts = Counter(p.strategy.learner for p in drawn if p is not None)
    assert set(counts) == set(toy_learners())
    assert min(counts.values()) > 150


def test_the_first_log_probability_is_that_of_the_tree() -> None:
    policy = RandomPolicy(toy_records(1), learners=toy_learners())
    tree = tree_for(toy_learners(), toy_context())
    for proposal in policy.ask([toy_context()] * 20, np.random.default_rng(1)):
        assert proposal is not None
        assert proposal.log_prob == pytest.approx(tree.log_prob(proposal.strategy.to_point()))


def test_closed_draws_each_recorded_strategy_once_and_stops() -> None:
    records = toy_records(6, 5)
    proposals = Episode(RandomPolicy(records, learners=toy_learners(), closed=True), toy_context(trials_left=99)).run(9)
    assert {p.strategy for p in proposals if p is not None} == set(records.strategies)
    assert proposals[-1] is None
    assert [p.log_prob for p in proposals if p is not None] == [-math.log(n) for n in (5, 4, 3, 2, 1)]
