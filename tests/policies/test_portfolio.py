from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gstar.metric import TaskKind
from gstar.policies.candidates import built_in
from gstar.policies.portfolio import PortfolioPolicy, family_weights, greedy_portfolio, nearness
from gstar.records import Records
from gstar.testing.policy import (
    N_META_FEATURES,
    RECORDS,
    Episode,
    PolicyContract,
    PolicyFactory,
    toy_context,
    toy_learners,
    toy_records,
    toy_trial,
)


class TestPortfolioContract(PolicyContract):
    @pytest.fixture
    def policy_factory(self) -> PolicyFactory:
        return lambda records: PortfolioPolicy(records, learners=toy_learners())


def _policy(records: Records, **options: bool) -> PortfolioPolicy:
    return PortfolioPolicy(records, learners=toy_learners(), **options)


def test_greedy_takes_the_best_mean_first_then_what_complements_it() -> None:
    values = np.array([[0.8, 1.0, 0.0, 0.1], [0.8, 0.0, 0.9, 0.1], [0.8, -1.0, 0.0, 0.1]])
    assert greedy_portfolio(values, np.ones(3)) == [0, 1, 2]


def test_greedy_is_never_worse_than_any_other_prefix_of_one() -> None:
    values = np.random.default_rng(0).normal(size=(20, 12))
    order = greedy_portfolio(values, np.ones(20))
    reached = np.maximum.accumulate(np.maximum(values, -1)[:, order], axis=1).mean(axis=0)
    assert order[0] == int(np.argmax(np.maximum(values, -1).mean(axis=0)))
    assert np.all(np.diff(reached) > 0)
    assert reached[-1] == pytest.approx(values.max(axis=1).mean())


def test_what_is_not_known_never_helps() -> None:
    assert greedy_portfolio(np.array([[0.1, np.nan], [0.2, np.nan]]), np.ones(2)) == [0]


def test_a_family_counts_once() -> None:
    np.testing.assert_allclose(family_weights(["a", "b", "a", "", ""]), [0.5, 1, 0.5, 1, 1])
    values = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.1]])
    assert greedy_portfolio(values, family_weights(["a", "a", "b"]))[0] == 1


def test_a_task_is_near_itself_and_far_from_strangers() -> None:
    records = toy_records(12)
    np.testing.assert_allclose(nearness(records, records.meta_features[3])[3], 1.0)
    assert np.delete(nearness(records, records.meta_features[3]), 3).max() < 0.5
    assert nearness(records, np.zeros(2)).max() == 0.0, "meta-features of another version tell nothing"


def test_what_was_best_on_another_part_of_the_same_data_comes_first() -> None:
    records = toy_records(12, holes=0.0)
    policy = _policy(records)
    usual = policy.portfolio(toy_context(task="0" * 32, meta_features=np.full(N_META_FEATURES, 9.0)))[0]
    bests = [records.strategies[j] for j in np.argmax(records.scores, axis=1)]
    task = next(t for t, best in enumerate(bests) if best != usual)
    there = toy_context(meta_features=records.meta_features[task] + 1e-3)
    assert policy.portfolio(there)[0] == bests[task]
    proposal = policy.ask([there], np.random.default_rng(0))[0]
    assert proposal is not None
    assert "learned from tasks like this one" in proposal.reason


def test_proposes_the_portfolio_in_order_and_then_the_built_in_one() -> None:
    policy = _policy(toy_records(12))
    listed = policy.portfolio(toy_context())
    proposals = Episode(policy).run(5)
    assert [p.strategy for p in proposals if p is not None] == listed[:5]
    assert all(p.log_prob == 0.0 for p in proposals if p is not None)
    assert set(built_in(toy_learners())) <= set(listed)


def test_without_records_it_is_the_built_in_portfolio() -> None:
    assert _policy(RECORDS["no records"]()).portfolio(toy_context()) == built_in(toy_learners())


def test_what_fits_the_budget_goes_first() -> None:
    policy = _policy(toy_records(12))
    context = toy_context(n_rows=200_000, n_features=50, trials_left=None)
    rich, poor = (Episode(policy, replace(context, budget_left_s=left)).run(1)[0] for left in (1e6, 3.0))
    assert rich is not None
    assert poor is not None
    assert rich.strategy == policy.portfolio(context)[0]
    assert poor.strategy.learner == "ridge", "the only learner that is cheap on many rows"


def test_stops_when_nothing_fits_and_a_model_is_there() -> None:
    policy = _policy(toy_records(12))
    context = toy_context(n_rows=10**7, n_features=500, trials_left=None, budget_left_s=1.0)
    (first,) = policy.ask([context], np.random.default_rng(0))
    assert first is not None, "a late model is better than none"
    done = replace(context, history=(toy_trial(first, 0.7, cost_s=400.0),))
    assert policy.ask([done], np.random.default_rng(0)) == [None]


def test_draws_near_the_good_ones_when_used_up() -> None:
    policy = _policy(RECORDS["no records"]())
    score = {"ridge": 0.9, "trees": 0.5, "network": 0.4}
    episode = Episode(policy, toy_context(trials_left=99), score=lambda strategy: score[strategy.learner])
    proposals = [p for p in episode.run(30) if p is not None]
    assert [p.strategy for p in proposals[:3]] == built_in(toy_learners())
    later = proposals[3:]
    assert len(later) == 27
    assert all(p.reason.startswith("near a good one") for p in later)
    assert all(math.isfinite(p.log_prob) and p.log_prob != 0.0 for p in later)
    assert sum(p.strategy.learner == "ridge" for p in later) > 13


def test_closed_lists_every_recorded_strategy() -> None:
    records = toy_records(12)
    policy = _policy(records, closed=True)
    assert set(policy.portfolio(toy_context())) == set(records.strategies)
    assert Episode(policy, toy_context(trials_left=99)).run(30)[-1] is None


def test_records_of_another_kind_are_not_used() -> None:
    policy = _policy(toy_records(12))
    assert policy.portfolio(toy_context(kind=TaskKind.REGRESSION)) == built_in(toy_learners())


def test_the_version_names_the_records() -> None:
    assert _policy(toy_records(12)).version == _policy(toy_records(12)).version
    assert _policy(toy_records(12)).version != _policy(toy_records(13)).version


def test_the_weights_of_a_similar_task_are_tried_behind_their_learner() -> None:
    learners = {**toy_learners(), "network": replace(toy_learners()["network"], handles_initial=True)}
    policy = PortfolioPolicy(toy_records(0), learners=learners)
    plain = next(s for s in policy.portfolio(toy_context()) if s.learner == "network")
    tuned = replace(plain, init={"kind": "remembered", "body": "fine_tuned"})
    context, asked = replace(toy_context(), initial=(tuned,), budget_left_s=None, trials_left=9), []
    for _ in range(4):
        proposal = policy.ask([replace(context, pending=tuple(asked))], np.random.default_rng(0))[0]
        assert proposal is not None
        asked.append(proposal.strategy)
        if proposal.strategy == tuned:
            assert proposal.reason.startswith("similar task")
    assert asked[asked.index(plain) + 1] == tuned
    assert asked.count(tuned) == 1
