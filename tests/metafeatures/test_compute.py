"""Meta-features: finite for the oddest columns, the same every time, one number per name."""

from __future__ import annotations

import numpy as np
import pytest

from gstar.inputs import Images, Sequences, Table
from gstar.metafeatures import NAMES, compute
from gstar.metric import METRICS, TaskKind
from gstar.task import Task
from gstar.testing.learner import toy_table, toy_target


def make(inputs, target, kind=TaskKind.BINARY):
    classes = tuple(range(int(np.max(target)) + 1)) if kind.is_classification else ()
    return Task("t", kind, METRICS["accuracy" if classes else "rmse"], inputs, np.asarray(target), classes)


def test_about_forty_names_all_different():
    assert 35 <= len(NAMES) == len(set(NAMES)) <= 60


@pytest.mark.parametrize("kind", list(TaskKind))
def test_finite_and_the_same_every_time(kind):
    table = toy_table(200)
    task = make(table, toy_target(table, kind), kind)
    first, second = compute(task), compute(task)
    assert first.shape == (len(NAMES),)
    assert np.all(np.isfinite(first))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "numbers",
    [
        np.full((30, 2), np.nan),
        np.tile([[1e300, -1e300]], (30, 1)),
        np.full((30, 1), 5e-324),
        np.zeros((30, 3)),
        np.empty((30, 0)),
        np.r_[[[np.nan]], np.arange(29.0)[:, None]],
    ],
    ids=["missing", "huge", "denormal", "constant", "none", "one gap"],
)
@pytest.mark.parametrize("kind", [TaskKind.BINARY, TaskKind.REGRESSION])
def test_odd_columns_give_finite_numbers(numbers, kind):
    target = np.arange(30) % 2 if kind.is_classification else np.linspace(-1e12, 1e12, 30)
    assert np.all(np.isfinite(compute(make(Table.of(numbers), target, kind))))


def test_images_and_sequences_have_sizes_and_no_landmarks():
    for inputs in (Images(np.zeros((10, 1, 4, 4), np.uint8)), Sequences(np.zeros((10, 5, 2)), np.full(10, 5))):
        values = dict(zip(NAMES, compute(make(inputs, np.arange(10) % 2)), strict=True))
        assert values["log_rows"] == pytest.approx(np.log(10))
        assert np.all(np.isfinite(list(values.values())))


def test_a_landmark_sees_what_can_be_learned():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(300, 3))
    easy = compute(make(Table.of(numbers), (numbers[:, 0] > 0).astype(int)))
    hard = compute(make(Table.of(numbers), rng.integers(0, 2, 300)))
    stump = next(i for i, name in enumerate(NAMES) if "stump" in name)
    assert easy[stump] > hard[stump] + 0.3


def test_two_rows_are_enough():
    assert np.all(np.isfinite(compute(make(Table.of(np.array([[1.0], [2.0]])), [0, 1]))))
