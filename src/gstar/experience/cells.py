"""The aggregate of trials: for each task and metric, what each strategy scored and cost.

All strategies tried on one task with one metric lie packed in one value, 28 bytes each:
2,000 tasks x 500 strategies are read in a tenth of a second, and adding a trial rewrites
one value in the transaction that adds the trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import sqlalchemy as sa

from gstar.experience.tables import cells, trials
from gstar.trial import Status

Array: TypeAlias = np.ndarray

CELL: Final = np.dtype([("strategy", "<i4"), ("count", "<i4"), ("failures", "<i4"), ("score", "<f8"), ("cost", "<f8")])
"""Strategy id, completed trials, other trials, sum of scores, sum of seconds per training."""


def total(parts: Array) -> Array:
    """Adds up the cells of the same strategy; returns them sorted by strategy."""
    strategy, where = np.unique(parts["strategy"], return_inverse=True)
    out = np.zeros(len(strategy), CELL)
    out["strategy"] = strategy
    for name in ("count", "failures", "score", "cost"):
        np.add.at(out[name], where, parts[name])
    return out


def of_trials(rows: list[Mapping[str, Any]]) -> dict[str, Array]:
    """Returns metric -> cells of rows of `trials`, all of one task."""
    parts: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        done = row["status"] == Status.COMPLETED
        score, cost = (row["score"], row["cost_s"] / row["folds"]) if done else (0.0, 0.0)
        parts.setdefault(row["metric"], []).append((row["strategy"], done, not done, score, cost))
    return {metric: total(np.array(part, CELL)) for metric, part in parts.items()}


def add(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    """Adds freshly written rows of `trials` to the cells of their tasks."""
    by_task: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_task.setdefault(row["task"], []).append(row)
    for task, some in by_task.items():
        for metric, fresh in of_trials(some).items():
            _add_to(connection, task, metric, fresh)


def _add_to(connection: sa.Connection, task: int, metric: str, fresh: Array) -> None:
    here = (cells.c.task == task, cells.c.metric == metric)
    old = connection.execute(sa.select(cells.c.packed).where(*here).with_for_update()).scalar()
    if old is None:
        connection.execute(sa.insert(cells).values(task=task, metric=metric, packed=fresh.tobytes()))
    else:
        packed = total(np.concatenate([np.frombuffer(old, CELL), fresh])).tobytes()
        connection.execute(sa.update(cells).where(*here).values(packed=packed))


def count_again(connection: sa.Connection, task: int) -> dict[str, Array]:
    """Returns metric -> cells of one task as its trials have them, whatever is stored."""
    chosen = sa.select(
        trials.c.strategy, trials.c.status, trials.c.score, trials.c.cost_s, trials.c.folds, trials.c.metric
    ).where(trials.c.task == task)
    return of_trials([row._mapping for row in connection.execute(chosen)])  # type: ignore[misc]


def rebuild(connection: sa.Connection, task: int) -> None:
    """Replaces the cells of one task by a recount, after trials were removed."""
    connection.execute(sa.delete(cells).where(cells.c.task == task))
    for metric, counted in count_again(connection, task).items():
        connection.execute(sa.insert(cells).values(task=task, metric=metric, packed=counted.tobytes()))


def differ(stored: Array, counted: Array) -> bool:
    """Tells whether two packs of cells mean something different, rounding aside."""
    exact = ("strategy", "count", "failures")
    if len(stored) != len(counted) or any((stored[n] != counted[n]).any() for n in exact):
        return True
    return not all(np.allclose(stored[n], counted[n], rtol=1e-6, atol=1e-9, equal_nan=True) for n in ("score", "cost"))
