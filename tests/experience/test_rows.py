from __future__ import annotations

import math

import numpy as np
import pytest

from gstar.errors import UsageError
from gstar.experience import rows
from gstar.testing.experience import toy_strategy, toy_task, toy_trial


@pytest.mark.parametrize(
    ("fidelity", "folds"),
    [("holdout", 1), ("5-fold", 5), ("10-fold", 10), ("0-fold", 1), ("fold", 1), ("99999-fold", 1)],
)
def test_folds_are_read_from_the_fidelity(fidelity: str, folds: int):
    assert rows.folds_of(fidelity) == folds


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, "1.0", b"1", None, [1.0], 10**400])
def test_refuses_what_is_no_finite_number(value: object):
    with pytest.raises(UsageError, match="Expected x to be a finite number"):
        rows.number(value, "x")


def test_keeps_numbers_of_any_type():
    assert [rows.number(v, "x") for v in (1, np.float32(0.5), np.int64(3), True)] == [1.0, 0.5, 3.0, 1.0]
    assert math.copysign(1.0, rows.number(-0.0, "x")) == 1.0


@pytest.mark.parametrize("value", [1.0, "1", None, 2**63])
def test_refuses_what_is_no_integer(value: object):
    with pytest.raises(UsageError, match="Expected n to be an integer"):
        rows.integer(value, "n")


@pytest.mark.parametrize("value", [{"a": math.nan}, {"a": {1, 2}}, {"a": object()}])
def test_refuses_what_does_not_go_into_json(value: dict):
    with pytest.raises(UsageError, match="Expected settings to go into JSON"):
        rows.as_json(value, "settings")


def test_a_trial_becomes_a_row():
    row = rows.row_of(toy_trial(toy_task(1), "run", 3, log_prob=math.nan), created=7.0)
    assert (row["number"], row["folds"], row["log_prob"], row["created"]) == (3, 5, None, 7.0)
    assert "predictions" not in row


def test_a_status_must_be_known():
    fields = rows.row_of(toy_trial(toy_task(1), "run", 3), created=7.0) | {"versions": {}, "status": "lost"}
    with pytest.raises(UsageError, match="Expected a status among"):
        rows.checked(fields)


def test_a_strategy_row_names_its_learner_and_content():
    row = rows.strategy_row(toy_strategy(3))
    assert (row["hash"], row["learner"]) == (toy_strategy(3).hash, "linear")
    assert '"strength":3.0' in row["json"]
