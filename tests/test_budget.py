"""Time is shared out so that the budget holds, and the choice of folds follows from sizes."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

from gstar.budget import Budget, fold_plan
from gstar.inputs import Table
from gstar.metric import METRICS, TaskKind
from gstar.task import Task


def learners(seconds_per_row):
    space = SimpleNamespace(default=dict)
    return {"only": SimpleNamespace(work=lambda rows, *_: rows * seconds_per_row, space=space)}


def task(rows):
    return Task("t", TaskKind.REGRESSION, METRICS["rmse"], Table.of(np.zeros((rows, 1))), np.zeros(rows))


def test_seconds_run_out_and_are_never_negative():
    now = time.monotonic()
    assert Budget(now - 100, 10, None).left_s == 0
    assert 0 < Budget(now, 10, None).left_s <= 9.7
    assert Budget(now, None, 5).left_s is None


def test_a_longer_search_keeps_more_time_for_the_ensemble_within_bounds():
    assert Budget(0, 10, None).reserve_s == pytest.approx(0.45)
    assert Budget(0, 60, None).reserve_s == pytest.approx(1.2)
    assert Budget(0, 3600, None).reserve_s == pytest.approx(2.3)


def test_only_a_budget_in_trials_repeats():
    assert Budget(0, None, 5).repeats
    assert not Budget(0, 10, 5).repeats


def test_allowance_follows_the_prediction_within_what_is_left():
    budget = Budget(time.monotonic(), 100, None)
    assert budget.allowance_s(5.0) == pytest.approx(15.0)
    assert budget.allowance_s(0.01) == 1.0
    assert budget.allowance_s(1e9) == pytest.approx(90.9, abs=0.5)
    assert budget.allowance_s(float("nan")) == pytest.approx(46, abs=1)
    assert 0 < Budget(time.monotonic(), 0.4, None).allowance_s(1.0) < 0.1
    assert Budget(0, None, 3).allowance_s(5.0) is None


@pytest.mark.parametrize(
    ("rows", "seconds_per_row", "expected"), [(1000, 2e-4, 8), (2000, 4e-4, 3), (2000, 1e-5, 5), (50_000, 1e-3, 1)]
)
def test_folds_are_given_up_when_they_cost_too_much(rows, seconds_per_row, expected):
    plan = fold_plan(task(rows), Budget(0, 10, None), learners(seconds_per_row), 2)
    assert plan.folds == expected
    assert plan.repeats == 1
    assert 0.1 <= plan.fraction <= 0.2


@pytest.mark.parametrize(
    ("rows", "budget_s", "repeats"), [(200, 60, 1), (200, 400, 2), (200, 4000, 4), (2000, 4000, 1)]
)
def test_folds_are_repeated_where_rows_are_few_and_time_is_not(rows, budget_s, repeats):
    assert fold_plan(task(rows), Budget(0, budget_s, None), learners(5e-3), 2).repeats == repeats


def test_folds_do_not_depend_on_the_clock_when_runs_must_repeat():
    for rows, expected in ((5000, 5), (5001, 1)):
        assert fold_plan(task(rows), Budget(0, None, 10), learners(1e9), 7).folds == expected
