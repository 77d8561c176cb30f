"""A strategy: content hash, JSON, and its place in the tree of all strategies."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gstar.errors import UsageError
from gstar.space import Categorical, Integer, Real, Space
from gstar.strategy import (
    INIT_SPACE,
    PACED_SELECTION_SPACE,
    SCHEDULE_SPACE,
    SELECTION_SPACE,
    Strategy,
    strategy_space,
    with_init,
)

SPACE = strategy_space(
    {"plain": Space({"alpha": Real(1e-3, 1e3, log=True)}), "boosted": Space({"depth": Integer(2, 8)})},
    scheduled=frozenset({"boosted"}),
)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_points_and_strategies_are_the_same_thing(seed):
    point = SPACE.sample(np.random.default_rng(seed))
    strategy = Strategy.from_point(point)
    assert strategy.to_point() == point
    assert Strategy.from_json(json.loads(json.dumps(strategy.to_json()))) == strategy
    assert bool(strategy.schedule) == (strategy.learner == "boosted")
    SELECTION_SPACE.validate(strategy.selection)
    if strategy.schedule:
        SCHEDULE_SPACE.validate(strategy.schedule)


def test_hash_depends_on_content_and_not_on_order():
    a = Strategy("plain", {"alpha": 1.0, "beta": 2})
    b = Strategy("plain", {"beta": 2, "alpha": 1.0})
    assert a.hash == b.hash
    assert hash(a) == hash(b)
    assert a.hash != Strategy("plain", {"alpha": 1.5, "beta": 2}).hash
    assert len({a, b}) == 1


@pytest.mark.parametrize("data", [{}, {"learner": "x"}, {"learner": "x", "configuration": 3}])
def test_broken_json_is_refused(data):
    with pytest.raises(UsageError, match="Expected a strategy as JSON"):
        Strategy.from_json(data)


def test_a_space_needs_a_learner():
    with pytest.raises(UsageError, match="at least one learner"):
        strategy_space({})


def test_no_schedule_without_learning_rates():
    space = strategy_space({"plain": Space({"alpha": Categorical((1, 2))})})
    assert not any(name.startswith("schedule") for name in space.parameters)


def test_description_names_what_differs():
    strategy = Strategy("plain", {"alpha": 0.123456}, {"kind": "part", "part_fraction": 0.5}, {"kind": "constant"})
    assert strategy.describe() == "plain alpha=0.123 rows=part,0.5"


def test_the_pace_is_on_for_learners_that_take_it_only():
    space = strategy_space({"plain": Space({}), "net": Space({})}, paced=frozenset({"net"}))
    rng = np.random.default_rng(0)
    paces = set()
    for _ in range(60):
        strategy = Strategy.from_point(space.sample(rng))
        assert ("pace" in strategy.selection) == (strategy.learner == "net")
        (PACED_SELECTION_SPACE if strategy.learner == "net" else SELECTION_SPACE).validate(strategy.selection)
        paces.add(strategy.selection.get("pace"))
    assert paces == {None, "shuffled", "easy_first", "hard_first", "small_loss"}


def test_description_is_silent_about_shuffled_rows():
    plain = Strategy("net", {}, PACED_SELECTION_SPACE.default())
    assert plain.describe() == "net"
    paced = Strategy("net", {}, PACED_SELECTION_SPACE.complete({"pace": "small_loss", "drop_share": 0.25}))
    assert paced.describe() == "net rows=all,small_loss,0.25"


def test_control_is_a_choice_of_learners_that_can_be_controlled():
    learners = {"plain": Space({"alpha": Real(1e-3, 1e3, log=True)}), "network": Space({"depth": Integer(1, 4)})}
    networks = frozenset({"network"})
    space = strategy_space(learners, scheduled=networks, controlled=networks, controllers=("learned",))
    drawn = [Strategy.from_point(space.sample(np.random.default_rng(i))) for i in range(30)]
    assert {s.schedule.get("control") for s in drawn if s.learner == "network"} == {"none", "learned"}
    assert all("control" not in s.schedule for s in drawn if s.learner == "plain")
    controlled = next(s for s in drawn if s.schedule.get("control") == "learned")
    assert Strategy.from_json(json.loads(json.dumps(controlled.to_json()))) == controlled
    assert controlled.describe().endswith("control=learned")
    assert "schedule.control" not in strategy_space(learners, scheduled=networks, controlled=networks).parameters
    assert "control" not in Strategy("network", {}, {}, {"kind": "decay", "control": "none"}).describe()


def test_hashes_of_strategies_without_control_are_as_ever():
    assert Strategy("mlp", {"depth": 2}, {"kind": "all"}, {"kind": "constant"}).hash == "a8b29d7a56580bbf"


FROZEN = {"kind": "remembered", "body": "frozen"}


def test_from_scratch_is_what_a_strategy_was_before_there_was_a_choice():
    old = Strategy("linear", {"alpha": 1.0})
    scratch = Strategy("linear", {"alpha": 1.0}, init={"kind": "scratch"})
    assert scratch == old
    assert scratch.hash == old.hash == "625bd53ec478010a"
    assert "init" not in scratch.to_json()
    frozen = Strategy("linear", {"alpha": 1.0}, init=FROZEN)
    assert len({old, frozen}) == 2
    assert Strategy.from_json(json.loads(json.dumps(frozen.to_json()))) == frozen
    assert frozen.describe() == "linear alpha=1 weights=remembered,frozen"


def test_first_weights_are_a_choice_of_learners_that_take_them_only():
    space = strategy_space({"plain": Space({}), "net": Space({})}, initial=frozenset({"net"}))
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(80):
        point = space.sample(rng)
        strategy = Strategy.from_point(point)
        assert strategy.to_point(space) == point
        assert ("init.kind" in point) == (strategy.learner == "net")
        if strategy.init:
            INIT_SPACE.validate(strategy.init)
        seen.add((strategy.learner, strategy.init.get("body")))
    assert seen == {("plain", None), ("net", None), ("net", "fine_tuned"), ("net", "frozen")}


def test_a_tree_gains_first_weights_once():
    learners, nets = {"plain": Space({}), "net": Space({})}, frozenset({"net"})
    tree = strategy_space(learners, paced=nets, scheduled=nets)
    gained = with_init(tree, nets | {"another"})
    assert gained.to_json() == strategy_space(learners, paced=nets, scheduled=nets, initial=nets).to_json()
    assert with_init(gained, frozenset({"plain"})) is gained
    assert with_init(tree, frozenset()) is tree
