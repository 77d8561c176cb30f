"""One strategy on one task: every end is a trial, and early stopping keeps the best state."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from safetensors.numpy import save

from gstar.executors import Limits, ProcessExecutor, SerialExecutor
from gstar.inner import Job, Started, end_inner, fidelity_name, fit_one, run_inner, share, start_inner
from gstar.inputs import Images, Table
from gstar.learner import AbstractLearner, TrainingSpec, register_learner
from gstar.metric import METRICS, TaskKind
from gstar.parts import read_parts
from gstar.space import Space
from gstar.strategy import Strategy
from gstar.task import Task
from gstar.testing import evil
from gstar.trial import Proposal, Status
from gstar.weights import WEIGHTS, Weights
from tests.begins import Begins


def make_toy_task(n=90, kind=TaskKind.BINARY):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(n, 3))
    noise = 0.3 * rng.normal(size=n)
    target = numbers[:, 0] + noise
    classes = ()
    if kind.is_classification:
        target, classes = (target > 0).astype(int), ("no", "yes")
    metric = METRICS["roc_auc" if classes else "rmse"]
    texts = np.array([["red"], ["blue or so"], [""]], object)[rng.integers(0, 3, n)]
    return Task("toy", kind, metric, Table.of(numbers, rng.integers(-1, 3, (n, 1)), None, texts), target, classes)


def two_folds(n=90):
    rows = np.arange(n)
    return [(rows[n // 2 :], rows[: n // 2]), (rows[: n // 2], rows[n // 2 :])]


@pytest.mark.parametrize("kind", [TaskKind.BINARY, TaskKind.REGRESSION])
def test_a_completed_trial_has_score_predictions_and_models(tmp_path, kind):
    task = make_toy_task(kind=kind)
    trial = run_inner(
        task, Strategy("linear", _default("linear")), folds=two_folds(), folder=tmp_path, executor=SerialExecutor()
    )
    assert trial.status is Status.COMPLETED
    assert trial.fidelity == "2-fold"
    rows = np.r_[0:45, 45:90]
    assert trial.score == task.metric.score(task.target[rows], trial.predictions)
    assert trial.score > (0.9 if kind.is_classification else -0.6)
    assert trial.cost_steps == 2
    assert {"gstar", "scikit-learn"} <= set(trial.versions)
    saved = [read_parts(tmp_path / "trials" / "00000", fold) for fold in range(3)]
    assert [bool(parts) for parts in saved] == [True, True, False]


def test_serial_and_process_agree_bit_for_bit(tmp_path):
    task = make_toy_task()
    trials = []
    for name, executor in (("here", SerialExecutor()), ("there", ProcessExecutor(1))):
        (tmp_path / name).mkdir()
        with executor:
            strategy = Strategy("extra_trees", _default("extra_trees"))
            trials.append(
                run_inner(task, strategy, folds=two_folds(), folder=tmp_path / name, executor=executor, seed=7)
            )
    np.testing.assert_array_equal(trials[0].predictions, trials[1].predictions)


@pytest.mark.parametrize(
    ("learner", "status", "match"),
    [
        (evil.Sleeper, Status.OUT_OF_TIME, "killed after"),
        (evil.Hog, Status.OUT_OF_MEMORY, "MB|allocate|Memory"),
        (evil.Segfaulter, Status.CRASHED, "SIGSEGV"),
        (evil.Raiser, Status.FAILED, "does not like these rows"),
        (evil.Diverger, Status.FAILED, "not finite"),
    ],
)
def test_every_bad_end_is_a_trial_with_its_cause(tmp_path, learner, status, match):
    task = make_toy_task()
    (tmp_path / "data").mkdir()
    data = share(task, two_folds(), tmp_path / "data")
    with ProcessExecutor(1) as executor:
        started = start_inner(
            executor,
            data,
            tmp_path / "trials",
            Proposal(Strategy(learner.name, {"variant": 0}), 0.0, "test"),
            number=0,
            seed=0,
            budget_s=1.0,
            limits=Limits(time_s=1.0 if learner is evil.Sleeper else 60.0, memory_mb=300),
            plugins=(f"{learner.__module__}:{learner.__qualname__}",),
        )
        trial = end_inner(started, task, task.target, folds=2)
    assert trial.status is status
    assert trial.score is None
    assert trial.predictions is None
    import re

    assert re.search(match, trial.error)


def test_the_cost_of_a_killed_trial_is_not_the_time_that_it_waited():
    job = Job("", "", {}, 0, limits=Limits(time_s=2.0))
    started = Started(Future(), Proposal(Strategy("linear"), 0.0, "test"), job, 0, time.monotonic() - 50.0)
    assert started.at_most_s == 2.0
    unbounded = replace(started, job=replace(job, limits=Limits()))
    assert unbounded.at_most_s == pytest.approx(50.0, abs=1.0)


def test_a_score_that_is_not_defined_is_a_failure(tmp_path):
    task = make_toy_task()
    folds = [(np.arange(90), np.flatnonzero(task.target == 1))]
    trial = run_inner(task, Strategy("constant"), folds=folds, folder=tmp_path, executor=SerialExecutor())
    assert trial.status is Status.FAILED
    assert "roc_auc is not defined" in trial.error


def test_a_budget_that_is_over_before_the_last_fold_is_out_of_time(tmp_path):
    task = make_toy_task()
    trial = run_inner(
        task, Strategy("constant"), folds=two_folds(), folder=tmp_path, executor=SerialExecutor(), budget_s=0.0
    )
    assert trial.status is Status.OUT_OF_TIME
    assert "1 of 2 folds" in trial.error


@dataclass(frozen=True)
class CurveState:
    steps: int = 0
    done: bool = False


class Curve(AbstractLearner):
    """Gets better until step 30, then worse; predicts its own quality."""

    name: ClassVar[str] = "curve"
    space: ClassVar[Space] = Space({})
    steps_per_check: ClassVar[int] = 5

    def init(self, inputs, target, spec):
        return CurveState()

    def step(self, state, steps, deadline):
        return replace(state, steps=state.steps + steps)

    def snapshot(self, state):
        return state

    def predict(self, state, inputs):
        return np.full(len(inputs), abs(state.steps - 30) / 10.0)

    def save(self, state):
        return {}

    def load(self, parts):
        return CurveState()

    def work(self, rows, features, classes, configuration):
        return 0.0


def test_early_stopping_keeps_the_best_state_and_waits_its_patience():
    inputs = Table.of(np.zeros((4, 1)))
    spec = TrainingSpec(TaskKind.REGRESSION, 0, {}, validation=(inputs, np.zeros(4)))
    seen = []

    class Watched(Curve):
        def step(self, state, steps, deadline):
            seen.append(state.steps)
            return super().step(state, steps, deadline)

    state, prediction = fit_one(Watched(), inputs, np.zeros(4), spec, loss="rmse", deadline=None)
    assert state.steps == 30
    assert prediction.tolist() == [0, 0, 0, 0]
    assert 75 <= seen[-1] <= 90


def test_a_deadline_in_the_past_still_gives_one_state():
    inputs = Table.of(np.zeros((4, 1)))
    spec = TrainingSpec(TaskKind.REGRESSION, 0, {}, validation=(inputs, np.zeros(4)))
    state, _ = fit_one(Curve(), inputs, np.zeros(4), spec, loss="rmse", deadline=0.0)
    assert state.steps == 5


def test_fidelity_has_a_name():
    assert [fidelity_name(n) for n in (1, 5)] == ["holdout", "5-fold"]


def _default(name):
    from gstar.learner import get_learner

    return get_learner(name).space.default()


class Unstoppable(Curve):
    """Never gives up, and is looked at every 30 steps."""

    patience: ClassVar[int | None] = None

    def step(self, state, steps, deadline):
        return replace(state, steps=state.steps + steps, done=state.steps + steps >= 300)

    def steps_to_check(self, state):
        return 30


def test_a_learner_without_patience_runs_to_its_end():
    inputs = Table.of(np.zeros((4, 1)))
    spec = TrainingSpec(TaskKind.REGRESSION, 0, {}, validation=(inputs, np.zeros(4)))
    seen = []

    class Watched(Unstoppable):
        def step(self, state, steps, deadline):
            seen.append(state.steps)
            return super().step(state, steps, deadline)

    state, _ = fit_one(Watched(), inputs, np.zeros(4), spec, loss="rmse", deadline=None)
    assert state.steps == 30
    assert seen == list(range(0, 300, 30))


class Paced(Curve):
    """Predicts the mean of what it was told about the pace."""

    name: ClassVar[str] = "paced"
    handles_pace: ClassVar[bool] = True

    def init(self, inputs, target, spec):
        pace = spec.pace
        assert pace.difficulty is None or len(pace.difficulty) == len(target)
        told = {"shuffled": 0.0, "small_loss": pace.drop_share}
        return CurveState(steps=0) if pace.kind in told else CurveState(steps=100)

    def step(self, state, steps, deadline):
        return replace(state, steps=state.steps + 1, done=True)

    def predict(self, state, inputs):
        return np.full(len(inputs), float(state.steps))


@pytest.mark.parametrize(("pace", "answer"), [("shuffled", 1.0), ("easy_first", 101.0), ("hard_first", 101.0)])
def test_the_pace_reaches_learners_that_take_it(tmp_path, pace, answer):
    selection = {"kind": "part", "part_fraction": 0.5, "pace": pace}
    task = make_toy_task(kind=TaskKind.REGRESSION)
    register_learner(Paced())
    trial = run_inner(
        task, Strategy("paced", {}, selection), folds=two_folds(), folder=tmp_path, executor=SerialExecutor()
    )
    assert trial.status is Status.COMPLETED, trial.error
    assert trial.predictions.tolist() == [answer] * 90


def images_task(n=40, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 1, 5, 5), np.uint8)
    return Task("images", TaskKind.BINARY, METRICS["log_loss"], Images(pixels), np.arange(n) % 2, ("a", "b"))


@pytest.fixture
def remembered(tmp_path):
    register_learner(Begins())
    parts = {WEIGHTS: save({"body": np.array([0.8])})}
    source = Weights(tmp_path / "w", quota_mb=1.0).keep(images_task(seed=1), Strategy("begins"), parts, run="")
    return source.path


@pytest.mark.parametrize(("body", "answer"), [("frozen", 0.8), ("fine_tuned", 0.9), (None, 0.6)])
def test_a_strategy_begins_with_the_weights_that_it_is_handed(tmp_path, remembered, body, answer):
    strategy = Strategy("begins", Begins.space.default(), init={"kind": "remembered", "body": body} if body else {})
    where = {"folds": two_folds(40), "folder": tmp_path / "run", "executor": SerialExecutor()}
    where["folder"].mkdir()
    trial = run_inner(images_task(), strategy, **where, initial=remembered if body else None)
    assert trial.strategy == strategy
    np.testing.assert_allclose(trial.predictions[:, 1], answer)


@pytest.mark.parametrize("how", ["damaged", "gone", "never"])
def test_weights_that_cannot_be_used_are_told_and_it_is_a_trial_from_scratch(tmp_path, remembered, how):
    if how == "damaged":
        remembered.write_bytes(remembered.read_bytes()[:-1])
    elif how == "gone":
        remembered.unlink()
    strategy = Strategy("begins", Begins.space.default(), init={"kind": "remembered", "body": "frozen"})
    (tmp_path / "run").mkdir()
    initial = None if how == "never" else remembered
    trial = run_inner(
        images_task(),
        strategy,
        folds=two_folds(40),
        folder=tmp_path / "run",
        executor=SerialExecutor(),
        initial=initial,
    )
    assert trial.status is Status.COMPLETED
    assert trial.strategy == replace(strategy, init={})
    assert bool(trial.extra["no_initial"]) == (how != "never")
    np.testing.assert_allclose(trial.predictions[:, 1], 0.5)
