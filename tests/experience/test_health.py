from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest

from gstar.experience import Experience, file
from gstar.testing.experience import begin, failed_trial, filled, toy_task


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE trials SET score = score + 1 WHERE id = 1", "cells of task .* in roc_auc differ"),
        ("UPDATE trials SET metric = 'f1' WHERE id = 1", "cells of task .* in f1 differ"),
        ("DELETE FROM cells", "cells of task .* in roc_auc differ"),
        ("UPDATE cells SET packed = substr(packed, 2)", "cells of task .* in roc_auc differ"),
        ("DELETE FROM runs WHERE id = 1", "of trials refers to a row of runs that is not there"),
        ("UPDATE strategies SET hash = '0123456789abcdef' WHERE id = 1", "Strategy 0123456789abcdef is not what"),
        ("UPDATE strategies SET json = '[' WHERE id = 1", "Strategy .* is not what its hash says"),
        ("UPDATE tasks SET meta_features = x'ff' WHERE id = 1", "meta-features of task .* are not finite"),
        (
            "UPDATE tasks SET meta_features = x'000000000000f07f' WHERE id = 1",
            "meta-features of task .* are not finite",
        ),
    ],
)
def test_finds_what_is_wrong(place: Path, statement: str, problem: str):
    with Experience.open(place) as experience:
        filled(experience)
        assert experience.check() == []
    with contextlib.closing(sqlite3.connect(place)) as connection:
        connection.execute(statement)
        connection.commit()
    with Experience.open(place) as experience:
        found = experience.check()
    assert any(re.search(problem, line) for line in found), found


def test_finds_at_most_so_many(place: Path):
    with Experience.open(place) as experience:
        filled(experience, 30)
    with contextlib.closing(sqlite3.connect(place)) as connection:
        connection.execute("DELETE FROM cells")
        connection.commit()
    with Experience.open(place) as experience:
        assert len(experience.check()) == 20


def test_status_counts(place: Path):
    with Experience.open(place) as experience:
        filled(experience, 2, 5)
        task = toy_task(0)
        run = begin(experience, task)
        experience.append([failed_trial(task, run, 1)])
        status = experience.status()
    assert (status.tasks, status.strategies, status.trials, status.runs, status.policies) == (2, 5, 11, 3, 0)
    assert status.by_kind == {"binary": 2}
    assert status.by_learner == {
        "linear": {"completed": 4, "other": 1},
        "random_forest": {"completed": 6, "other": 0},
    }
    assert (status.size_bytes, status.schema) == (place.stat().st_size, file.SCHEMA)
    assert (status.mode, status.keeps, status.place) == ("on", True, str(place))
