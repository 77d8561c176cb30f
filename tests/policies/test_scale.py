from __future__ import annotations

import numpy as np

from gstar.policies.scale import FLOOR, normalise

NONE = np.nan


def _normalise(*rows: list[float]) -> np.ndarray:
    scores = np.array(rows)
    return normalise(scores, np.zeros(scores.shape)).values


def test_middling_is_0_best_is_1_awful_is_the_floor() -> None:
    np.testing.assert_allclose(_normalise([0.7, 0.8, 0.9, 0.75, 0.1]), [[-1 / 3, 1 / 3, 1, 0, FLOOR]])


def test_does_not_depend_on_the_unit_of_the_metric() -> None:
    row = [0.7, 0.8, 0.9, 0.75, 0.1]
    np.testing.assert_allclose(_normalise([1e6 * v - 3 for v in row]), _normalise(row), atol=1e-9)


def test_a_failure_is_worth_the_floor_and_nothing_known_is_nan() -> None:
    scores = np.array([[0.5, 0.6, NONE, NONE]])
    values = normalise(scores, np.array([[0, 3, 1, 0]])).values[0]
    assert values[2] == FLOOR
    assert np.isnan(values[3])
    assert values[1] == 1.0, "a failure beside a score does not count"


def test_equal_scores_are_middling() -> None:
    result = normalise(np.full((1, 4), 0.5), np.zeros((1, 4)))
    np.testing.assert_array_equal(result.values, np.zeros((1, 4)))
    assert np.isnan(result.scale[0])


def test_where_most_tie_for_the_best_the_others_are_below() -> None:
    np.testing.assert_allclose(_normalise([1.0, 1.0, 1.0, 0.9]), [[0, 0, 0, -1]])


def test_a_task_shown_good_strategies_only_has_no_middling_one() -> None:
    wide = [[0.1 * j + level for j in range(11)] for level in (0.0, 1.0, 2.0)]
    sparse = [*[NONE] * 8, 5.8, 5.9, 6.0]
    values = normalise(np.array([*wide, sparse]), np.zeros((4, 11)))
    np.testing.assert_allclose(values.values[3, 8:], [0.6, 0.8, 1.0])
    np.testing.assert_allclose(values.values[3, 8:], (np.array(sparse[8:]) - values.location[3]) / values.scale[3])


def test_no_tasks() -> None:
    assert normalise(np.empty((0, 0)), np.empty((0, 0))).values.shape == (0, 0)


def test_constants_are_median_and_distance_to_the_best() -> None:
    rng = np.random.default_rng(0)
    scores = np.where(rng.random((40, 9)) < 0.2, NONE, rng.normal(size=(40, 9)))
    found = normalise(scores, np.zeros(scores.shape))
    for row, location, scale in zip(scores, found.location, found.scale, strict=True):
        assert location == np.nanmedian(row)
        assert scale == np.nanmax(row) - np.nanmedian(row)
