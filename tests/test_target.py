"""The target: which rows have one, of what kind it is, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gstar.errors import DataError, UsageError
from gstar.metric import TaskKind
from gstar.target import MAX_VALUE, read_target


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        ([0.5, 1.5] * 5, TaskKind.BINARY),
        (list(range(4)) * 5, TaskKind.MULTICLASS),
        (list(range(5)) * 4, TaskKind.REGRESSION),  # too few rows for each to be a class
        ([0.5, 1.0, 2.0] * 10, TaskKind.REGRESSION),
        ([f"{i}.5" for i in range(30)], TaskKind.REGRESSION),
        (pd.Series([1, 2, 3] * 4), TaskKind.REGRESSION),
        (pd.Series([1, 2, 3] * 4, dtype="category"), TaskKind.MULTICLASS),
        (pd.Series([True, False, None] * 4, dtype="boolean"), TaskKind.BINARY),
        (pd.Series(pd.to_timedelta(range(30), unit="min")), TaskKind.REGRESSION),
    ],
)
def test_the_rule_for_the_kind(y, kind):
    assert read_target(y).kind is kind


def test_codes_follow_the_order_of_the_labels_and_rows_without_one_go():
    found = read_target(["b", None, "a", " ", "b", "c", "c", "a"])
    assert found.classes == ("a", "b", "c")
    assert found.rows.tolist() == [0, 2, 4, 5, 6, 7]
    assert found.values.tolist() == [1, 0, 1, 2, 2, 0]
    assert found.notes == ("Left out 2 rows without a target (rows counted from 0: 1, 3).",)


@pytest.mark.parametrize(
    ("y", "options", "match"),
    [
        ([1.0, 2.5, np.inf, 3.5], {}, r"1 infinity values \(rows counted from 0: 2\)"),
        ([1.0, 2.5, 2 * MAX_VALUE], {}, "divide them by a power of ten"),
        (["a", "b", "c"], {"kind": "regression"}, "Expected numbers"),
        (["a", "b", "c"], {"kind": "binary"}, "2 classes for a binary task"),
        ([f"name {i}" for i in range(50)], {}, "as if they were names"),
        (pd.to_datetime(["2020-01-01", "2020-01-02"]), {}, "got dates"),
        ([[1], [1, 2], [3]], {}, "nested|shape|inhomogeneous"),
        ([1, 1, 1], {}, "only one class or value, 1"),
        ([None, 1.0], {}, "at least 2 rows"),
        ([1, 2], {"kind": "ordinal"}, "kind of task"),
    ],
)
def test_what_cannot_be_learned_is_refused(y, options, match):
    with pytest.raises((DataError, UsageError, ValueError), match=match):
        read_target(y, **options)
