from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gstar.cost import CostModel
from gstar.learner import available_learners, get_learner
from gstar.metric import TaskKind
from gstar.policies.candidates import (
    BUILT_IN,
    SHORTEST,
    affordable,
    best_of_learners,
    best_tried,
    built_in,
    canonical,
    digest,
    is_candidate,
    is_spent,
    is_valid,
    learners_for,
    recorded,
    selections_for,
    taken,
    targets_for,
    tree_for,
    trial_seconds,
    with_initial,
)
from gstar.space import Real, Space
from gstar.strategy import SELECTION_SPACE, Strategy
from gstar.testing.policy import (
    ToyLearner,
    toy_context,
    toy_learners,
    toy_records,
    toy_strategies,
    toy_trial,
)
from gstar.trial import Proposal


def test_recorded_strategies_that_no_longer_validate_are_left_out() -> None:
    records = toy_records(3, 30, holes=0.0)
    learners = {**toy_learners(), "ridge": ToyLearner(Space({"alpha": Real(0, 1)}))}
    columns = recorded(records, learners, toy_context())
    assert columns
    assert {records.strategies[j].learner for j in columns} == {"network", "trees"}


def test_recorded_strategies_need_an_order_to_be_recent() -> None:
    records = toy_records(2, 4, holes=0.0)
    recent = [replace(s, selection=SELECTION_SPACE.complete({"kind": "recent"})) for s in records.strategies]
    records = replace(records, strategies=tuple(recent))
    assert recorded(records, toy_learners(), toy_context()) == []
    assert len(recorded(records, toy_learners(), toy_context(has_order=True))) == 4


def test_records_of_another_kind_are_no_candidates() -> None:
    assert recorded(toy_records(3), toy_learners(), toy_context(kind=TaskKind.REGRESSION)) == []


def test_a_schedule_belongs_to_learners_with_a_rate() -> None:
    strategy = next(s for s in toy_strategies(30) if s.learner == "network")
    assert is_valid(strategy, toy_learners())
    assert not is_valid(replace(strategy, schedule={}), toy_learners())
    ridge = next(s for s in toy_strategies(30) if s.learner == "ridge")
    assert not is_valid(replace(ridge, schedule={"kind": "constant"}), toy_learners())


@pytest.mark.parametrize(
    ("kind", "has_order", "expected"),
    [
        (TaskKind.BINARY, False, {"all", "part", "clean", "balanced"}),
        (TaskKind.REGRESSION, False, {"all", "part", "clean"}),
        (TaskKind.REGRESSION, True, {"all", "part", "clean", "recent"}),
    ],
)
def test_selections_fit_the_task(kind: TaskKind, has_order: bool, expected: set[str]) -> None:
    assert set(selections_for(kind, has_order)) == expected
    tree = tree_for(toy_learners(), toy_context(kind=kind, has_order=has_order))
    rng = np.random.default_rng(0)
    assert {tree.sample(rng)["selection.kind"] for _ in range(100)} == expected


def test_the_constant_learner_is_proposed_only_if_there_is_no_other() -> None:
    given = {**toy_learners(), "constant": ToyLearner(Space({}))}
    assert set(learners_for(toy_context(learners=("constant", "ridge")), given)) == {"ridge"}
    assert set(learners_for(toy_context(learners=("constant",)), given)) == {"constant"}


def test_every_learner_is_in_the_built_in_portfolio() -> None:
    strategies = built_in(toy_learners())
    assert {s.learner for s in strategies} == set(toy_learners())
    assert all(is_valid(s, toy_learners()) for s in strategies)


@pytest.mark.parametrize("kind", list(TaskKind))
def test_the_built_in_portfolio_is_known_to_the_learners_of_the_package(kind: TaskKind) -> None:
    learners = available_learners("table", kind)
    strategies = built_in(learners)
    listed = [name for name, _ in BUILT_IN if name in learners]
    assert [s.learner for s in strategies[: len(listed)]] == listed
    assert all(is_valid(s, learners) for s in strategies)


def test_canonical_records_have_one_order() -> None:
    records = toy_records(5, 7)
    cells = np.ix_([4, 2, 0, 1, 3], [6, 0, 5, 1, 4, 2, 3])
    shuffled = replace(
        records,
        tasks=tuple(records.tasks[i] for i in cells[0].ravel()),
        families=tuple(records.families[i] for i in cells[0].ravel()),
        shapes=records.shapes[cells[0].ravel()],
        meta_features=records.meta_features[cells[0].ravel()],
        strategies=tuple(records.strategies[j] for j in cells[1].ravel()),
        scores=records.scores[cells],
        costs=records.costs[cells],
        counts=records.counts[cells],
        failures=records.failures[cells],
    )
    assert digest(canonical(shuffled)) == digest(canonical(records))
    changed = replace(records, scores=records.scores + 1e-9)
    assert digest(canonical(changed)) != digest(canonical(records))


def test_affordable_within_a_share_of_the_time_left() -> None:
    seconds = np.array([1.0, 4.0, 9.0])
    assert affordable(seconds, toy_context(budget_left_s=10.0), 0.5).tolist() == [True, True, False]
    assert affordable(seconds, toy_context(), 0.5).all()


def test_the_cheapest_fits_while_there_is_no_model() -> None:
    seconds = np.array([5.0, 4.0, 9.0])
    context = toy_context(budget_left_s=1.0)
    assert affordable(seconds, context, 1.0).tolist() == [False, True, False]
    done = toy_trial(Proposal(toy_strategies(1)[0], 0.0, "test"), 0.5)
    assert not affordable(seconds, replace(context, history=(done,)), 1.0).any()


def test_taken_is_history_and_pending() -> None:
    a, b = toy_strategies(2)
    context = toy_context(history=(toy_trial(Proposal(a, 0.0, "test"), None),), pending=(b,))
    assert taken(context) == {a, b}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, False), ({"trials_left": 0}, True), ({"budget_left_s": -1.0}, True), ({"budget_left_s": 1.0}, False)],
)
def test_is_spent(changes: dict[str, float], expected: bool) -> None:
    assert is_spent(toy_context(**changes)) == expected


def test_what_was_best_is_drawn_near_once_for_each_learner() -> None:
    strategies = sorted(toy_strategies(12), key=lambda s: s.learner)
    trials = [toy_trial(Proposal(s, 0.0, "toy"), 0.1 * i) for i, s in enumerate(strategies)]
    trials.append(toy_trial(Proposal(Strategy("gone"), 0.0, "toy"), 9.0))
    context = toy_context(history=(*trials, toy_trial(Proposal(strategies[0], 0.0, "toy"), None)))
    assert best_tried(context, toy_learners(), 2) == [strategies[-1], strategies[-2]]
    best = best_of_learners(context, toy_learners(), 2)
    assert [s.learner for s in best] == ["trees", "ridge"]
    assert best == [next(s for s in reversed(strategies) if s.learner == name) for name in ("trees", "ridge")]


def test_what_is_done_to_a_target_makes_no_difference_for_classes() -> None:
    linear = get_learner("linear")
    assert set(targets_for(linear, TaskKind.REGRESSION)) == {"standard", "log"}
    assert len(targets_for(linear, TaskKind.BINARY)) == 1
    assert targets_for(get_learner("constant"), TaskKind.BINARY) == ()
    learners = {"linear": linear}
    for kind, choices in ((TaskKind.BINARY, 1), (TaskKind.REGRESSION, 2)):
        tree = tree_for(learners, toy_context(kind=kind))
        assert len(tree.parameters["linear.target"].choices) == choices
    records = toy_records(1, 1, holes=0.0)
    log, plain = (
        replace(built_in(learners)[0], configuration=linear.space.complete({"target": t})) for t in ("log", "standard")
    )
    records = replace(
        records, strategies=(log, plain), **{n: np.ones((1, 2)) for n in ("scores", "costs", "counts", "failures")}
    )
    fitting = [records.strategies[j] for j in recorded(records, learners, toy_context())]
    assert [s.configuration["target"] for s in fitting] == list(targets_for(linear, TaskKind.BINARY))


def test_a_training_that_may_be_cut_short_needs_less_time_to_begin() -> None:
    learners = toy_learners()
    strategies = toy_strategies(6)
    context = toy_context()
    costs = [
        CostModel(toy_records(4, 6), {n: replace(x, is_anytime=a) for n, x in learners.items()}) for a in (False, True)
    ]
    (whole_s, needed_s), (same_s, less_s) = (trial_seconds(c, strategies, context) for c in costs)
    np.testing.assert_allclose(whole_s, same_s)
    np.testing.assert_allclose(less_s, SHORTEST * needed_s)
    assert np.all(needed_s >= whole_s)


def test_strategies_begin_with_weights_only_where_there_are_some() -> None:
    learners = {**toy_learners(), "network": replace(toy_learners()["network"], handles_initial=True)}
    plain = next(s for s in toy_strategies(30) if s.learner == "network")
    other = next(s for s in toy_strategies(30) if s.learner == "network" and s != plain)
    frozen = replace(plain, init={"kind": "remembered", "body": "frozen"})
    tuned = replace(plain, init={"kind": "remembered", "body": "fine_tuned"})
    assert not is_candidate(frozen, learners, toy_context())
    here = replace(toy_context(), initial=(tuned,))
    assert is_candidate(frozen, learners, here)
    assert is_candidate(plain, learners, here)
    assert not is_candidate(replace(other, init=tuned.init), learners, here)
    assert not is_candidate(frozen, toy_learners(), here)
    assert not is_valid(replace(plain, init={"kind": "remembered"}), learners)


def test_what_begins_with_weights_comes_behind_the_first_of_its_learner() -> None:
    a, b, c = (Strategy(name) for name in ("ridge", "network", "trees"))
    tuned = replace(b, init={"kind": "remembered", "body": "fine_tuned"})
    later = Strategy("network", {"width": 9})
    here = replace(toy_context(), initial=(tuned,))
    assert with_initial([a, b, c, later], here) == [a, b, tuned, c, later]
    assert with_initial([a, c], here) == [a, c]
