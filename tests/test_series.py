"""Long tables to sequences: grouped, sorted, padded; what is odd is told or refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gstar.arrays import ArraySchema
from gstar.columns import raw_columns
from gstar.errors import DataError
from gstar.series import apply_series, fit_series

FRAME = pd.DataFrame(
    {
        "id": ["b", "a", "b", "a", "b", "c"],
        "t": [2, 0, 1, 1, 0, 0],
        "size": [3.0, 10.0, 2.0, np.inf, 1.0, 7.0],
        "colour": ["red"] * 6,
        "count": [1, 2, 3, 4, 5, 6],
        "y": ["u", "v", "u", None, "u", None],
    }
)
HOW = ArraySchema(sequence_id="id", time="t")


def fitted(frame=FRAME, how=HOW, **options):
    return fit_series(raw_columns(frame), how, labels=frame["y"], title="y", **options)


def test_rows_become_steps_in_order():
    rows, ends = fitted()
    assert rows.names == ("b", "a", "c")
    assert rows.title == "id"
    assert rows.schema.channels == ("size", "count")
    assert rows.inputs.lengths.tolist() == [3, 2, 1]
    assert rows.inputs.steps[0].tolist() == [[1, 5], [2, 3], [3, 1]]
    assert rows.inputs.steps[1].tolist()[0] == [10, 2]
    assert np.isnan(rows.inputs.steps[1, 1, 0])  # infinite
    assert rows.inputs.steps[2].tolist() == [[7, 6], [0, 0], [0, 0]]
    assert rows.target == ["u", "v", None]
    assert rows.notes == ("Left out 1 columns that hold no numbers: 'colour'.",)
    assert ends.numbers[:, ends.number_of["t"]].tolist() == [2, 1, 0]


def test_without_time_rows_stay_in_their_order():
    rows, _ = fitted(how=ArraySchema(sequence_id="id"))
    assert rows.schema.channels == ("t", "size", "count")
    assert rows.inputs.steps[0, :, 0].tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        ([20, 10, 20, 10, 20, 30], ("20", "10", "30")),
        (
            pd.to_datetime(["2020", "2019", "2020", "2019", "2020", "2021"]),
            ("2020-01-01T00:00:00", "2019-01-01T00:00:00", "2021-01-01T00:00:00"),
        ),
    ],
)
def test_identifiers_may_be_numbers_or_dates(ids, names):
    rows, _ = fitted(FRAME.assign(id=ids))
    assert rows.names == names
    np.testing.assert_array_equal(rows.inputs.steps, fitted()[0].inputs.steps)


@pytest.mark.parametrize("times", [["2020-01-03", "2020-01-01", "2020-01-02"], ["c", "a", "b"], [2.5, -1.0, 0.0]])
def test_time_may_be_a_date_or_a_name_or_a_number(times):
    frame = FRAME.iloc[[0, 2, 4]].assign(t=[times[0], times[2], times[1]])
    assert fitted(frame)[0].inputs.steps[0, :, 0].tolist() == [1, 2, 3]


def test_rows_that_belong_nowhere_are_left_out_and_told():
    frame = FRAME.assign(id=["b", None, "b", "a", "b", "c"], t=[2, 0, 1, 1, np.nan, 0])
    rows, _ = fitted(frame)
    assert rows.inputs.lengths.tolist() == [2, 1, 1]
    assert "Left out 2 rows without a value in 'id', 't'." in rows.notes


def test_one_time_twice_is_told():
    rows, _ = fitted(FRAME.assign(t=[0, 0, 0, 0, 1, 0]))
    assert "2 rows have the same 't' as the one before in their sequence." in rows.notes
    assert rows.inputs.steps[0, :, 0].tolist() == [3, 2, 1]


def test_columns_with_a_part_are_no_channels():
    assert fitted(ignored=["count"])[0].schema.channels == ("size",)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            FRAME.assign(y=list("uvuvwv")),
            r"value of 'y' per sequence, but 1 of 3 sequences have several \(first: 'b'",
        ),
        (FRAME[["id", "t", "colour", "y"]], "at least one column of numbers beside"),
        (FRAME.assign(t=None), "Expected rows with a value in 'id', 't'|all its values are missing"),
    ],
)
def test_tables_that_are_no_sequences(frame, message):
    with pytest.raises(DataError, match=message):
        fitted(frame)


def test_new_rows_have_the_same_channels():
    schema = fitted()[0].schema
    new = FRAME[["count", "size", "t", "id"]].assign(more=1.5, size=FRAME["size"].astype(str))
    rows = apply_series(raw_columns(new), schema)
    np.testing.assert_array_equal(rows.inputs.steps, fitted()[0].inputs.steps)
    assert rows.target is None
    with pytest.raises(DataError, match=r"'size' are missing. Did you mean 'sise'\?"):
        apply_series(raw_columns(new.rename(columns={"size": "sise"})), schema)
    labelled = apply_series(raw_columns(new), schema, labels=FRAME["y"], title="y")
    assert labelled.target == ["u", "v", None]


def test_labels_keep_their_type():
    labels = fitted(FRAME.assign(y=[1, 2, 1, 2, 1, 3]))[0].target
    assert labels == [1, 2, 3]
    assert all(isinstance(label, int | np.integer) for label in labels)
