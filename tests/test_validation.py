"""Splits: stratified, grouped, in order of time; never empty, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gstar.inputs import Table
from gstar.metric import METRICS, TaskKind
from gstar.task import Task
from gstar.validation import plan_folds


def make(target, **roles):
    target = np.asarray(target)
    is_class = target.dtype.kind == "i"
    classes = tuple(range(int(target.max()) + 1)) if is_class else ()
    kind = TaskKind.REGRESSION if not is_class else TaskKind.BINARY if len(classes) == 2 else TaskKind.MULTICLASS
    metric = METRICS["accuracy" if is_class else "rmse"]
    return Task("t", kind, metric, Table.of(np.zeros((len(target), 1))), target, classes, **roles)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(4, 60),
    st.integers(1, 8),
    st.integers(2, 4),
    st.integers(0, 99),
    st.sampled_from(["", "order", "groups"]),
)
def test_sides_are_never_empty_and_never_overlap(rows, folds, n_classes, seed, role):
    rng = np.random.default_rng(seed)
    target = np.r_[np.arange(min(n_classes, rows)), rng.integers(0, n_classes, max(0, rows - n_classes))][:rows]
    roles = {"order": rng.permutation(rows)} if role == "order" else {}
    if role == "groups":
        roles = {"groups": np.arange(rows) // max(1, rows // 10)}
    plan = plan_folds(make(target, **roles), folds=folds, fraction=0.25, seed=seed)
    assert len(plan) >= 1
    seen = np.concatenate([valid for _, valid in plan])
    assert len(np.unique(seen)) == len(seen)
    for train, valid in plan:
        assert len(train)
        assert len(valid)
        assert not set(train.tolist()) & set(valid.tolist())
        if role == "groups":
            assert not set(roles["groups"][train]) & set(roles["groups"][valid])
        if role == "order":
            assert roles["order"][train].max() < roles["order"][valid].min()


def test_folds_cover_all_rows_and_keep_the_shares():
    target = np.repeat([0, 1], [160, 40])
    plan = plan_folds(make(target), folds=5, fraction=0.2, seed=0)
    assert sorted(np.concatenate([v for _, v in plan]).tolist()) == list(range(200))
    assert all(target[valid].sum() == 8 for _, valid in plan)


def test_a_hold_out_has_its_fraction_and_keeps_the_spread_of_values():
    values = np.random.default_rng(0).exponential(size=400)
    ((train, valid),) = plan_folds(make(values), folds=1, fraction=0.2, seed=0)
    assert len(valid) == pytest.approx(80, abs=6)
    assert np.median(values[valid]) == pytest.approx(np.median(values[train]), abs=0.1)


def test_a_class_with_one_row_is_trained_on():
    target = np.r_[np.zeros(30, int), np.ones(30, int), [2]]
    ((train, _),) = plan_folds(make(target), folds=1, fraction=0.2, seed=0)
    assert 60 in train


def test_the_seed_decides():
    target = np.arange(100) % 2
    plans = [plan_folds(make(target), folds=3, fraction=0.2, seed=seed) for seed in (1, 1, 2)]
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(plans[0], plans[1], strict=True))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(plans[0], plans[2], strict=True))


def test_repeats_split_the_rows_again_in_other_ways():
    task = make(np.arange(40.0))
    once = plan_folds(task, folds=4, fraction=0.2, seed=3)
    thrice = plan_folds(task, folds=4, fraction=0.2, seed=3, repeats=3)
    assert len(thrice) == 12
    for (train, valid), (same_train, same_valid) in zip(once, thrice, strict=False):
        np.testing.assert_array_equal(train, same_train)
        np.testing.assert_array_equal(valid, same_valid)
    rounds = [[valid for _, valid in thrice[i : i + 4]] for i in (0, 4, 8)]
    assert all(sorted(np.concatenate(parts)) == list(range(40)) for parts in rounds)
    assert len({tuple(map(tuple, parts)) for parts in rounds}) == 3
