"""What every learner promises. Subclass the contract, give it a `learner` fixture, run pytest:

class TestMine(LearnerContract):
    @pytest.fixture
    def learner(self):
        return Mine()
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pytest

from gstar.inputs import Table, to_arrays
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.metric import TaskKind
from gstar.strategy import SCHEDULE_SPACE

Array: TypeAlias = np.ndarray

N_ROWS = 60
N_CLASSES = {TaskKind.BINARY: 2, TaskKind.MULTICLASS: 3, TaskKind.REGRESSION: 0}


def toy_table(n: int = N_ROWS, seed: int = 0) -> Table:
    """Returns rows with numbers, categories, dates and texts, and gaps in all of them."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n, 4))
    numbers[rng.random(numbers.shape) < 0.1] = np.nan
    numbers[:, 3] = np.nan  # a column that is missing altogether
    codes = rng.integers(-1, 4, (n, 2))
    dates = rng.uniform(0, 1e9, (n, 1))
    texts = np.array([["a red one"], ["blue"], [""], ["rather green"]], object)[rng.integers(0, 4, n)]
    return Table.of(numbers, codes, dates, texts, np.array([4, 4]))


def toy_target(table: Table, kind: TaskKind) -> Array:
    """Returns a target that depends on the first number and the first category."""
    signal = np.nan_to_num(table.numbers[:, 0]) + 0.7 * table.codes[:, 0]
    if kind is TaskKind.REGRESSION:
        return np.asarray(10.0 + 3.0 * signal)
    cuts = np.quantile(signal, [0.5] if kind is TaskKind.BINARY else [0.33, 0.66])
    return np.asarray(np.digitize(signal, cuts))


class LearnerContract:
    """Is the whole suite; a learner that passes it takes part in every search."""

    @pytest.fixture
    def learner(self) -> AbstractLearner:
        """Returns the learner under test; overridden by the subclass."""
        raise pytest.UsageError("A subclass of LearnerContract needs a `learner` fixture.")

    @pytest.fixture(params=list(TaskKind))
    def kind(self, request: pytest.FixtureRequest, learner: AbstractLearner) -> TaskKind:
        """Goes through the kinds of task that the learner handles."""
        if request.param not in learner.kinds:
            pytest.skip("the learner does not handle this kind of task")
        return TaskKind(request.param)

    def train(self, learner: AbstractLearner, kind: TaskKind, table: Table, target: Array, **changes: Any) -> State:
        """Trains to the end, at most 60 steps."""
        state = learner.init(table, target, self.spec(learner, kind, **changes))
        while not state.done and state.steps < 60:
            state = learner.step(state, 20, None)
        return state

    def spec(self, learner: AbstractLearner, kind: TaskKind, **changes: Any) -> TrainingSpec:
        """Returns what the learner is told, with some of it changed."""
        schedule = SCHEDULE_SPACE.default() if learner.has_schedule else {}
        validation = (toy_table(20, seed=9), toy_target(toy_table(20, seed=9), kind))
        base = TrainingSpec(
            kind, N_CLASSES[kind], learner.space.default(), schedule, seed=3, threads=1, validation=validation
        )
        return replace(base, **changes)

    def check(self, prediction: Array, n_rows: int, n_classes: int) -> None:
        """Asserts the one form that predictions have."""
        assert prediction.shape == ((n_rows, n_classes) if n_classes else (n_rows,))
        assert np.all(np.isfinite(prediction))
        if n_classes:
            assert np.all(prediction >= 0)
            np.testing.assert_allclose(prediction.sum(axis=1), 1.0, atol=1e-6)

    def test_default_trains_and_predicts(self, learner: AbstractLearner, kind: TaskKind) -> None:
        table = toy_table()
        state = self.train(learner, kind, table, toy_target(table, kind))
        assert state.steps >= 1
        self.check(learner.predict(state, toy_table(7, seed=1)), 7, N_CLASSES[kind])

    def test_same_seed_same_model(self, learner: AbstractLearner, kind: TaskKind) -> None:
        table, new = toy_table(), toy_table(7, seed=1)
        once, again = (learner.predict(self.train(learner, kind, table, toy_target(table, kind)), new) for _ in "12")
        np.testing.assert_array_equal(once, again)

    def test_saved_and_loaded_predicts_the_same(self, learner: AbstractLearner, kind: TaskKind) -> None:
        table, new = toy_table(), toy_table(7, seed=1)
        state = self.train(learner, kind, table, toy_target(table, kind))
        parts = learner.save(state)
        assert parts
        assert all(isinstance(content, bytes) for content in parts.values())
        assert not any(content.startswith(b"\x80") for content in parts.values()), "a part looks like a pickle"
        loaded = type(learner)().load(parts)
        np.testing.assert_array_equal(learner.predict(loaded, new), learner.predict(state, new))

    def test_inputs_are_not_changed(self, learner: AbstractLearner, kind: TaskKind) -> None:
        table = toy_table()
        target = toy_target(table, kind)
        before = {name: array.copy() for name, array in to_arrays(table).items()}, target.copy()
        state = self.train(learner, kind, table, target)
        learner.predict(state, table)
        for name, array in to_arrays(table).items():
            np.testing.assert_array_equal(array, before[0][name])
        np.testing.assert_array_equal(target, before[1])

    def test_any_configuration_of_its_space_trains(self, learner: AbstractLearner, kind: TaskKind) -> None:
        rng = np.random.default_rng(5)
        table = toy_table()
        for _ in range(4):
            configuration = learner.space.sample(rng)
            schedule = SCHEDULE_SPACE.sample(rng) if learner.has_schedule else {}
            target = toy_target(table, kind)
            state = self.train(learner, kind, table, target, configuration=configuration, schedule=schedule)
            self.check(learner.predict(state, table), N_ROWS, N_CLASSES[kind])

    @pytest.mark.parametrize("present", [["numbers"], ["codes"], ["dates"], ["texts"], []])
    def test_blocks_may_be_empty(self, learner: AbstractLearner, present: list[str]) -> None:
        whole = toy_table()
        none = {"numbers": np.empty((N_ROWS, 0))}
        blocks = {name: getattr(whole, name) for name in present}
        table = Table.of(**{**none, **blocks}, levels=whole.levels if "codes" in present else np.empty(0, int))
        kind = next(k for k in TaskKind if k in learner.kinds)
        target = toy_target(whole, kind)
        state = self.train(learner, kind, table, target, validation=(table, target))
        self.check(learner.predict(state, table), N_ROWS, N_CLASSES[kind])

    def test_an_absent_class_has_a_column(self, learner: AbstractLearner) -> None:
        if TaskKind.MULTICLASS not in learner.kinds:
            pytest.skip("the learner does not handle classes")
        table = toy_table()
        for target in (np.where(toy_target(table, TaskKind.BINARY) == 1, 2, 0), np.full(N_ROWS, 1)):
            state = self.train(learner, TaskKind.MULTICLASS, table, target)
            prediction = learner.predict(state, table)
            self.check(prediction, N_ROWS, 3)
            absent = [c for c in range(3) if c not in target]
            assert np.all(prediction[:, absent] < 0.2)

    def test_a_constant_target_is_learned(self, learner: AbstractLearner) -> None:
        if TaskKind.REGRESSION not in learner.kinds:
            pytest.skip("the learner does not handle regression")
        table = toy_table()
        state = self.train(learner, TaskKind.REGRESSION, table, np.full(N_ROWS, 4.0))
        np.testing.assert_allclose(learner.predict(state, table), 4.0, atol=1e-3)

    def test_few_rows_train(self, learner: AbstractLearner, kind: TaskKind) -> None:
        table = toy_table(10)
        state = self.train(learner, kind, table, toy_target(table, kind))
        self.check(learner.predict(state, table), 10, N_CLASSES[kind])

    def test_weights_are_taken(self, learner: AbstractLearner, kind: TaskKind) -> None:
        table = toy_table()
        weights = np.random.default_rng(0).random(N_ROWS)
        weights[::7] = 0.0
        state = self.train(learner, kind, table, toy_target(table, kind), weights=weights)
        self.check(learner.predict(state, table), N_ROWS, N_CLASSES[kind])

    def test_a_snapshot_stays_as_it_is(self, learner: AbstractLearner, kind: TaskKind) -> None:
        table = toy_table()
        state = learner.step(
            learner.init(table, toy_target(table, kind), self.spec(learner, kind)), learner.steps_per_check, None
        )
        kept = learner.snapshot(state)
        before = learner.predict(kept, table)
        if not state.done:
            learner.step(state, learner.steps_per_check, None)
        np.testing.assert_array_equal(learner.predict(kept, table), before)

    def test_a_deadline_in_the_past_leaves_something_that_predicts(
        self, learner: AbstractLearner, kind: TaskKind
    ) -> None:
        table = toy_table()
        state = learner.init(table, toy_target(table, kind), self.spec(learner, kind))
        state = learner.step(state, 5, time.monotonic() - 1.0)
        self.check(learner.predict(learner.snapshot(state), table), N_ROWS, N_CLASSES[kind])

    def test_steps_are_counted(self, learner: AbstractLearner, kind: TaskKind) -> None:
        table = toy_table()
        state = learner.init(table, toy_target(table, kind), self.spec(learner, kind))
        assert state.steps == 0
        assert learner.step(state, 1, None).steps >= 1

    def test_work_is_a_guess_that_grows(self, learner: AbstractLearner) -> None:
        small = learner.work(100, 5, 2, learner.space.default())
        large = learner.work(100_000, 50, 2, learner.space.default())
        assert 0 < small <= large < 1e5
