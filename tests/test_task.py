"""A task: recognised by content, and cut by rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gstar.errors import DataError
from gstar.inputs import Table
from gstar.metric import METRICS, TaskKind
from gstar.task import Task


def make(**changes):
    base = Task(
        "toy",
        TaskKind.BINARY,
        METRICS["roc_auc"],
        Table.of(np.arange(8.0).reshape(4, 2), np.array([[0], [1], [0], [1]]), None, np.array([["x"]] * 4, object)),
        np.array([0, 1, 0, 1]),
        ("no", "yes"),
        weights=np.array([1.0, 2.0, 3.0, 4.0]),
        groups=np.array([0, 0, 1, 1]),
    )
    return replace(base, **changes)


def test_fingerprint_sees_content_and_not_the_name():
    assert make().fingerprint == make(name="other").fingerprint
    assert len(make().fingerprint) == 32
    different = [
        make(target=np.array([1, 1, 0, 1])),
        make(kind=TaskKind.MULTICLASS),
        make(inputs=Table.of(np.arange(8.0).reshape(4, 2) + 1)),
    ]
    assert len({make().fingerprint, *(t.fingerprint for t in different)}) == 4


def test_take_cuts_everything_that_has_rows():
    part = make().take(np.array([3, 0]))
    assert len(part) == 2
    assert part.weights.tolist() == [4.0, 1.0]
    assert part.groups.tolist() == [1, 0]
    assert part.order is None
    assert part.target.tolist() == [1, 0]


def test_rows_and_targets_must_agree():
    with pytest.raises(DataError, match="4 rows and 3 targets"):
        make(target=np.zeros(3, int))
