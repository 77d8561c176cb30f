"""The columns that play a part: order, groups and weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gstar.columns import raw_columns
from gstar.errors import DataError
from gstar.roles import checked_weights, column_of, groups_of, order_of, weights_of


@pytest.mark.parametrize(
    ("column", "ordered", "is_feature"),
    [
        ([3.0, 1.0, None, 2.0], [2, 1, 3, 0], True),
        (["2020-03-01", "2020-01-01", None, "2020-02-01"], [2, 1, 3, 0], True),
        (pd.to_datetime(["2020-03-01", "2020-01-01", None, "2020-02-01"]), [2, 1, 3, 0], True),
        (["10", "9", None, "b"], [2, 0, 1, 3], False),
    ],
)
def test_rows_are_ordered_by_value_and_those_without_one_come_first(column, ordered, is_feature):
    values, feature = order_of(raw_columns(pd.DataFrame({"t": column})), "t")
    assert np.argsort(values, kind="stable").tolist() == ordered
    assert feature is is_feature


def test_a_column_without_values_orders_nothing():
    with pytest.raises(DataError, match="all its values are missing"):
        order_of(raw_columns(pd.DataFrame({"t": [np.nan, np.nan]})), "t")


@pytest.mark.parametrize("who", [["a", None, "a", None], [1.0, None, 1.0, None]])
def test_a_row_without_a_group_is_one_of_its_own(who):
    first, second, again, fourth = groups_of(raw_columns(pd.DataFrame({"who": who})), "who").tolist()
    assert first == again
    assert len({first, second, fourth}) == 3
    with pytest.raises(DataError, match="at least 2 groups"):
        groups_of(raw_columns(pd.DataFrame({"who": ["a", "a"]})), "who")


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        ([1.0, 2.0], "one weight per row"),
        ([1.0, -1.0, 2.0], r"1 others \(first row: 1\)"),
        ([1.0, 1.0, np.nan], r"first row: 2"),
        ([0.0, 0.0, 0.0], "above zero"),
        (["a", "b", "c"], "Expected numbers"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights, match):
    with pytest.raises(DataError, match=match):
        checked_weights(weights, 3)


def test_weights_may_be_a_column_as_text_and_columns_are_found_by_their_final_name():
    frame = pd.DataFrame([["1", 5], ["2.5", 6]], columns=["w", "w"])
    raw = raw_columns(frame)
    assert weights_of(raw, "w").tolist() == [1.0, 2.5]
    assert weights_of(raw, None) is None
    assert column_of(frame, raw, "w.1").tolist() == [5, 6]
