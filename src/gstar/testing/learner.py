"""What every learner promises. Subclass the contract, give it a `learner` fixture, run pytest:

class TestMine(LearnerContract):
    @pytest.fixture
    def learner(self):
        return Mine()
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeAlias

import numpy as np
import pytest

from gstar.inputs import Images, Inputs, Sequences, Table, form_of, to_arrays
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


def toy_images(n: int = N_ROWS, seed: int = 0) -> Images:
    """Returns small colour images of different brightness."""
    rng = np.random.default_rng(seed)
    light = rng.integers(0, 120, (n, 1, 1, 1))
    return Images((light + rng.integers(0, 130, (n, 3, 7, 6))).astype(np.uint8))


def toy_sequences(n: int = N_ROWS, seed: int = 0) -> Sequences:
    """Returns sequences of different lengths and levels, with gaps."""
    rng = np.random.default_rng(seed)
    steps = (rng.normal(size=(n, 1, 2)) + 0.3 * rng.normal(size=(n, 11, 2))).astype(np.float32)
    lengths = rng.integers(1, 12, n)
    steps[rng.random(steps.shape) < 0.1] = np.nan
    steps[np.arange(11)[None, :] >= lengths[:, None]] = 0.0
    return Sequences(steps, lengths)


TOYS: Final[dict[str, Callable[..., Inputs]]] = {
    "table": toy_table,
    "images": toy_images,
    "sequences": toy_sequences,
}


def toy_target(inputs: Inputs, kind: TaskKind) -> Array:
    """Returns a target that depends on the first number and category, the brightness, or the level."""
    if isinstance(inputs, Table):
        signal = np.nan_to_num(inputs.numbers[:, 0]) + 0.7 * inputs.codes[:, 0]
    elif isinstance(inputs, Images):
        signal = inputs.pixels.mean(axis=(1, 2, 3)) / 50
    else:
        signal = np.nan_to_num(inputs.steps[:, :, 0]).sum(axis=1) / inputs.lengths
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

    @pytest.fixture
    def form(self, learner: AbstractLearner) -> str:
        """Returns the form of the rows; a learner of several forms is tested once for each."""
        return "table" if "table" in learner.forms else min(learner.forms)

    def train(self, learner: AbstractLearner, kind: TaskKind, inputs: Inputs, target: Array, **changes: Any) -> State:
        """Trains to the end, at most 60 steps."""
        state = learner.init(inputs, target, self.spec(learner, kind, inputs, **changes))
        while not state.done and state.steps < 60:
            state = learner.step(state, 20, None)
        return state

    def spec(self, learner: AbstractLearner, kind: TaskKind, inputs: Inputs, **changes: Any) -> TrainingSpec:
        """Returns what the learner is told, with some of it changed."""
        schedule = SCHEDULE_SPACE.default() if learner.has_schedule else {}
        held_out = TOYS[form_of(inputs)](20, seed=9)
        validation = (held_out, toy_target(held_out, kind))
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

    def test_default_trains_and_predicts(self, learner: AbstractLearner, kind: TaskKind, form: str) -> None:
        rows = TOYS[form]()
        state = self.train(learner, kind, rows, toy_target(rows, kind))
        assert state.steps >= 1
        self.check(learner.predict(state, TOYS[form](7, seed=1)), 7, N_CLASSES[kind])

    def test_same_seed_same_model(self, learner: AbstractLearner, kind: TaskKind, form: str) -> None:
        rows, new = TOYS[form](), TOYS[form](7, seed=1)
        once, again = (learner.predict(self.train(learner, kind, rows, toy_target(rows, kind)), new) for _ in "12")
        np.testing.assert_array_equal(once, again)

    def test_saved_and_loaded_predicts_the_same(self, learner: AbstractLearner, kind: TaskKind, form: str) -> None:
        rows, new = TOYS[form](), TOYS[form](7, seed=1)
        state = self.train(learner, kind, rows, toy_target(rows, kind))
        parts = learner.save(state)
        assert parts
        assert all(isinstance(content, bytes) for content in parts.values())
        assert not any(content.startswith(b"\x80") for content in parts.values()), "a part looks like a pickle"
        loaded = type(learner)().load(parts)
        np.testing.assert_array_equal(learner.predict(loaded, new), learner.predict(state, new))

    def test_inputs_are_not_changed(self, learner: AbstractLearner, kind: TaskKind, form: str) -> None:
        rows = TOYS[form]()
        target = toy_target(rows, kind)
        before = {name: array.copy() for name, array in to_arrays(rows).items()}, target.copy()
        state = self.train(learner, kind, rows, target)
        learner.predict(state, rows)
        for name, array in to_arrays(rows).items():
            np.testing.assert_array_equal(array, before[0][name])
        np.testing.assert_array_equal(target, before[1])

    def test_any_configuration_of_its_space_trains(self, learner: AbstractLearner, kind: TaskKind, form: str) -> None:
        rng = np.random.default_rng(5)
        rows = TOYS[form]()
        for _ in range(4):
            configuration = learner.space.sample(rng)
            schedule = SCHEDULE_SPACE.sample(rng) if learner.has_schedule else {}
            target = toy_target(rows, kind)
            state = self.train(learner, kind, rows, target, configuration=configuration, schedule=schedule)
            self.check(learner.predict(state, rows), N_ROWS, N_CLASSES[kind])

    @pytest.mark.parametrize("present", [["numbers"], ["codes"], ["dates"], ["texts"], []])
    def test_blocks_may_be_empty(self, learner: AbstractLearner, present: list[str]) -> None:
        if "table" not in learner.forms:
            pytest.skip("the learner does not handle tables")
        whole = toy_table()
        none = {"numbers": np.empty((N_ROWS, 0))}
        blocks = {name: getattr(whole, name) for name in present}
        table = Table.of(**{**none, **blocks}, levels=whole.levels if "codes" in present else np.empty(0, int))
        kind = next(k for k in TaskKind if k in learner.kinds)
        target = toy_target(whole, kind)
        state = self.train(learner, kind, table, target, validation=(table, target))
        self.check(learner.predict(state, table), N_ROWS, N_CLASSES[kind])

    def test_an_absent_class_has_a_column(self, learner: AbstractLearner, form: str) -> None:
        if TaskKind.MULTICLASS not in learner.kinds:
            pytest.skip("the learner does not handle classes")
        rows = TOYS[form]()
        for target in (np.where(toy_target(rows, TaskKind.BINARY) == 1, 2, 0), np.full(N_ROWS, 1)):
            state = self.train(learner, TaskKind.MULTICLASS, rows, target)
            prediction = learner.predict(state, rows)
            self.check(prediction, N_ROWS, 3)
            absent = [c for c in range(3) if c not in target]
            assert np.all(prediction[:, absent] < 0.2)

    def test_a_constant_target_is_learned(self, learner: AbstractLearner, form: str) -> None:
        if TaskKind.REGRESSION not in learner.kinds:
            pytest.skip("the learner does not handle regression")
        rows = TOYS[form]()
        state = self.train(learner, TaskKind.REGRESSION, rows, np.full(N_ROWS, 4.0))
        np.testing.assert_allclose(learner.predict(state, rows), 4.0, atol=1e-3)

    @pytest.mark.parametrize("n_rows", [1, 2, 10])
    def test_few_rows_train(self, learner: AbstractLearner, kind: TaskKind, form: str, n_rows: int) -> None:
        rows = TOYS[form](n_rows)
        state = self.train(learner, kind, rows, toy_target(rows, kind))
        self.check(learner.predict(state, rows), n_rows, N_CLASSES[kind])

    def test_weights_are_taken(self, learner: AbstractLearner, kind: TaskKind, form: str) -> None:
        rows = TOYS[form]()
        weights = np.random.default_rng(0).random(N_ROWS)
        weights[::7] = 0.0
        state = self.train(learner, kind, rows, toy_target(rows, kind), weights=weights)
        self.check(learner.predict(state, rows), N_ROWS, N_CLASSES[kind])

    def test_a_snapshot_stays_as_it_is(self, learner: AbstractLearner, kind: TaskKind, form: str) -> None:
        rows = TOYS[form]()
        state = learner.step(
            learner.init(rows, toy_target(rows, kind), self.spec(learner, kind, rows)), learner.steps_per_check, None
        )
        kept = learner.snapshot(state)
        before = learner.predict(kept, rows)
        if not state.done:
            learner.step(state, learner.steps_per_check, None)
        np.testing.assert_array_equal(learner.predict(kept, rows), before)

    def test_a_deadline_in_the_past_leaves_something_that_predicts(
        self, learner: AbstractLearner, kind: TaskKind, form: str
    ) -> None:
        rows = TOYS[form]()
        state = learner.init(rows, toy_target(rows, kind), self.spec(learner, kind, rows))
        state = learner.step(state, 5, time.monotonic() - 1.0)
        self.check(learner.predict(learner.snapshot(state), rows), N_ROWS, N_CLASSES[kind])

    def test_steps_are_counted(self, learner: AbstractLearner, kind: TaskKind, form: str) -> None:
        rows = TOYS[form]()
        state = learner.init(rows, toy_target(rows, kind), self.spec(learner, kind, rows))
        assert state.steps == 0
        assert learner.step(state, 1, None).steps >= 1

    def test_another_body_keeps_the_training(self, learner: AbstractLearner) -> None:
        """Tests that a configuration with another's body is valid, and is of the same body where that counts."""
        if not learner.handles_initial:
            pytest.skip("the learner does not begin with the weights of another model")
        rng = np.random.default_rng(0)
        for _ in range(20):
            own, other = learner.space.sample(rng), learner.space.sample(rng)
            both = learner.with_body(own, other)
            learner.space.validate(both)
            assert learner.has_same_body(both, other), f"Expected the body of {other}, got {both}."
            assert learner.with_body(both, own) == own, f"Expected all but the body of {own}, got {both}."

    def test_work_is_a_guess_that_grows(self, learner: AbstractLearner) -> None:
        small = learner.work(100, 5, 2, learner.space.default())
        large = learner.work(100_000, 50, 2, learner.space.default())
        assert 0 < small <= large < 1e5
