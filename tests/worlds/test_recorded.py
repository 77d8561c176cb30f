"""A world that remembers: cells of a table, and g cut to the strategies in it."""

from dataclasses import replace

import numpy as np
import pytest

from gstar.errors import DataError, UsageError
from gstar.outer import Convergence, OuterSettings, run_outer
from gstar.policies.candidates import tree_for
from gstar.strategy import Strategy
from gstar.testing.policy import toy_context, toy_learners, toy_records
from gstar.worlds.recorded import RecordedWorld

RNG = np.random.default_rng
STRATEGIES = tuple(Strategy(name) for name in ("left", "right", "never"))
CONTEXTS = np.array([[-1.0], [1.0], [0.5]])
SCORES = np.array([[0.9, 0.1, np.nan], [0.2, 0.8, np.nan], [10.0, 30.0, 20.0]])
WORLD = RecordedWorld(CONTEXTS, STRATEGIES, SCORES, SCORES * 0 + 2.0, np.array([0.1, 0.2, 10.0]), SCORES[:, :2].max(1))


def _draws(g, n: int, seed: int = 0):
    settings = OuterSettings(natural=False)
    tasks = WORLD.draw(n, RNG(seed), iteration=0)
    draws = settings.gradient(g.size).draw(g, g.start(RNG(0)), tasks.contexts, 4, rng=RNG(seed))
    return tasks, draws


def test_trials_are_cells_of_the_table():
    g = WORLD.distribution()
    tasks, draws = _draws(g, 6)
    outcomes = WORLD.train(tasks, draws, seed=0)
    names = [s.hash for s in STRATEGIES]
    for row in range(6):
        for k in range(4):
            column = names.index(draws.points.configurations[4 * row + k]["strategy"])
            assert outcomes.scores[row, k] == pytest.approx(SCORES[tasks.items[row], column], nan_ok=True)
    assert tasks.contexts.tolist() == CONTEXTS[tasks.items].tolist()
    assert np.isfinite(outcomes.costs_s).sum() == np.isfinite(outcomes.scores).sum()


def test_it_says_how_strategies_validated():
    world = replace(WORLD, valid=10 * SCORES)
    tasks, draws = _draws(world.distribution(), 6)
    outcomes = world.train(tasks, draws, seed=0)
    assert outcomes.valid == pytest.approx(10 * outcomes.scores, nan_ok=True)
    assert world.take(np.array([1])).valid[0] == pytest.approx([2.0, 8.0, np.nan], nan_ok=True)
    assert WORLD.train(tasks, draws, seed=0).valid is None


@pytest.mark.parametrize(("sign", "expected"), [(1, {"left", "right"}), (-1, {"never"})])
def test_the_best_of_three_is_chosen_by_validation(sign: int, expected: set[str]):
    """Two strategies, each best on one of two tasks, are worth more than a middling one if validation can tell."""
    rewards = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.6]])
    world = RecordedWorld(np.zeros((2, 0)), STRATEGIES, rewards, rewards, np.zeros(2), np.ones(2), sign * rewards)
    settings = OuterSettings("best_of", tasks=8, strategies=6, natural=False, iterations=40, convergence=None)
    g = world.distribution()
    meta = run_outer(g, world, settings, start=g.start(RNG(0))).meta
    chances = np.exp(g.log_probs(meta, world.contexts)[0])
    assert {s.learner for s, chance in zip(STRATEGIES, chances, strict=True) if chance > 0.3} == expected


def test_unequal_scales_become_one_and_what_never_completed_is_worth_least():
    tasks, _ = _draws(WORLD.distribution(), 50)
    rewards = WORLD.reward(tasks, WORLD.scores[tasks.items])
    for item, row in zip(tasks.items, rewards, strict=True):
        assert np.nanmax(row) == pytest.approx(1.0)
        assert row[0 if item else 1] == pytest.approx(0.0)
    assert WORLD.rewards(tasks, WORLD.train(*_draws(WORLD.distribution(), 50), seed=0)).min() == -1.0


def test_before_it_learns_all_strategies_are_alike():
    g = WORLD.distribution()
    assert np.exp(g.log_probs(g.start(RNG(0)), CONTEXTS)) == pytest.approx(np.full((3, 3), 1 / 3))


def test_strategies_of_a_tree_are_alike_at_first_too():
    records = toy_records(8)
    space = tree_for(toy_learners(), toy_context())
    world = RecordedWorld.of(records, np.zeros((8, 0)))
    g = world.distribution(space)
    chances = np.exp(g.log_probs(g.start(RNG(0)), np.zeros((1, 0))))
    assert chances == pytest.approx(np.full((1, len(records.strategies)), 1 / len(records.strategies)))


def test_it_learns_what_suits_which_task():
    settings = OuterSettings(tasks=8, strategies=4, iterations=120, rate=0.5, natural=False, convergence=None)
    g = WORLD.distribution()
    result = run_outer(g, WORLD, settings)
    chosen = [c["strategy"] for c in g.mode(result.meta, CONTEXTS).configurations]
    assert chosen == [STRATEGIES[j].hash for j in (0, 1, 1)]
    assert result.n_failed > 0, "it has tried what never completes"


def test_a_task_without_two_different_scores_is_left_out():
    records = toy_records(6, holes=0.0)
    scores = records.scores.copy()
    scores[0], scores[1], scores[2, 1:] = np.nan, 0.7, np.nan
    world = RecordedWorld.of(replace(records, scores=scores), np.arange(6.0)[:, None])
    assert world.contexts.ravel().tolist() == [3.0, 4.0, 5.0]
    tasks = world.draw(20, RNG(0), iteration=0)
    everything = world.reward(tasks, world.scores[tasks.items])
    assert np.nanmax(everything, axis=1) == pytest.approx(np.ones(20))
    assert np.nanmedian(everything, axis=1) == pytest.approx(np.zeros(20))


def test_records_that_teach_nothing_are_refused():
    records = toy_records(3)
    with pytest.raises(DataError, match="at least one task and one strategy"):
        RecordedWorld.of(replace(records, scores=np.full(records.scores.shape, np.nan)), np.zeros((3, 1)))
    with pytest.raises(DataError, match="at least one task and one strategy"):
        replace(WORLD, strategies=())


def test_one_task_and_one_strategy_are_enough():
    world = RecordedWorld(np.zeros((1, 0)), STRATEGIES[:1], np.ones((1, 1)), np.ones((1, 1)), np.zeros(1), np.ones(1))
    g = world.distribution()
    result = run_outer(g, world, OuterSettings(iterations=500, convergence=Convergence(window=10)))
    assert result.stop_reason == "converged"
    assert np.exp(g.log_probs(result.meta, np.zeros((1, 0)))).tolist() == [[1.0]]


def test_a_part_of_the_tasks_is_a_world():
    part = WORLD.take(np.array([2]))
    assert part.contexts.tolist() == [[0.5]]
    tasks = part.draw(3, RNG(0), iteration=0)
    assert part.reward(tasks, part.scores[tasks.items]).tolist() == [[0.0, 1.0, 0.5]] * 3


def test_only_recorded_strategies_can_be_asked_for():
    with pytest.raises(UsageError, match="Expected one of 3 candidates"):
        WORLD.distribution().points([{"strategy": "another"}])


@pytest.mark.parametrize("estimator", ["exact", "evolution", "self_critical"])
def test_estimators_that_draw_in_their_own_way_play_here_too(estimator: str):
    settings = OuterSettings(estimator, tasks=3, strategies=4, iterations=3, convergence=None)
    result = run_outer(WORLD.distribution(), WORLD, settings)
    assert np.all(np.isfinite(result.meta))
    assert result.n_trainings == 3 * 3 * (3 if estimator == "exact" else 4)
