"""A task from whatever a person has: kinds, roles, labels, and what is wrong told in one line."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gstar.errors import DataError, UsageError
from gstar.inputs import to_arrays
from gstar.metric import TaskKind
from gstar.reading import make_inputs, make_task

N = 30
COLUMNS = {
    "age": [float(20 + i % 17) for i in range(N)],
    "city": [["Rome", "Oslo", "Bern"][i % 3] for i in range(N)],
    "churn": [["no", "yes"][(i * 7 % 5) > 2] for i in range(N)],
}


@pytest.mark.parametrize(
    "make", [dict, pd.DataFrame, pl.DataFrame, pa.table], ids=["dict", "pandas", "polars", "arrow"]
)
def test_every_frame_gives_the_same_task(make):
    task = make_task(make(COLUMNS), target="churn")
    reference = make_task(pd.DataFrame(COLUMNS), target="churn")
    assert task.fingerprint == reference.fingerprint
    assert task.classes == ("no", "yes")
    assert task.kind is TaskKind.BINARY


@pytest.mark.parametrize(
    "convert",
    [
        lambda f: f.convert_dtypes(),
        lambda f: f.convert_dtypes(dtype_backend="pyarrow"),
        lambda f: f.astype({"city": "category", "churn": "category"}),
        lambda f: f.astype({"age": "float32"}),
        lambda f: f.assign(age=[Decimal(int(v)) for v in f["age"]]),
    ],
    ids=["nullable", "pyarrow", "category", "float32", "decimal"],
)
def test_every_type_of_column_gives_the_same_table(convert):
    frame = convert(pd.DataFrame(COLUMNS))
    assert make_task(frame, target="churn").fingerprint == make_task(pd.DataFrame(COLUMNS), target="churn").fingerprint


def test_arrays_and_lists_agree():
    x = np.random.default_rng(0).normal(size=(20, 3))
    y = np.arange(20) % 2
    assert make_task(x, y).fingerprint == make_task(x.tolist(), y.tolist()).fingerprint
    strided = np.asfortranarray(np.repeat(x, 2, axis=0))[::2]
    assert make_task(strided, y).fingerprint == make_task(x, y).fingerprint


@pytest.mark.parametrize(
    ("y", "kind", "classes"),
    [
        ([True, False] * 10, TaskKind.BINARY, (False, True)),
        ([0, 1] * 10, TaskKind.BINARY, (0, 1)),
        (["a", "b", "c", "a"] * 5, TaskKind.MULTICLASS, ("a", "b", "c")),
        ([0.5 * i for i in range(20)], TaskKind.REGRESSION, ()),
        (list(range(20)), TaskKind.REGRESSION, ()),
    ],
)
def test_the_kind_follows_from_the_target(y, kind, classes):
    task = make_task({"a": np.random.default_rng(0).normal(size=20)}, y)
    assert task.kind is kind
    assert task.classes == classes
    assert [type(c) for c in task.classes] == [type(c) for c in classes]


def test_a_given_kind_is_honoured():
    numbers = {"a": np.random.default_rng(0).normal(size=20)}
    assert make_task(numbers, [0, 1, 2, 3] * 5, kind="regression").kind is TaskKind.REGRESSION
    assert make_task(numbers, [0, 1, 2, 3] * 5, kind="classification").kind is TaskKind.MULTICLASS


def test_a_metric_of_values_makes_values_of_whole_numbers_but_not_of_names():
    numbers = {"a": np.random.default_rng(0).normal(size=20)}
    assert make_task(numbers, [0, 1, 2, 3] * 5, metric="mae").kind is TaskKind.REGRESSION
    assert make_task(numbers, [0, 1] * 10, metric="rmse").target.tolist() == [0.0, 1.0] * 10
    for y in ([True, False] * 10, ["a", "b"] * 10):
        with pytest.raises(UsageError, match="does not fit a binary task"):
            make_task(numbers, y, metric="rmse")


def test_labels_that_differ_in_case_or_spaces_are_told():
    notes = make_task({"a": np.arange(20) % 7}, ["yes", "no", "Yes", " no"] * 5).notes
    assert any("' no', 'Yes', 'no', 'yes'" in note for note in notes)
    assert not make_task({"a": np.arange(20) % 7}, ["yes", "no"] * 10).notes


@pytest.mark.parametrize(
    ("changes", "given", "match"),
    [
        ({}, {"target": "chrun"}, "Did you mean 'churn'"),
        ({"churn": ["no"] * N}, {"target": "churn"}, "one|constant|two"),
        ({"churn": [None] * N}, {"target": "churn"}, "at least 2 rows with a value"),
        ({"churn": [*[1.0, 2.5, 3.5, 4.5, 5.5] * 5, *[np.inf] * 5]}, {"target": "churn"}, "inf"),
        ({}, {"target": "churn", "group_by": "town"}, "town"),
        ({}, {"target": "churn", "ordered_by": "whenn"}, "whenn"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(changes, given, match):
    with pytest.raises((DataError, UsageError), match=match) as caught:
        make_task(pd.DataFrame({**COLUMNS, **changes}), **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        ({"churn": ["no", "yes"] * 5}, "feature|column"),
        ({"a": [1.0], "churn": ["no"]}, "row|class"),
        ({"a": [3.0] * 10, "churn": ["no", "yes"] * 5}, "feature|column"),
        ({"a": [{"x": 1}] * 10, "churn": ["no", "yes"] * 5}, "'a'|nested"),
        ({"a": [1j] * 10, "churn": ["no", "yes"] * 5}, "complex|'a'"),
    ],
    ids=["one column", "one row", "constant features", "nested", "complex"],
)
def test_frames_without_anything_to_learn(frame, match):
    with pytest.raises(DataError, match=match):
        make_task(pd.DataFrame(frame), target="churn")


def test_rows_without_a_target_are_dropped_and_told():
    churn = list(COLUMNS["churn"])
    churn[3] = churn[8] = None
    task = make_task(pd.DataFrame({**COLUMNS, "churn": churn}), target="churn")
    assert len(task) == N - 2
    assert any("2" in note and "target" in note.lower() for note in task.notes)


def test_a_gap_in_a_file_does_not_change_the_labels(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{i % 7},{i % 2 if i else ''}\n" for i in range(21)))
    task = make_task(path, target="y")
    assert [(label, type(label)) for label in task.classes] == [(0, int), (1, int)]
    path.write_text("a,y\n" + "".join(f"{i % 7},{i / 4 if i else ''}\n" for i in range(21)))
    assert make_task(path, target="y").kind is TaskKind.REGRESSION


def test_infinities_become_missing_and_are_told():
    age = list(COLUMNS["age"])
    age[2] = np.inf
    task = make_task(pd.DataFrame({**COLUMNS, "age": age}), target="churn")
    assert np.isnan(task.inputs.numbers).sum() == 1
    assert any("infinite" in note for note in task.notes)


def test_a_copy_of_the_target_is_warned_of():
    task = make_task(pd.DataFrame({**COLUMNS, "copy": COLUMNS["churn"]}), target="churn")
    assert any(note.startswith("Warning") and "copy" in note for note in task.notes)
    assert not any(note.startswith("Warning") for note in make_task({"a": [1.5, 2.5]}, ["no", "yes"]).notes)


def test_useless_columns_are_left_out_and_told():
    frame = pd.DataFrame({**COLUMNS, "id": range(N), "same": 1, "none": None, "again": COLUMNS["age"]})
    task = make_task(frame, target="churn")
    assert task.inputs.n_features == 2
    told = " ".join(task.notes)
    assert all(name in told for name in ("id", "same", "none", "again"))


def test_roles_are_taken():
    days = pd.date_range("2020-01-01", periods=N)[::-1]
    frame = pd.DataFrame({**COLUMNS, "day": days, "shop": [f"s{i // 6}" for i in range(N)], "w": np.arange(N) + 1.0})
    task = make_task(frame, target="churn", ordered_by="day", group_by="shop", weights="w")
    assert np.argsort(task.order)[0] == N - 1
    assert len(np.unique(task.groups)) == 5
    assert task.weights.tolist() == (np.arange(N) + 1.0).tolist()
    kinds = {c["name"]: c["kind"] for c in task.schema["columns"]}
    assert kinds["day"] == "date"
    assert kinds["shop"] == kinds["w"] == "ignored"


def test_what_the_caller_gave_is_not_changed():
    frame = pd.DataFrame({**COLUMNS, "when": pd.date_range("2020-01-01", periods=N)})
    before = frame.copy(deep=True)
    make_task(frame, target="churn")
    pd.testing.assert_frame_equal(frame, before)


def test_images_and_sequences():
    y = np.arange(6) % 2
    images = make_task(np.zeros((6, 1, 4, 4), np.uint8), y)
    assert images.form == "images"
    whole = make_task(np.ones((6, 5, 2)), y)
    ragged = make_task([np.ones((n, 2)) for n in (5, 3, 1, 2, 4, 5)], y)
    assert whole.form == ragged.form == "sequences"
    assert ragged.inputs.lengths.tolist() == [5, 3, 1, 2, 4, 5]
    assert make_inputs(np.zeros((2, 1, 4, 4)), form="images").pixels.shape == (2, 1, 4, 4)
    with pytest.raises(DataError, match="Expected images"):
        make_inputs(np.zeros((2, 3)), form="images")


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=6),
    st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(cells, cells, st.floats(allow_nan=True)), min_size=1, max_size=12),
    st.lists(st.sampled_from(["yes", "no", "maybe", None]), min_size=12, max_size=12),
)
def test_any_frame_is_a_task_or_an_error_in_one_line(rows, labels):
    frame = pd.DataFrame(rows, columns=["a", "b", "c"]).assign(y=labels[: len(rows)])
    try:
        task = make_task(frame, target="y")
    except DataError as error:
        if "\n" in str(error):
            raise AssertionError("an error of several lines") from error
        return
    again = make_inputs(frame.drop(columns="y"), schema=task.schema)
    kept = frame["y"].notna().to_numpy()
    for name, array in to_arrays(task.inputs).items():
        fresh = getattr(again, name)
        np.testing.assert_array_equal(array, fresh if name == "levels" else fresh[kept])
