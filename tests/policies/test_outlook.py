from __future__ import annotations

import numpy as np
import pytest

from gstar.policies import outlook
from gstar.policies.outlook import fit_outlook

EYE = np.eye(2)
SPREAD = 0.01 * EYE


def _families(n: int) -> list[str]:
    return [f"f{i // 2}" for i in range(n)]


def test_meta_features_that_say_something_are_used() -> None:
    rng = np.random.default_rng(0)
    meta = rng.normal(size=(60, 5))
    factors = np.c_[meta[:, 0], -meta[:, 1]] + rng.normal(0, 0.2, (60, 2))
    outlook = fit_outlook(meta, factors, SPREAD, _families(60), EYE)
    assert outlook.gain > 0.8
    np.testing.assert_allclose(outlook.predict(np.array([1.0, 1.0, 0, 0, 0])), [1, -1], atol=0.35)
    assert outlook.covariance[0, 0] < 0.2


def test_meta_features_that_say_nothing_are_not_used() -> None:
    rng = np.random.default_rng(1)
    outlook = fit_outlook(rng.normal(size=(60, 5)), rng.normal(size=(60, 2)), SPREAD, _families(60), EYE)
    assert outlook.gain == 0.0
    np.testing.assert_array_equal(outlook.predict(np.ones(5)), [0, 0])
    np.testing.assert_array_equal(outlook.covariance, EYE)


def test_what_only_tells_families_apart_does_not_help() -> None:
    rng = np.random.default_rng(2)
    codes = np.repeat(rng.normal(size=(15, 5)), 4, axis=0)
    factors = np.repeat(rng.normal(size=(15, 2)), 4, axis=0)
    grouped = fit_outlook(codes, factors, SPREAD, [f"f{i // 4}" for i in range(60)], EYE)
    leaky = fit_outlook(codes, factors, SPREAD, [f"f{i}" for i in range(60)], EYE)
    assert grouped.gain < 0.3
    assert leaky.gain > 0.8


@pytest.mark.parametrize(("n_tasks", "n_meta", "k"), [(0, 3, 2), (5, 3, 2), (20, 0, 2), (20, 3, 0)])
def test_too_little_to_learn_from(n_tasks: int, n_meta: int, k: int) -> None:
    outlook = fit_outlook(np.ones((n_tasks, n_meta)), np.ones((n_tasks, k)), np.eye(k), _families(n_tasks), np.eye(k))
    np.testing.assert_array_equal(outlook.predict(np.ones(n_meta)), np.zeros(k))


def test_constant_and_extreme_meta_features_do_no_harm() -> None:
    rng = np.random.default_rng(3)
    meta = np.c_[rng.normal(size=(40, 2)), np.full(40, 7.0)]
    factors = meta[:, :2] + rng.normal(0, 0.1, (40, 2))
    outlook = fit_outlook(meta, factors, SPREAD, _families(40), EYE)
    assert outlook.gain > 0.5
    assert np.abs(outlook.predict(np.array([1e9, -1e9, 8.0]))).max() < 10


def test_other_meta_features_than_recorded_are_ignored() -> None:
    rng = np.random.default_rng(4)
    meta = rng.normal(size=(40, 3))
    outlook = fit_outlook(meta, meta[:, :2], SPREAD, _families(40), EYE)
    np.testing.assert_array_equal(outlook.predict(np.ones(9)), [0, 0])


def test_errors_are_those_of_a_fit_without_the_family() -> None:
    rng = np.random.default_rng(5)
    tasks, factors = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    kernel, groups = tasks @ tasks.T, [[0], [1, 2, 7], [3], [4, 5], [6], [8], [9, 10, 11]]
    values, vectors = np.linalg.eigh(kernel)
    found = outlook._left_out(vectors, values / (values + 0.7), factors, groups)
    for rows in groups:
        rest = np.setdiff1d(np.arange(12), rows)
        dual = np.linalg.solve(kernel[np.ix_(rest, rest)] + 0.7 * np.eye(len(rest)), factors[rest])
        np.testing.assert_allclose(found[rows], factors[rows] - kernel[np.ix_(rows, rest)] @ dual, atol=1e-9)


def test_of_many_tasks_some_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlook, "MAX_TASKS", 50)
    rng = np.random.default_rng(0)
    meta = rng.normal(size=(400, 3))
    factors = np.c_[meta[:, 0], -meta[:, 1]] + rng.normal(0, 0.2, (400, 2))
    found = fit_outlook(meta, factors, SPREAD, _families(400), EYE)
    assert len(found.tasks) == 50
    np.testing.assert_allclose(found.predict(np.array([1.0, 1.0, 0.0])), [1, -1], atol=0.35)
