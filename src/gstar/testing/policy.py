"""What every policy must promise, as a test class to inherit, with toy learners and toy records.

from gstar.testing.policy import PolicyContract, toy_learners

class TestMyPolicy(PolicyContract):
    @pytest.fixture
    def policy_factory(self):
        return lambda records: MyPolicy(records, learners=toy_learners())
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import numpy as np
import pytest

from gstar.metric import TaskKind
from gstar.policy import AbstractPolicy, Context
from gstar.records import Records
from gstar.space import Categorical, Condition, Configuration, Integer, Real, Scalar, Space
from gstar.strategy import SCHEDULE_SPACE, SELECTION_SPACE, Strategy
from gstar.trial import Proposal, Status, Trial

Array: TypeAlias = np.ndarray
PolicyFactory: TypeAlias = Callable[[Records], AbstractPolicy]

N_META_FEATURES: Final = 6


@dataclass(frozen=True)
class ToyLearner:
    """Is as much of a learner as a policy sees: a space, and what it costs."""

    space: Space
    has_schedule: bool = False
    handles_pace: bool = False
    is_anytime: bool = False
    handles_initial: bool = False
    default_schedule: Mapping[str, Scalar] = field(default_factory=dict)
    seconds_per_cell: float = 1e-6

    def has_same_body(self, a: Mapping[str, Scalar], b: Mapping[str, Scalar]) -> bool:
        """Tells whether two configurations are the same."""
        return a == b

    def with_body(self, configuration: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> Configuration:
        """Returns the other configuration."""
        return dict(other)

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        """Returns seconds that grow with the cells of the table."""
        return self.seconds_per_cell * rows * features * max(1, classes)


def toy_learners() -> dict[str, ToyLearner]:
    """Returns three learners with spaces of different shapes and costs."""
    return {
        "ridge": ToyLearner(Space({"strength": Real(1e-3, 1e3, log=True)}), seconds_per_cell=1e-7),
        "trees": ToyLearner(Space({"depth": Integer(2, 12), "leaf": Integer(1, 64, log=True)}), seconds_per_cell=2e-6),
        "network": ToyLearner(
            Space(
                {"kind": Categorical(("plain", "wide")), "rate": Real(1e-4, 1e-1, log=True), "width": Integer(8, 256)},
                {"width": Condition("kind", ("wide",))},
            ),
            has_schedule=True,
            seconds_per_cell=1e-5,
        ),
    }


def toy_strategies(n: int, seed: int = 0) -> tuple[Strategy, ...]:
    """Returns n different strategies of the toy learners, all rows, a constant rate."""
    rng = np.random.default_rng(seed)
    learners = toy_learners()
    found: dict[Strategy, None] = {}
    while len(found) < n:
        name = sorted(learners)[int(rng.integers(len(learners)))]
        schedule = SCHEDULE_SPACE.default() if learners[name].has_schedule else {}
        found[Strategy(name, learners[name].space.sample(rng), SELECTION_SPACE.default(), schedule)] = None
    return tuple(found)


def toy_records(n_tasks: int, n_strategies: int = 20, seed: int = 0, *, holes: float = 0.2) -> Records:
    """Returns records of clustered binary tasks: which learner is best depends on a meta-feature.

    Args:
        n_tasks: T.
        n_strategies: P.
        seed: Of everything random.
        holes: Share of the cells without a score; a tenth of these are failures.
    """
    rng = np.random.default_rng(seed)
    strategies = toy_strategies(n_strategies, seed)
    names = sorted(toy_learners())
    learner = np.array([names.index(s.learner) for s in strategies])
    meta = rng.normal(size=(n_tasks, N_META_FEATURES))
    taste = np.stack([meta[:, 0], -meta[:, 0], 0.3 * meta[:, 1]], axis=1)  # (T, learners)
    quality = taste[:, learner] + rng.normal(0, 0.4, n_strategies) + rng.normal(0, 0.2, (n_tasks, n_strategies))
    level, width = rng.uniform(0.6, 0.9, (n_tasks, 1)), rng.uniform(0.01, 0.04, (n_tasks, 1))
    hole = rng.random(quality.shape) < holes
    failed = hole & (rng.random(quality.shape) < 0.1)
    shapes = np.stack([rng.integers(200, 5000, n_tasks), rng.integers(3, 40, n_tasks), np.full(n_tasks, 2)], axis=1)
    work = [[toy_learners()[s.learner].work(r, f, c, s.configuration) for s in strategies] for r, f, c in shapes]
    costs = np.reshape(work, quality.shape) * rng.lognormal(0.5, 0.3, quality.shape)
    return Records(
        TaskKind.BINARY,
        tuple(f"{i:032x}" for i in range(n_tasks)),
        tuple(f"family{i // 2}" for i in range(n_tasks)),
        shapes.astype(float),
        meta,
        strategies,
        np.where(hole, np.nan, level + width * quality),
        np.where(hole, np.nan, costs),
        (~hole).astype(float),
        failed.astype(float),
    )


def toy_context(**changes: Any) -> Context:
    """Returns a context of a new binary task with all toy learners and ten trials left."""
    context = Context(
        task="f" * 32,
        kind=TaskKind.BINARY,
        form="table",
        metric="roc_auc",
        n_rows=1000,
        n_features=10,
        n_classes=2,
        meta_features=np.zeros(N_META_FEATURES),
        learners=tuple(sorted(toy_learners())),
        trials_left=10,
    )
    return replace(context, **changes)


def toy_trial(proposal: Proposal, score: float | None, *, cost_s: float = 0.1) -> Trial:
    """Returns what came of a proposal; a score of None is a failure."""
    status = Status.FAILED if score is None else Status.COMPLETED
    return Trial(proposal, "f" * 32, status, "holdout", 0, "roc_auc", score=score, cost_s=cost_s)


@dataclass
class Episode:
    """Asks a policy again and again about one task, and remembers.

    Args:
        policy: What is asked.
        context: Where it starts; the history grows.
        seed: Of the stream of random numbers, one for the whole episode.
        score: What a strategy reaches, None for a failure.
    """

    policy: AbstractPolicy
    context: Context = field(default_factory=toy_context)
    seed: int = 0
    score: Callable[[Strategy], float | None] = lambda strategy: 0.5 + int(strategy.hash, 16) % 997 / 2000

    def run(self, n: int) -> list[Proposal | None]:
        """Returns up to n proposals; the last one may be None."""
        rng = np.random.default_rng(self.seed)
        proposals: list[Proposal | None] = []
        for _ in range(n):
            (proposal,) = self.policy.ask([self.context], rng)
            proposals.append(proposal)
            if proposal is None:
                break
            trial = toy_trial(proposal, self.score(proposal.strategy))
            self.context = replace(self.context, history=(*self.context.history, trial))
        return proposals


RECORDS: Final[Mapping[str, Callable[[], Records]]] = {
    "no records": lambda: Records.empty(TaskKind.BINARY, N_META_FEATURES),
    "one task": lambda: toy_records(1),
    "many tasks": lambda: toy_records(24),
}


class PolicyContract:
    """Is what a policy must promise. Inherit, and give the fixture `policy_factory`."""

    @pytest.fixture
    def policy_factory(self) -> PolicyFactory:
        """Returns a function from records to a policy that knows `toy_learners`."""
        raise NotImplementedError("Give the fixture policy_factory: a function from records to a policy.")

    @pytest.fixture(params=sorted(RECORDS))
    def records(self, request: pytest.FixtureRequest) -> Records:
        """Returns records of a machine that knows nothing, little, and much."""
        return RECORDS[request.param]()

    def test_proposals_are_valid_points(self, policy_factory: PolicyFactory, records: Records) -> None:
        """A proposal is a point of its learner's space, and selects rows in a way the task allows."""
        learners = toy_learners()
        for proposal in _given(Episode(policy_factory(records)).run(8)):
            strategy = proposal.strategy
            learners[strategy.learner].space.validate(strategy.configuration)
            SELECTION_SPACE.validate(strategy.selection)
            rated = learners[strategy.learner].has_schedule
            assert bool(strategy.schedule) == rated, f"A schedule is for learners with a rate, got {strategy}."
            if strategy.schedule:
                SCHEDULE_SPACE.validate(strategy.schedule)
            assert strategy.selection["kind"] != "recent", f"The rows have no order, got {strategy}."
            assert proposal.policy, f"Expected the policy's name, got {proposal}."
            assert proposal.policy_version, f"Expected the policy's version, got {proposal}."

    def test_proposes_something_new_first(self, policy_factory: PolicyFactory, records: Records) -> None:
        """A fresh task with a budget gets a proposal."""
        (proposal,) = policy_factory(records).ask([toy_context()], np.random.default_rng(0))
        assert proposal is not None, "Expected a proposal for a fresh task with ten trials left, got None."

    def test_never_repeats(self, policy_factory: PolicyFactory, records: Records) -> None:
        """Neither a strategy of the history nor one that is running is proposed."""
        policy = policy_factory(records)
        episode = Episode(policy, seed=3)
        strategies = [p.strategy for p in _given(episode.run(12))]
        assert len(set(strategies)) == len(strategies), f"Expected different strategies, got {strategies}."
        half = len(strategies) // 2
        context = replace(episode.context, history=episode.context.history[:half], pending=tuple(strategies[half:]))
        for seed in range(4):
            (proposal,) = policy.ask([context], np.random.default_rng(seed))
            again = proposal is not None and proposal.strategy in strategies
            assert not again, f"Expected nothing of the history and nothing pending, got {proposal}."

    @pytest.mark.parametrize("learners", [("ridge",), ("network", "trees")])
    def test_respects_the_learners(
        self, policy_factory: PolicyFactory, records: Records, learners: tuple[str, ...]
    ) -> None:
        """Only learners of the context are proposed."""
        proposals = _given(Episode(policy_factory(records), toy_context(learners=learners)).run(6))
        named = {p.strategy.learner for p in proposals}
        assert named, "Expected proposals, got none."
        assert named <= set(learners), f"Expected learners among {learners}, got {named}."

    def test_log_probabilities_are_finite(self, policy_factory: PolicyFactory, records: Records) -> None:
        """The log-probability is a finite number."""
        for proposal in _given(Episode(policy_factory(records)).run(6)):
            assert math.isfinite(proposal.log_prob), f"Expected a finite log_prob, got {proposal}."

    def test_certain_choices_do_not_depend_on_the_seed(self, policy_factory: PolicyFactory, records: Records) -> None:
        """A log-probability of exactly 0 says that the choice was certain."""
        policy = policy_factory(records)
        asked = [policy.ask([toy_context()], np.random.default_rng(seed))[0] for seed in range(5)]
        if asked[0] is not None and asked[0].log_prob == 0.0:
            different = {p.strategy for p in asked if p is not None}
            assert len(different) == 1, f"Expected one strategy where log_prob is 0, got {different}."

    def test_is_a_function_of_its_seed(self, policy_factory: PolicyFactory, records: Records) -> None:
        """Two policies made of the same records, asked the same with the same seed, say the same."""
        first, second = (Episode(policy_factory(records), seed=5).run(6) for _ in range(2))
        _check_same(second, first, "the same seed")

    def test_order_of_records_does_not_matter(self, policy_factory: PolicyFactory, records: Records) -> None:
        """Tasks and strategies may come in any order."""
        shuffled = _shuffled(records, np.random.default_rng(1))
        first, second = (Episode(policy_factory(r), seed=7).run(6) for r in (records, shuffled))
        _check_same(second, first, "the same records in another order")

    def test_many_contexts_are_asked_one_by_one(self, policy_factory: PolicyFactory, records: Records) -> None:
        """Asking several contexts at once draws from the stream as asking them in order does."""
        policy = policy_factory(records)
        contexts = [toy_context(), toy_context(learners=("ridge",)), toy_context(n_rows=50)]
        together = policy.ask(contexts, np.random.default_rng(2))
        rng = np.random.default_rng(2)
        _check_same(together, [policy.ask([c], rng)[0] for c in contexts], "several contexts at once")

    def test_all_failed(self, policy_factory: PolicyFactory, records: Records) -> None:
        """When all that was tried failed, it still proposes something valid and new."""
        episode = Episode(policy_factory(records), score=lambda strategy: None)
        proposals = episode.run(6)
        assert None not in proposals, f"Expected six proposals although all failed, got {proposals}."

    @pytest.mark.parametrize("spent", [{"trials_left": 0}, {"trials_left": None, "budget_left_s": 0.0}])
    def test_stops_when_the_budget_is_spent(
        self, policy_factory: PolicyFactory, records: Records, spent: dict[str, float | None]
    ) -> None:
        """Nothing is proposed when nothing is left."""
        (proposal,) = policy_factory(records).ask([toy_context(**spent)], np.random.default_rng(0))
        assert proposal is None, f"Expected None when the budget is spent, got {proposal}."

    def test_survives_odd_scores(self, policy_factory: PolicyFactory, records: Records) -> None:
        """Equal, huge and tiny scores are scores."""
        for scores in ([0.5, 0.5, 0.5, 0.5], [-1e12, -3.0, -2.9, -1e300], [1e-300, 0.0, 2e-300, 0.0]):
            left = iter(scores)
            episode = Episode(policy_factory(records), score=lambda strategy, left=left: next(left))  # type: ignore[misc]
            for proposal in _given(episode.run(len(scores))):
                assert math.isfinite(proposal.log_prob), f"Expected a finite log_prob, got {proposal}."

    def test_tell_returns_statistics(self, policy_factory: PolicyFactory, records: Records) -> None:
        """`tell` takes trials, also failed ones and none, and returns numbers by name."""
        policy = policy_factory(records)
        episode = Episode(policy)
        episode.run(3)
        failed = toy_trial(episode.context.history[0].proposal, None)
        for trials in ((), (*episode.context.history, failed)):
            statistics = policy.tell(trials)
            numbers = all(isinstance(k, str) and isinstance(v, float) for k, v in statistics.items())
            assert numbers, f"Expected floats by name, got {statistics}."

    def test_ask_changes_nothing(self, policy_factory: PolicyFactory, records: Records) -> None:
        """Asking the same twice gives the same twice: the state of a task is its history."""
        policy = policy_factory(records)
        context = toy_context()
        first = policy.ask([context], np.random.default_rng(4))
        policy.ask([toy_context(n_rows=5000)], np.random.default_rng(5))
        _check_same(policy.ask([context], np.random.default_rng(4)), first, "the same question")


def _given(proposals: list[Proposal | None]) -> list[Proposal]:
    return [p for p in proposals if p is not None]


def _plain(proposals: list[Proposal | None]) -> list[tuple[Strategy, float] | None]:
    return [None if p is None else (p.strategy, p.log_prob) for p in proposals]


def _check_same(found: list[Proposal | None], expected: list[Proposal | None], of: str) -> None:
    assert _plain(found) == _plain(expected), f"Expected of {of} the same proposals, {expected}, got {found}."


def _shuffled(records: Records, rng: np.random.Generator) -> Records:
    rows, columns = rng.permutation(len(records.tasks)), rng.permutation(len(records.strategies))
    cells = np.ix_(rows, columns)
    return replace(
        records,
        tasks=tuple(records.tasks[i] for i in rows),
        families=tuple(records.families[i] for i in rows),
        shapes=records.shapes[rows],
        meta_features=records.meta_features[rows],
        strategies=tuple(records.strategies[j] for j in columns),
        scores=records.scores[cells],
        costs=records.costs[cells],
        counts=records.counts[cells],
        failures=records.failures[cells],
    )
