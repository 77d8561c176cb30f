"""The policy that draws from g: what every policy promises, and what only this one does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from gstar.contexts import NAMES, context_vector
from gstar.distribution import TreeDistribution
from gstar.errors import StorageError, UntrustedFileError
from gstar.learned import Learned
from gstar.metric import TaskKind
from gstar.policies.candidates import tree_for
from gstar.policies.gradient import GradientPolicy, Preference
from gstar.records import Records
from gstar.strategy import Strategy, with_init
from gstar.testing.policy import (
    N_META_FEATURES,
    Episode,
    PolicyContract,
    PolicyFactory,
    toy_context,
    toy_learners,
    toy_records,
    toy_strategies,
    toy_trial,
)
from gstar.trace import init_chances
from gstar.trial import Proposal

NOTHING = Records.empty(TaskKind.BINARY, N_META_FEATURES)


def _learned(**at) -> Learned:
    """Returns a g over the toy learners that sees the context and prefers a point."""
    g = TreeDistribution(tree_for(toy_learners(), toy_context()), context_size=len(NAMES), hidden=3)
    return Learned(g, g.start(np.random.default_rng(0), at=at, spread=0.2 if at else 0.5))


class TestGradientContract(PolicyContract):
    @pytest.fixture
    def policy_factory(self) -> PolicyFactory:
        return lambda records: GradientPolicy(records, learners=toy_learners())


class TestMetaTrainedContract(PolicyContract):
    @pytest.fixture
    def policy_factory(self) -> PolicyFactory:
        return lambda records: GradientPolicy(records, learners=toy_learners(), weights=_learned())


def _learners(policy: GradientPolicy, n: int = 40, **changes) -> list[str]:
    """Returns the learners that are proposed first, under n seeds."""
    context = toy_context(**changes)
    asked = [policy.ask([context], np.random.default_rng(seed))[0] for seed in range(n)]
    return [p.strategy.learner for p in asked if p is not None]


def _records(best: str) -> Records:
    """Returns records of 12 tasks on which one learner is always best."""
    records = toy_records(12, holes=0.0)
    good = np.array([s.learner == best for s in records.strategies])
    return replace(records, scores=np.where(good, 0.9, 0.5) + 0.01 * np.random.default_rng(0).random((12, 20)))


@pytest.mark.parametrize("best", sorted(toy_learners()))
def test_it_prefers_what_was_best_on_other_tasks(best: str):
    named = _learners(GradientPolicy(_records(best), learners=toy_learners()))
    assert named.count(best) > 0.6 * len(named)


def test_it_chooses_by_what_it_sees_of_a_task():
    """Binary tasks with many rows want trees, those with few rows ridge."""
    records = toy_records(24, holes=0.0)
    rows = np.where(np.arange(24) % 2, 100.0, 50_000.0)
    trees = np.array([s.learner == "trees" for s in records.strategies])
    ridge = np.array([s.learner == "ridge" for s in records.strategies])
    scores = 0.5 + 0.4 * np.where(rows[:, None] > 1000, trees, ridge) + 0.001 * records.scores
    shapes = np.c_[rows, np.full(24, 10.0), np.full(24, 2.0)]
    policy = GradientPolicy(replace(records, scores=scores, shapes=shapes), learners=toy_learners())
    large, small = (_learners(policy, n_rows=n) for n in (50_000, 100))
    assert large.count("trees") > small.count("trees") + 10
    assert small.count("ridge") > large.count("ridge") + 10


@pytest.mark.parametrize("best", sorted(toy_learners()))
def test_it_draws_from_weights_that_were_meta_trained(best: str):
    named = _learners(GradientPolicy(NOTHING, learners=toy_learners(), weights=_learned(learner=best)))
    assert named.count(best) > 0.8 * len(named)


@pytest.mark.parametrize("weights", [None, _learned()], ids=["records", "meta-trained"])
def test_the_trials_of_a_task_move_it(weights: Learned | None):
    policy = GradientPolicy(NOTHING, learners=toy_learners(), weights=weights)
    strategies = toy_strategies(12, seed=5)
    history = tuple(
        toy_trial(Proposal(s, 0.0, "gradient", "1"), 0.9 if s.learner == "trees" else 0.5) for s in strategies
    )
    before, after = _learners(policy), _learners(policy, history=history)
    assert after.count("trees") > before.count("trees") + 5


def test_failures_count_as_the_worst():
    policy = GradientPolicy(NOTHING, learners=toy_learners(), weights=_learned())
    history = tuple(
        toy_trial(Proposal(s, 0.0, "gradient", "1"), None if s.learner == "trees" else 0.5)
        for s in toy_strategies(12, seed=5)
    )
    assert _learners(policy, history=history).count("trees") < _learners(policy).count("trees")


def test_trials_of_learners_it_does_not_know_are_passed_over():
    policy = GradientPolicy(NOTHING, learners=toy_learners(), weights=_learned())
    history = tuple(toy_trial(Proposal(Strategy(f"other{i}"), 0.0, "random", "1"), 0.1 * i) for i in range(4))
    assert _learners(policy, history=history) == _learners(policy)


def test_a_closed_one_proposes_recorded_strategies_only():
    records = toy_records(8, 6)
    proposals = Episode(GradientPolicy(records, learners=toy_learners(), closed=True)).run(10)
    assert [p is None for p in proposals] == [False] * 6 + [True]
    assert {p.strategy for p in proposals[:6]} == set(records.strategies)
    assert len(Episode(GradientPolicy(records, learners=toy_learners())).run(10)) == 10, "an open one goes on"


def test_what_takes_too_long_is_not_proposed():
    policy = GradientPolicy(NOTHING, learners=toy_learners(), weights=_learned(learner="network"))
    done = toy_trial(Proposal(toy_strategies(1)[0], 0.0, "gradient", "1"), 0.5, cost_s=0.1)
    patient, hasty = (
        _learners(policy, n_rows=10**8, trials_left=None, budget_left_s=seconds, history=(done,))
        for seconds in (1e9, 2.0)
    )
    assert patient.count("network") > 0.8 * len(patient)
    assert "network" not in hasty


def test_its_version_names_what_it_knows():
    policies = [
        GradientPolicy(NOTHING),
        GradientPolicy(toy_records(3)),
        GradientPolicy(NOTHING, weights=_learned()),
        GradientPolicy(NOTHING, weights=_learned(learner="trees")),
    ]
    assert len({p.version for p in policies}) == 4
    assert GradientPolicy(toy_records(3)).version == policies[1].version


def test_weights_come_from_a_file(tmp_path: Path):
    _learned(learner="trees").save(tmp_path / "g")
    policy = GradientPolicy(NOTHING, learners=toy_learners(), weights=tmp_path / "g")
    assert policy.version == GradientPolicy(NOTHING, weights=_learned(learner="trees")).version
    with pytest.raises(StorageError, match="could not be read"):
        GradientPolicy(NOTHING, weights=tmp_path / "none")
    (tmp_path / "g").write_bytes(b"something else")
    with pytest.raises(UntrustedFileError, match="Expected a g that `gstar meta-train` wrote"):
        GradientPolicy(NOTHING, weights=tmp_path / "g")


def test_a_g_for_other_learners_is_not_used():
    with_weights = GradientPolicy(NOTHING, learners={"other": toy_learners()["trees"]}, weights=_learned())
    (proposal,) = with_weights.ask([toy_context(learners=("other",))], np.random.default_rng(0))
    assert proposal is not None
    assert proposal.strategy.learner == "other"


class TestFirstWeights:
    LEARNERS: ClassVar = {**toy_learners(), "network": replace(toy_learners()["network"], handles_initial=True)}
    REMEMBERED: ClassVar = {"kind": "remembered", "body": "fine_tuned"}

    def learned(self) -> Learned:
        """A g that prefers to fine-tune the network."""
        tree = with_init(tree_for(self.LEARNERS, toy_context()), frozenset({"network"}))
        g = TreeDistribution(tree, context_size=len(NAMES))
        at = {"learner": "network", "init.kind": "remembered", "init.body": "fine_tuned"}
        return Learned(g, g.start(np.random.default_rng(0), at=at, spread=0.1))

    def proposals(self, initial=(), n: int = 30) -> list[Proposal]:
        """What it proposes for the network, under n seeds."""
        policy = GradientPolicy(NOTHING, learners=self.LEARNERS, weights=self.learned())
        context = replace(toy_context(), initial=initial)
        asked = [policy.ask([context], np.random.default_rng(seed))[0] for seed in range(n)]
        return [p for p in asked if p is not None and p.strategy.learner == "network"]

    def proposed(self, initial=()) -> list[Strategy]:
        return [proposal.strategy for proposal in self.proposals(initial)]

    def test_it_begins_with_those_that_are_remembered_and_takes_their_body(self):
        known = next(s for s in toy_strategies(30) if s.learner == "network")
        drawn = self.proposed((replace(known, init=self.REMEMBERED),))
        begun = [s for s in drawn if s.init]
        assert len(begun) > 0.8 * len(drawn) > 0
        assert all(s.configuration == known.configuration for s in begun)
        assert any(s.configuration != known.configuration for s in self.proposed())

    def test_without_any_it_begins_from_scratch_and_says_how_likely_that_was(self):
        drawn, learned = self.proposals(), self.learned()
        assert len(drawn) > 20
        context = context_vector(toy_context())[None]
        for proposal in drawn:
            assert not proposal.strategy.init
            points = learned.g.points([proposal.strategy.to_point(learned.g.space)])
            of_scratch = init_chances(learned.g, learned.meta, context)["scratch"]
            expected = learned.g.log_prob(learned.meta, context, points)[0] - np.log(of_scratch)
            assert proposal.log_prob == pytest.approx(expected, abs=1e-3)

    def test_with_those_of_another_learner_it_begins_from_scratch(self):
        drawn = self.proposed((Strategy("trees", init=self.REMEMBERED),))
        assert len(drawn) > 20
        assert all(not s.init for s in drawn)


def test_the_best_trial_counts_however_long_ago_it_was(monkeypatch):
    monkeypatch.setattr("gstar.policies.gradient.TRIALS", 2)
    records = toy_records(12)
    preference = Preference.learn(records, range(len(records.strategies)))
    scores = [0.9, 0.1, 0.2, None]
    history = tuple(
        toy_trial(Proposal(s, 0.0, "given"), score) for s, score in zip(records.strategies, scores, strict=False)
    )
    shown = preference.log_probs(toy_context(history=history))
    best = preference.log_probs(toy_context(history=(history[2], history[0])))
    np.testing.assert_allclose(shown, best)
