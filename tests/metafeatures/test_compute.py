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


def test_about_fifty_names_all_different():
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


def described(inputs, target):
    return dict(zip(NAMES, compute(make(inputs, target)), strict=True))


def test_empty_images_and_sequences_have_sizes():
    for inputs in (Images(np.zeros((10, 1, 4, 4), np.uint8)), Sequences(np.zeros((10, 5, 2)), np.full(10, 5))):
        values = described(inputs, np.arange(10) % 2)
        assert values["log_rows"] == pytest.approx(np.log(10))
        assert np.all(np.isfinite(list(values.values())))


@pytest.mark.parametrize(
    "inputs",
    [
        Images(np.full((12, 3, 1, 1), np.nan, np.float32)),
        Images(np.full((12, 2, 3, 40), 3e38, np.float32)),
        Sequences(np.full((12, 1, 1), np.nan, np.float32), np.ones(12, int)),
        Sequences(np.full((12, 300, 100), 1e30, np.float32), np.r_[1, np.full(11, 300)]),
    ],
    ids=["missing pixels", "flat and huge", "one missing step", "wide and huge"],
)
def test_odd_images_and_sequences_give_finite_numbers(inputs):
    assert np.all(np.isfinite(list(described(inputs, np.arange(12) % 2).values())))


def waves(rng, shapes, at, size=40):
    """Sequences of noise with a short wave at a place."""
    steps = rng.normal(0, 0.3, (len(at), size, 1))
    for row, shape, place in zip(steps, shapes, at, strict=True):
        row[place : place + len(shape), 0] += shape
    return Sequences(steps, np.full(len(at), size))


def test_landmarks_tell_where_from_what():
    rng, target = np.random.default_rng(0), np.arange(300) % 2
    slow, quick = 3 * np.array([1.0, 1, 1, -1, -1, -1]), 3 * np.array([1.0, -1, 1, -1, 1, -1])
    place = described(waves(rng, [slow] * 300, np.where(target == 1, 5, 25)), target)
    shape = described(waves(rng, [(slow, quick)[k] for k in target], rng.integers(0, 34, 300)), target)
    assert place["landmark_linear"] > 0.7 > 0.3 > shape["landmark_linear"]
    assert shape["landmark_patterns"] > 0.7


def test_landmarks_see_what_images_show():
    rng = np.random.default_rng(0)
    target = np.arange(200) % 2
    pixels = rng.integers(0, 60, (200, 3, 20, 20)).astype(np.uint8)
    pixels[target == 1, :, :10] += 100
    values = described(Images(pixels), target)
    assert values["landmark_linear"] > 0.8
    assert values["landmark_spread"] > 0.8
    assert described(Table.of(rng.normal(size=(50, 2))), np.arange(50) % 2)["landmark_patterns"] == 0


def test_what_is_behind_the_end_of_a_sequence_is_not_seen():
    rng = np.random.default_rng(0)
    steps, lengths = rng.normal(size=(60, 20, 2)), np.full(60, 9)
    beyond = steps.copy()
    beyond[:, 9:] = 50.0
    assert described(Sequences(steps, lengths), np.arange(60) % 2) == described(
        Sequences(beyond, lengths), np.arange(60) % 2
    )


def test_a_landmark_sees_what_can_be_learned():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(300, 3))
    easy = compute(make(Table.of(numbers), (numbers[:, 0] > 0).astype(int)))
    hard = compute(make(Table.of(numbers), rng.integers(0, 2, 300)))
    stump = next(i for i, name in enumerate(NAMES) if "stump" in name)
    assert easy[stump] > hard[stump] + 0.3


def test_two_rows_are_enough():
    assert np.all(np.isfinite(compute(make(Table.of(np.array([[1.0], [2.0]])), [0, 1]))))
