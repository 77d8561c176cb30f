"""Tables of branches, and that a controller learns from one what is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gstar.branching import Branches, BranchWorld, ControlSettings, branch, by_family, learn_controller, worth
from gstar.control import DECISIONS, controller_distribution
from gstar.errors import DataError
from gstar.fitting import Fitting
from gstar.gradients import get_gradient
from gstar.learner import get_learner
from tests.distribution.central import central
from tests.small_training import make_rows, make_spec
from tests.test_control import SIGHT

STOP, DROP = (next(i for i, d in enumerate(DECISIONS) if d.name == name) for name in ("stop", "drop"))


def toy_table(n=40):
    """Where contradictions are many, dropping rows is right; else stopping is."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(n):
        share = rng.random()
        rewards = rng.normal(0, 0.01, len(DECISIONS))
        rewards[DROP] += share - 0.5
        rewards[STOP] += 0.5 - share
        rows.append(Branches(replace(SIGHT, contradicted=share, waited=rng.random()), tuple(rewards)))
    return rows


def test_it_learns_what_is_right_in_a_toy_table():
    controller = learn_controller(toy_table())
    assert controller.decide(replace(SIGHT, contradicted=0.9))[0].name == "drop"
    assert controller.decide(replace(SIGHT, contradicted=0.1))[0].name == "stop"
    fresh = [replace(r, observation=replace(r.observation, waited=0.3)) for r in toy_table(60)[40:]]
    assert worth(controller, fresh).mean() > 0.2
    np.testing.assert_array_equal(controller.meta, learn_controller(toy_table()).meta)


def test_where_nothing_pays_it_goes_on():
    rows = [replace(r, rewards=(0.5, *(0.499,) * (len(DECISIONS) - 1))) for r in toy_table()]
    controller = learn_controller(rows, ControlSettings(kl=0.1))
    assert {controller.decide(r.observation)[0].name for r in rows} == {"go_on"}
    assert np.all(worth(controller, rows) == 0)


def test_a_strong_pull_keeps_it_where_it_began():
    rows = toy_table()
    moved = [worth(learn_controller(rows, ControlSettings(kl=kl, iterations=60)), rows).mean() for kl in (0.001, 10.0)]
    assert moved[0] > 0.1
    assert moved[1] == 0.0


@pytest.mark.parametrize("hidden", [0, 3])
def test_its_gradient_is_that_of_the_expected_reward(hidden):
    rows = toy_table(5)
    g = controller_distribution(hidden)
    meta = 0.1 * np.random.default_rng(1).standard_normal(g.size)
    world = BranchWorld(np.stack([r.observation.vector for r in rows]), np.array([r.rewards for r in rows]))
    tasks = world.draw(99, np.random.default_rng(0), iteration=0)
    exact = get_gradient("exact")
    draws = exact.draw(g, meta, tasks.contexts, 1, rng=np.random.default_rng(0))
    rewards = world.rewards(tasks, world.train(tasks, draws, seed=0))
    found = exact.estimate(g, meta, draws, rewards, exact.start()).gradient

    def expected(theta):
        log_probs = np.asarray(g.log_prob(theta, draws.contexts, draws.points)).reshape(len(rows), -1)
        return float(np.mean(np.sum(np.exp(log_probs) * world.table, axis=1)))

    np.testing.assert_allclose(found, central(expected, meta), atol=1e-8)


def test_no_table_no_controller():
    with pytest.raises(DataError, match="Expected at least one branched state"):
        learn_controller([])


def test_families_are_on_one_side():
    families = ["a", "b", "a", "c", "b"]
    seen = []
    for fit, held in by_family(families, 2):
        assert not {families[i] for i in fit} & {families[i] for i in held}
        seen += held.tolist()
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_a_table_holds_what_each_decision_leads_to():
    def start():
        return Fitting.start(get_learner("mlp"), *make_rows(), make_spec(), loss="log_loss")

    ended = []

    def reward(fitting):
        assert fitting.ended
        ended.append(fitting)
        return fitting.best.score - 0.01 * fitting.progress

    rows = branch(start(), reward, rng=np.random.default_rng(0))
    trunk = [r for r in rows if set(r.before) <= {"go_on"}]
    assert [r.before for r in trunk] == [(), ("go_on",), ("go_on", "go_on")]
    assert len({r.rewards[0] for r in trunk}) == 1, "going on is the same training from each of them"
    by_hand = start()
    while not by_hand.is_due:
        by_hand.look()
    assert by_hand.observe() == rows[0].observation
    by_hand.decide(DECISIONS[DROP])
    while not by_hand.ended:
        by_hand.look()
    assert rows[0].rewards[DROP] == by_hand.best.score - 0.01 * by_hand.progress
    assert len(rows) > len(trunk), "a random path was walked as well"
    assert len({tuple(d.name for d in f.decisions) for f in ended}) == len(ended), "nothing is trained twice"
    dropped = [r for r in rows if "drop" in r.before]
    assert all(r.rewards[DROP] == r.rewards[0] for r in dropped), "to drop twice changes nothing"
