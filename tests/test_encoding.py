"""From blocks to a matrix: no leakage, no gaps where there may be none, the same at predict."""

from __future__ import annotations

import numpy as np
import pytest

from gstar.encoding import TableEncoder, date_parts
from gstar.inputs import Table
from gstar.metric import TaskKind
from gstar.testing.learner import toy_table, toy_target

OPTIONS = [
    {"numbers": numbers, "categories": categories}
    for numbers in ("none", "standard", "quantile", "spline")
    for categories in ("native", "ordinal", "onehot", "target")
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o.values()))
@pytest.mark.parametrize("kind", list(TaskKind))
def test_new_rows_get_the_same_columns_and_survive_saving(options, kind):
    table = toy_table()
    encoder, matrix = TableEncoder.fit(table, toy_target(table, kind), kind, options, seed=0)
    assert matrix.shape[0] == len(table)
    new = encoder.transform(toy_table(9, seed=4))
    assert new.shape == (9, matrix.shape[1])
    assert new.dtype == matrix.dtype == encoder.dtype
    if options["numbers"] != "none" and options["categories"] not in {"native", "ordinal"}:
        assert np.all(np.isfinite(new))
    again = TableEncoder.load(encoder.save())
    np.testing.assert_array_equal(again.transform(toy_table(9, seed=4)), new)


def test_target_encoding_does_not_leak():
    rng = np.random.default_rng(0)
    codes = np.arange(400)[:, None] // 2  # two rows per level: a level alone tells nothing
    target = rng.integers(0, 2, 400)
    table = Table.of(codes=codes)
    _, matrix = TableEncoder.fit(table, target, TaskKind.BINARY, {"categories": "target"}, seed=0)
    assert abs(np.corrcoef(matrix[:, 0], target)[0, 1]) < 0.25


def test_a_level_never_seen_is_no_error():
    table = Table.of(codes=np.array([[0], [1]] * 10), levels=np.array([2]))
    for categories in ("ordinal", "onehot", "target"):
        encoder, _ = TableEncoder.fit(table, np.arange(20) % 2, TaskKind.BINARY, {"categories": categories}, seed=0)
        assert encoder.transform(Table.of(codes=np.array([[7], [-1]]), levels=np.array([2]))).shape[0] == 2


def test_values_beyond_all_bounds_stay_finite():
    table = Table.of(numbers=np.array([[1e300], [-1e300], [np.nan], [0.0]] * 5))
    for numbers in ("none", "standard", "quantile", "spline"):
        _, matrix = TableEncoder.fit(table, np.arange(20) % 2, TaskKind.BINARY, {"numbers": numbers}, seed=0)
        assert np.all(np.isfinite(matrix) | np.isnan(matrix))


def test_nothing_to_encode_is_one_empty_column():
    encoder, matrix = TableEncoder.fit(Table.of(np.empty((5, 0))), np.zeros(5), TaskKind.REGRESSION, {})
    assert matrix.tolist() == [[0.0]] * 5
    assert encoder.transform(Table.of(np.empty((2, 0)))).tolist() == [[0.0]] * 2


def test_dates_have_parts():
    noon_on_a_thursday = 12 * 3600.0
    days, year_day, week_day, hour = date_parts(np.array([[noon_on_a_thursday]]))[0]
    assert (days, year_day, week_day, hour) == (0.5, 0.5, 4.0, 12.0)
    assert np.all(np.isnan(date_parts(np.array([[np.nan]]))))
