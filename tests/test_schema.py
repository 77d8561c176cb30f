"""The same meaning at fit and at predict, whatever the order and the types of the columns."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from gstar.errors import DataError
from gstar.inputs import to_arrays
from gstar.schema import Schema

FRAME = pd.DataFrame(
    {
        "size": [1.5, 2.0, None, 4.0] * 10,
        "floor": [1, 2, 3, 1] * 10,
        "city": ["Rome", "Oslo", None, "Rome"] * 10,
        "built": pd.to_datetime(["2001-02-03", "2010-01-01", None, "1999-12-31"] * 10),
        "note": [f"a {w} flat with view number {i}" for i, w in enumerate(["bright", "dark", "large", "small"] * 10)],
    }
)


@pytest.fixture(scope="module")
def schema():
    return Schema.fit(FRAME)


def same(a, b):
    for name, array in to_arrays(a).items():
        np.testing.assert_array_equal(array, getattr(b, name))


def test_kinds_are_inferred(schema):
    kinds = {c.name: c.kind for c in schema.columns}
    assert kinds == {"size": "number", "floor": "number", "city": "category", "built": "date", "note": "text"}


def test_json_goes_both_ways(schema):
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_order_and_extra_columns_do_not_matter(schema):
    shuffled = FRAME[["note", "city", "built", "floor", "size"]].assign(extra=1)
    same(schema.apply(shuffled), schema.apply(FRAME))


def test_a_missing_column_is_named_with_its_near_name(schema):
    with pytest.raises(DataError, match=r"1 are missing: .*city.*Did you mean 'citi'"):
        schema.apply(FRAME.rename(columns={"city": "citi"}))


def test_categories_never_seen_and_numbers_that_are_no_numbers(schema):
    table = schema.apply(FRAME.assign(city="Bern", size="large"))
    assert np.all(table.codes == -1)
    assert np.all(np.isnan(table.numbers[:, 0]))


def test_numbers_as_texts_are_the_same_numbers(schema):
    texts = FRAME.assign(
        size=FRAME["size"].map(lambda v: None if pd.isna(v) else str(v)), floor=FRAME["floor"].astype(str)
    )
    same(schema.apply(texts), schema.apply(FRAME))


def test_a_category_of_numbers_is_known_in_every_spelling():
    schema = Schema.fit(pd.DataFrame({"code": ["3", "7", "x", "3"] * 10}))
    for spelling in (["3"], [3], [3.0], ["3.0"]):
        assert schema.apply(pd.DataFrame({"code": spelling})).codes.tolist() == [[schema.columns[0].code_of["3"]]]


def test_a_frame_without_any_value_is_all_missing(schema):
    empty = pd.DataFrame({c: [None, None] for c in FRAME})
    table = schema.apply(empty)
    assert np.all(np.isnan(table.numbers))
    assert np.all(table.codes == -1)
    assert np.all(np.isnan(table.dates))
    assert table.texts.tolist() == [[""], [""]]


def test_arrays_are_matched_by_position():
    x = np.random.default_rng(0).normal(size=(20, 3))
    schema = Schema.fit(x)
    assert schema.positional
    same(schema.apply(x.tolist()), schema.apply(x))
    with pytest.raises(DataError, match="Expected 3 columns as at fit, got 2"):
        schema.apply(x[:, :2])


@pytest.mark.parametrize(
    ("written", "second_of_january"),
    [
        ("{:%d.%m.%Y}", "02.01.1970"),
        ("{:%d %b %Y}", "2 Jan 1970"),
        ("{:%d-%b-%y}", "02-Jan-70"),
        ("{:%B %d, %Y %H:%M}", "January 2, 1970 00:00"),
    ],
)
def test_dates_are_known_by_how_they_are_written(written, second_of_january):
    days = pd.date_range("2020-01-15", periods=40)
    schema = Schema.fit(pd.DataFrame({"when": [written.format(day) for day in days], "x": range(40)}))
    assert schema.columns[0].kind == "date"
    assert schema.apply(pd.DataFrame({"when": [second_of_january], "x": [0]})).dates[0, 0] == 86_400


def test_words_with_numbers_are_no_dates():
    words = [f"{name} {n}" for name in ("May be", "Mark", "12 Mar") for n in range(1, 15)]
    assert Schema.fit(pd.DataFrame({"word": words, "x": range(42)})).columns[0].kind != "date"


def test_dates_in_texts_are_dates():
    schema = Schema.fit(pd.DataFrame({"when": [f"2020-01-{d:02d}" for d in range(1, 29)]}))
    assert schema.columns[0].kind == "date"
    assert schema.apply(pd.DataFrame({"when": ["1970-01-02", "nonsense"]})).dates[0, 0] == 86_400
