"""The world that trains: what is drawn, what a trial is worth, and what no trial leaves behind."""

from __future__ import annotations

import os
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from safetensors.numpy import save

from gstar.contexts import NAMES
from gstar.distribution import TreeDistribution
from gstar.errors import DataError
from gstar.executors import Limits, ProcessExecutor, SerialExecutor
from gstar.gradients import Draws
from gstar.inputs import Images, Table
from gstar.learner import get_learner, register_learner
from gstar.metric import METRICS, TaskKind
from gstar.policies.candidates import make_strategy
from gstar.strategy import Strategy, strategy_space
from gstar.task import Task
from gstar.testing import evil
from gstar.trial import Proposal, Status
from gstar.weights import WEIGHTS, Weights, WeightsWarning
from gstar.world import DrawnTasks
from gstar.worlds.live import LiveTask, LiveWorld
from tests.begins import Begins


def make_task(seed: int = 0, *, n: int = 60, kind: TaskKind = TaskKind.BINARY) -> Task:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    signal = x[:, 0] + 0.3 * rng.normal(size=n)
    classes = ("no", "yes") if kind.is_classification else ()
    target = (signal > 0).astype(int) if kind.is_classification else signal
    metric = METRICS["log_loss" if kind.is_classification else "rmse"]
    return Task(f"toy{seed}", kind, metric, Table.of(numbers=x), target, classes)


def default(learner: str) -> Strategy:
    return make_strategy(learner, get_learner(learner), {})


def draws_of(world: LiveWorld, learners: list[str], n_tasks: int) -> Draws:
    g = TreeDistribution(strategy_space({name: get_learner(name).space for name in learners}))
    points = g.points([default(name).to_point() for name in learners])
    return Draws(np.zeros((n_tasks, world.context_size)), points, np.zeros((n_tasks, len(learners) // n_tasks)))


def proposals(*learners: str) -> list[Proposal]:
    return [Proposal(default(name), 0.0, "given") for name in learners]


@pytest.fixture
def world():
    with SerialExecutor() as executor, LiveWorld([LiveTask.of(make_task(i)) for i in range(3)], executor) as world:
        yield world


def test_the_three_parts_of_a_task_have_no_row_in_common():
    live = LiveTask.of(make_task(), seed=3)
    train, valid = live.folds[0]
    rows = [*train.tolist(), *valid.tolist(), *live.query.tolist()]
    assert sorted(rows) == list(range(60))
    assert sorted([*train, *valid]) == sorted(live.support)
    assert live.context.shape == (len(NAMES),)
    assert live.family == "toy0"


def test_rows_that_are_given_are_not_split_again():
    rows = np.random.default_rng(0).permutation(len(make_task()))
    live = LiveTask.of(make_task(), split=(rows[:30], rows[30:40]))
    assert sorted(np.r_[live.folds[0]].tolist()) == sorted(rows[:30].tolist())
    assert live.query.tolist() == rows[30:40].tolist()


def test_what_g_sees_does_not_depend_on_query_rows():
    task = make_task()
    live = LiveTask.of(task)
    changed = np.array(task.inputs.numbers)
    changed[live.query] += 100.0
    other = LiveTask.of(replace(task, inputs=Table.of(numbers=changed)))
    np.testing.assert_array_equal(live.context, other.context)


def test_every_task_comes_once_before_any_comes_twice(world):
    drawn = world.draw(7, np.random.default_rng(0), iteration=0)
    assert sorted(drawn.items[:3]) == sorted(drawn.items[3:6]) == [0, 1, 2]
    np.testing.assert_array_equal(drawn.contexts[0], world.tasks[drawn.items[0]].context)


def test_a_constant_is_worth_nothing_and_a_good_model_something(world):
    drawn = world.draw(3, np.random.default_rng(0), iteration=0)
    outcomes = world.train(drawn, draws_of(world, ["constant", "linear"] * 3, 3), seed=0)
    rewards = world.rewards(drawn, outcomes)
    np.testing.assert_allclose(rewards[:, 0], 0.0, atol=0.05)
    assert np.median(rewards[:, 1]) > 0.3
    assert outcomes.costs_s.shape == (3, 2)
    assert outcomes.causes == ()


def test_tasks_with_unequal_metrics_are_worth_alike():
    tasks = [LiveTask.of(make_task(0)), LiveTask.of(make_task(0, kind=TaskKind.REGRESSION))]
    with SerialExecutor() as executor, LiveWorld(tasks, executor) as world:
        drawn = world.draw(2, np.random.default_rng(0), iteration=0)
        rewards = world.rewards(drawn, world.train(drawn, draws_of(world, ["constant", "linear"] * 2, 2), seed=0))
    assert (np.abs(rewards[:, 0]) < 0.1).all()
    assert ((rewards[:, 1] > 0.3) & (rewards[:, 1] < 1)).all()


def test_trials_are_remembered_as_what_they_were_drawn_with(world):
    kept = []
    world.remember = kept.extend
    drawn = world.draw(1, np.random.default_rng(0), iteration=0)
    draws = draws_of(world, ["constant", "neighbors"], 1)
    draws.log_probs[:] = [[-0.5, -1.5]]
    world.train(drawn, draws, seed=0)
    assert [(t.strategy.learner, t.proposal.log_prob, t.completed) for t in kept] == [
        ("constant", -0.5, True),
        ("neighbors", -1.5, True),
    ]
    assert kept[0].seed == kept[1].seed
    assert all(t.extra["cpu_s"] > 0 for t in kept)


def test_one_or_two_workers_bring_the_same_bit_for_bit():
    scores = []
    for workers in (1, 2):
        tasks = [LiveTask.of(make_task(i)) for i in range(2)]
        with ProcessExecutor(workers) as executor, LiveWorld(tasks, executor) as world:
            drawn = world.draw(2, np.random.default_rng(0), iteration=0)
            draws = draws_of(world, ["linear", "neighbors", "extra_trees", "constant"], 2)
            scores.append(world.train(drawn, draws, seed=5).scores)
    np.testing.assert_array_equal(scores[0], scores[1])


def test_what_was_begun_and_is_not_waited_for_ends_with_the_world():
    class Noting(SerialExecutor):
        killed: ClassVar[list[Future]] = []

        def kill(self, future: Future) -> None:
            self.killed.append(future)

    executor = Noting()
    with LiveWorld([LiveTask.of(make_task())], executor) as world:
        drawn = world.draw(1, np.random.default_rng(0), iteration=0)
        waits = [world.begin(drawn, draws_of(world, ["constant"] * n, 1), seed=0) for n in (1, 2)]
        waits[0]()
    assert len(set(executor.killed)) == 2, "those of the second one"


def test_nothing_is_left_on_disk_but_what_tasks_share(tmp_path: Path):
    with SerialExecutor() as executor:
        world = LiveWorld([LiveTask.of(make_task())], executor, folder=tmp_path)
        for _ in range(2):
            world.trials([0], proposals("linear"), [0])
        assert [p.name for p in tmp_path.iterdir()] == ["task-0000"]
        world.close()
    assert tmp_path.exists()


def test_a_temporary_folder_is_gone_afterwards():
    with SerialExecutor() as executor, LiveWorld([LiveTask.of(make_task())], executor) as world:
        world.trials([0], proposals("constant"), [0])
        root = world._root
        assert root.exists()
        assert root.name.startswith(f"gstar-run-{os.getpid()}-"), "so that it is swept if this process is killed"
    assert not root.exists()


@pytest.mark.parametrize(
    ("learner", "status", "cause"),
    [
        (evil.Diverger, Status.FAILED, "not finite"),
        (evil.Raiser, Status.FAILED, "does not like"),
        (evil.Segfaulter, Status.CRASHED, "SIGSEGV"),
        (evil.Sleeper, Status.OUT_OF_TIME, "killed after"),
    ],
)
def test_a_bad_end_is_worth_as_little_as_anything_can_be(learner, status, cause):
    plugins = (f"{learner.__module__}:{learner.__qualname__}",)
    register_learner(learner())
    limits = Limits(time_s=1.0 if learner is evil.Sleeper else 60.0)
    with (
        ProcessExecutor(1) as executor,
        LiveWorld([LiveTask.of(make_task())], executor, limits, plugins=plugins) as world,
    ):
        kept = []
        world.remember = kept.extend
        drawn = world.draw(1, np.random.default_rng(0), iteration=0)
        outcomes = world.train(drawn, draws_of(world, [learner.name], 1), seed=0)
        assert world.rewards(drawn, outcomes).tolist() == [[-1.0]]
    assert kept[0].status is status
    assert cause in outcomes.causes[0]


def test_a_learner_that_does_not_take_the_form_or_is_not_known_fails_at_once(world):
    pixels = np.random.default_rng(0).integers(0, 255, (60, 1, 4, 4)).astype(np.uint8)
    images = replace(make_task(), inputs=Images(pixels))
    with SerialExecutor() as executor, LiveWorld([LiveTask.of(images)], executor) as other:
        unknown = Proposal(Strategy("nonsense"), 0.0, "given")
        trials = other.trials([0, 0], [*proposals("linear"), unknown], [0, 0])
    assert [t.status for t in trials] == [Status.FAILED] * 2
    assert "linear takes table, not images" in trials[0].error
    assert "No learner 'nonsense'" in trials[1].error


def test_no_task_at_all_is_an_error():
    with pytest.raises(DataError, match="at least one task"):
        LiveWorld([], SerialExecutor())


FROZEN = {"kind": "remembered", "body": "frozen"}


@pytest.fixture
def beginning(tmp_path) -> LiveTask:
    """A task that can begin with the weights of one other: of width 8, and its number is 0.8."""

    def images(seed):
        pixels = np.random.default_rng(seed).integers(0, 256, (60, 1, 5, 5), np.uint8)
        return Task(
            f"images{seed}", TaskKind.BINARY, METRICS["log_loss"], Images(pixels), np.arange(60) % 2, ("a", "b")
        )

    register_learner(Begins())
    weights = Weights(tmp_path / "w", quota_mb=1.0)
    weights.keep(images(1), Strategy("begins", {"width": 8}), {WEIGHTS: save({"body": np.array([0.8])})}, run="")
    live = LiveTask.of(images(0))
    return replace(live, sources=weights.sources(live.task, {"begins": Begins()}))


def test_a_strategy_begins_with_the_weights_of_another_task_and_has_its_body(beginning):
    tree = strategy_space({"begins": Begins.space}, initial=frozenset({"begins"}))
    strategies = [
        Strategy("begins", {"width": w, "epochs": e}, init=i)
        for w, e, i in ((16, 1, {}), (8, 1, FROZEN), (16, 2, FROZEN))
    ]
    kept = []
    with SerialExecutor() as executor, LiveWorld([beginning], executor, remember=kept.extend) as world:
        points = TreeDistribution(tree).points([s.to_point(tree) for s in strategies])
        draws = Draws(beginning.context[None], points, np.zeros((1, 3)))
        world.train(DrawnTasks(beginning.context[None], [0]), draws, seed=0)
    assert [t.strategy.init for t in kept] == [{}, FROZEN, FROZEN]
    assert [tuple(t.strategy.configuration.values()) for t in kept] == [(16, 1), (8, 1), (8, 2)]
    assert [round(float(t.predictions[0, 1]), 3) for t in kept] == [0.6, 0.8, 0.8]


def test_where_nothing_is_remembered_it_begins_from_scratch(beginning):
    proposal = Proposal(Strategy("begins", {"width": 16, "epochs": 1}, init=FROZEN), 0.0, "given")
    unknown = Proposal(Strategy("nonsense", init=FROZEN), 0.0, "given")
    live = replace(beginning, sources=replace(beginning.sources, found=()))
    with SerialExecutor() as executor, LiveWorld([live], executor) as world:
        trial, other = world.trials([0, 0], [proposal, unknown], [0, 0])
    assert (trial.strategy.init, trial.strategy.configuration["width"]) == ({}, 16)
    assert other.status is Status.FAILED


def test_weights_that_go_meanwhile_are_one_warning(beginning):
    proposal = Proposal(Strategy("begins", {"width": 8, "epochs": 1}, init=FROZEN), 0.0, "given")
    ((_, source),) = beginning.sources.found
    source.path.unlink()
    with (
        SerialExecutor() as executor,
        LiveWorld([beginning], executor) as world,
        pytest.warns(WeightsWarning, match="Networks begin from scratch: .*No such file") as told,
    ):
        trials = world.trials([0, 0], [proposal] * 2, [0, 0]) + world.trials([0], [proposal], [0])
    assert len(told) == 1
    assert [t.strategy.init for t in trials] == [{}] * 3
