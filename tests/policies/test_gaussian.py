from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from gstar.metric import TaskKind
from gstar.policies.candidates import built_in
from gstar.policies.gaussian import GaussianPolicy
from gstar.policies.portfolio import PortfolioPolicy
from gstar.policies.random import RandomPolicy
from gstar.policy import AbstractPolicy
from gstar.records import Records
from gstar.strategy import Strategy
from gstar.testing.policy import (
    RECORDS,
    Episode,
    PolicyContract,
    PolicyFactory,
    toy_context,
    toy_learners,
    toy_records,
    toy_trial,
)
from gstar.trial import Proposal


class TestGaussianContract(PolicyContract):
    @pytest.fixture
    def policy_factory(self) -> PolicyFactory:
        return lambda records: GaussianPolicy(records, learners=toy_learners())


class TestSoftGaussianContract(PolicyContract):
    @pytest.fixture
    def policy_factory(self) -> PolicyFactory:
        return lambda records: GaussianPolicy(records, learners=toy_learners(), temperature=0.5)


def _policy(records: Records, **options: Any) -> GaussianPolicy:
    """Is the Gaussian alone: what it proposes once the opening is over."""
    return GaussianPolicy(records, learners=toy_learners(), **{"opening": 0, **options})


def test_opens_with_the_portfolio_and_then_takes_over() -> None:
    records = toy_records(24, 40)
    opened, alone = _policy(records, opening=2), _policy(records)
    listed = PortfolioPolicy(records, learners=toy_learners()).portfolio(toy_context())
    trials: list[Any] = []
    for place in range(2):
        proposal = opened.ask([toy_context(history=tuple(trials))], np.random.default_rng(0))[0]
        assert proposal is not None
        assert proposal.strategy == listed[place]
        assert proposal.policy == "gaussian"
        trials.append(toy_trial(proposal, 0.5 + 0.1 * place))
    after = toy_context(history=tuple(trials))
    then = [policy.ask([after], np.random.default_rng(0))[0] for policy in (opened, alone)]
    assert then[0] == then[1]


def test_without_records_it_opens_with_the_built_in_portfolio() -> None:
    policy = GaussianPolicy(toy_records(0), learners=toy_learners())
    proposals = Episode(policy).run(len(built_in(toy_learners())))
    assert [p.strategy for p in proposals if p is not None] == built_in(toy_learners())


def test_what_the_portfolio_cannot_afford_is_no_reason_to_draw_blindly() -> None:
    policy = GaussianPolicy(toy_records(12), learners=toy_learners())
    context = toy_context(n_rows=200_000, n_features=50, trials_left=None, budget_left_s=3.0)
    proposals = [p for p in Episode(policy, context).run(15) if p is not None]
    cheap = [
        s for s in PortfolioPolicy(policy.records, learners=toy_learners()).portfolio(context) if s.learner == "ridge"
    ]
    assert len(proposals) > len(cheap)
    assert not [p.reason for p in proposals if p.reason.startswith("near a good one")]


def test_remembered_weights_are_among_the_candidates() -> None:
    learners = {**toy_learners(), "network": replace(toy_learners()["network"], handles_initial=True)}
    policy = GaussianPolicy(toy_records(12), learners=learners, opening=0)
    plain = next(s for s in policy.records.strategies if s.learner == "network")
    tuned = replace(plain, init={"kind": "remembered", "body": "fine_tuned"})
    assert tuned in [p.strategy for p in policy.rank(replace(toy_context(), initial=(tuned,)))]
    assert tuned not in [p.strategy for p in policy.rank(toy_context())]


def _first(policy: AbstractPolicy, **changes: Any) -> Proposal:
    (proposal,) = policy.ask([toy_context(**changes)], np.random.default_rng(0))
    assert proposal is not None
    return proposal


def _regret(make: Callable[[Records], AbstractPolicy], records: Records, trials: int) -> float:
    """Mean normalised regret after some trials on tasks whose family was held out."""
    left = []
    for fold in range(3):
        families = frozenset(f for f in records.families if int(f.removeprefix("family")) % 3 == fold)
        policy = make(records.without(families=families))
        for t in (i for i, f in enumerate(records.families) if f in families):
            scores = dict(zip(records.strategies, records.scores[t], strict=True))
            context = toy_context(meta_features=records.meta_features[t], trials_left=99)
            episode = Episode(policy, context, seed=t, score=lambda s, scores=scores: float(scores[s]))  # type: ignore[misc]
            episode.run(trials)
            best = max(trial.score or -np.inf for trial in episode.context.history)
            row = records.scores[t]
            left.append((row.max() - best) / (row.max() - np.median(row)))
    return float(np.mean(left))


def test_beats_the_portfolio_which_beats_chance() -> None:
    records = toy_records(60, 40, holes=0.0)
    regrets: dict[str, list[float]] = {}
    for kind in (RandomPolicy, PortfolioPolicy, GaussianPolicy):
        options = {"opening": 0} if kind is GaussianPolicy else {}
        make = partial(kind, learners=toy_learners(), closed=True, **options)
        regrets[kind.name] = [_regret(make, records, trials) for trials in (1, 3)]
    assert regrets["gaussian"][0] < 0.8 * regrets["portfolio"][0] < 0.6 * regrets["random"][0]
    assert regrets["gaussian"][1] < 0.8 * regrets["portfolio"][1] < 0.6 * regrets["random"][1]


def test_without_records_it_starts_with_the_built_in_portfolio() -> None:
    assert _first(_policy(RECORDS["no records"]())).strategy == built_in(toy_learners())[0]


def test_dear_strategies_must_be_worth_their_time() -> None:
    records = toy_records(24, 40)
    context: dict[str, Any] = {"n_rows": 60_000, "n_features": 40, "meta_features": np.eye(6)[0]}
    timed = {**context, "trials_left": None, "budget_left_s": 500.0}
    best = _first(_policy(records), **context)
    worth = _first(_policy(records), **timed)
    assert worth.predicted_score < best.predicted_score
    assert worth.predicted_cost_s < 0.5 * best.predicted_cost_s
    assert _first(_policy(records, cost_power=0.0), **timed).strategy == best.strategy


def test_folds_cost_as_many_trainings() -> None:
    records = toy_records(24)
    one, five = (_first(_policy(records), folds=folds) for folds in (1, 5))
    assert five.predicted_cost_s == pytest.approx(5 * one.predicted_cost_s)


def test_stops_when_nothing_fits_and_a_model_is_there() -> None:
    policy = _policy(toy_records(24))
    context = {"n_rows": 10**7, "n_features": 500, "trials_left": None, "budget_left_s": 1.0}
    first = _first(policy, **context)
    done = toy_context(**context, history=(toy_trial(first, 0.7, cost_s=400.0),))
    assert policy.ask([done], np.random.default_rng(0)) == [None]


def test_stops_when_nothing_more_is_to_be_gained() -> None:
    records = toy_records(40, 12, holes=0.0)
    sharp = replace(records, scores=0.8 + np.linspace(0, 0.1, 12) + 0 * records.scores)
    policy = _policy(sharp, closed=True, diversity=0.0)
    rows = dict(zip(sharp.strategies, sharp.scores[0], strict=True))
    proposals = Episode(policy, toy_context(trials_left=99), score=lambda s: float(rows[s])).run(12)
    assert proposals[0] is not None
    assert proposals[0].strategy == sharp.strategies[-1]
    assert proposals[-1] is None
    assert len(proposals) < 12


def test_a_task_that_comes_again_is_recognised() -> None:
    records = toy_records(40, 40, holes=0.0)
    task = 7
    best = int(np.argmax(records.scores[task]))
    again = _policy(records)
    fresh = _policy(records.without(tasks=frozenset([records.tasks[task]])))
    context: dict[str, Any] = {"task": records.tasks[task], "meta_features": np.zeros(6)}
    assert _first(again, **context).strategy == records.strategies[best]
    assert _first(fresh, **context).strategy != records.strategies[best]


def test_a_different_model_is_worth_something() -> None:
    records = toy_records(40, 40, holes=0.0)
    meta = np.eye(6)[0] * 3.0
    first = _first(_policy(records), meta_features=meta)
    history = (toy_trial(first, 0.9),)
    plain, diverse = (_first(_policy(records, diversity=d), meta_features=meta, history=history) for d in (0.0, 5.0))
    assert plain.strategy.learner == first.strategy.learner
    assert diverse.strategy.learner != first.strategy.learner
    assert diverse.predicted_score < plain.predicted_score


def test_what_is_running_is_not_doubled() -> None:
    records = toy_records(40, 40, holes=0.0)
    policy = _policy(records)
    first = _first(policy)
    second = _first(policy, pending=(first.strategy,))
    assert second.strategy != first.strategy


def test_log_probabilities_are_those_of_the_draws() -> None:
    policy = _policy(toy_records(24, 8), temperature=0.3, closed=True)
    n = 1500
    drawn = [p for p in policy.ask([toy_context()] * n, np.random.default_rng(0)) if p is not None]
    stated = {p.strategy: math.exp(p.log_prob) for p in drawn}
    assert sum(stated.values()) == pytest.approx(1, abs=0.01)
    for strategy, count in Counter(p.strategy for p in drawn).items():
        p = stated[strategy]
        assert abs(count / n - p) < 4 * math.sqrt(p * (1 - p) / n) + 1e-9


def test_says_why() -> None:
    records = toy_records(24, holes=0.0)
    reason = _first(_policy(records, closed=True)).reason
    assert reason.startswith("good on ")
    assert "of 10 similar tasks" in reason
    assert "predicted score rank " in reason
    assert _first(_policy(RECORDS["no records"]())).reason.startswith("not tried on other tasks yet")


def test_ranks_all_that_fits() -> None:
    policy = _policy(toy_records(24))
    ranked = policy.rank(toy_context())
    assert ranked[0].strategy == _first(policy).strategy
    assert len({p.strategy for p in ranked}) == len(ranked) >= 20
    assert policy.rank(toy_context(), limit=3) == ranked[:3]
    assert policy.rank(toy_context(trials_left=0)) == []


def test_the_baseline_that_the_search_trains_does_not_mislead() -> None:
    policy = _policy(toy_records(24))
    constant = toy_trial(Proposal(Strategy("constant"), 0.0, "baseline"), 0.5, cost_s=0.001)
    plain, after = _first(policy), _first(policy, history=(constant,))
    assert after.strategy == plain.strategy
    assert after.predicted_score == plain.predicted_score
    assert after.predicted_cost_s == plain.predicted_cost_s


def test_records_of_another_kind_are_not_used() -> None:
    with_records, without = (_policy(r) for r in (toy_records(24), RECORDS["no records"]()))
    assert _first(with_records, kind=TaskKind.REGRESSION).strategy == _first(without, kind=TaskKind.REGRESSION).strategy


def test_candidates_near_the_best_appear_as_trials_come_in() -> None:
    policy = _policy(RECORDS["no records"]())
    proposals = Episode(policy, toy_context(trials_left=99)).run(12)
    strategies = [p.strategy for p in proposals if p is not None]
    assert len(set(strategies) - set(built_in(toy_learners()))) >= 8
