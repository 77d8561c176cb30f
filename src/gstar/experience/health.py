"""Whether a store is whole, and what there is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import sqlalchemy as sa

from gstar.errors import StorageError
from gstar.experience import cells, file
from gstar.experience import tables as t
from gstar.experience.store import Store
from gstar.experience.values import ExperienceStatus
from gstar.strategy import Strategy

MANY: Final = 20
"""Beyond so many problems, listing more helps nobody."""


def check(store: Store) -> list[str]:
    """Returns what is wrong, one sentence each: damage, loose references, cells unlike the trials."""
    found: list[str] = []
    try:
        with store.reading() as connection:
            for problem in _problems(connection, sqlite=store.is_sqlite):
                found.append(problem)
                if len(found) == MANY:
                    break
    except StorageError as error:
        found.append(str(error))
    return found


def _problems(connection: sa.Connection, *, sqlite: bool) -> Iterator[str]:
    if sqlite:
        said = connection.exec_driver_sql(f"PRAGMA integrity_check({MANY})").scalars()
        yield from (f"The file is damaged: {line}." for line in said if line != "ok")
        for row in connection.exec_driver_sql("PRAGMA foreign_key_check").all():
            yield f"Row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there."
    yield from _strategy_problems(connection)
    for task in connection.execute(sa.select(t.tasks.c.id, t.tasks.c.fingerprint, t.tasks.c.meta_features)).all():
        if len(task.meta_features) % 8 or not np.isfinite(np.frombuffer(task.meta_features)).all():
            yield f"The meta-features of task {task.fingerprint} are not finite numbers."
        yield from _cell_problems(connection, task)


def _strategy_problems(connection: sa.Connection) -> Iterator[str]:
    for row in connection.execute(sa.select(t.strategies.c.hash, t.strategies.c.json)).all():
        try:
            same = Strategy.from_json(json.loads(row.json)).hash == row.hash
        except (ValueError, RecursionError):
            same = False
        if not same:
            yield f"Strategy {row.hash} is not what its hash says."


def _cell_problems(connection: sa.Connection, task: Any) -> list[str]:
    chosen = sa.select(t.cells.c.metric, t.cells.c.packed).where(t.cells.c.task == task.id)
    stored = {row.metric: row.packed for row in connection.execute(chosen)}
    counted = cells.count_again(connection, task.id)
    return [
        f"The cells of task {task.fingerprint} in {metric} differ from its trials."
        for metric in sorted(stored.keys() | counted.keys())
        if metric not in stored
        or metric not in counted
        or len(stored[metric]) % cells.CELL.itemsize
        or cells.differ(np.frombuffer(stored[metric], cells.CELL), counted[metric])
    ]


def status(store: Store, *, mode: str, warning: str) -> ExperienceStatus:
    """Returns counts and the state of the file."""
    with store.reading() as connection:
        counts = {
            table.name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
            for table in (t.tasks, t.strategies, t.trials, t.runs, t.policies)
        }
        by_kind = connection.execute(sa.select(t.tasks.c.kind, sa.func.count()).group_by(t.tasks.c.kind)).all()
        by_learner = _by_learner(connection)
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() if store.is_sqlite else "server"
    return ExperienceStatus(
        store.place,
        mode,
        keeps=store.writable and store.place != "memory",
        warning=warning,
        size_bytes=store.path.stat().st_size if store.path else 0,
        schema=file.SCHEMA,
        journal_mode=str(journal).upper(),
        journal_reason=file.journal_reason(),
        by_kind={row[0]: row[1] for row in sorted(by_kind)},
        by_learner=by_learner,
        **counts,
    )


def _by_learner(connection: sa.Connection) -> dict[str, dict[str, int]]:
    packs = [np.frombuffer(packed, cells.CELL) for packed in connection.execute(sa.select(t.cells.c.packed)).scalars()]
    if not packs:
        return {}
    every = np.concatenate(packs)
    learner_of = {
        row.id: row.learner for row in connection.execute(sa.select(t.strategies.c.id, t.strategies.c.learner))
    }
    found = {name: {"completed": 0, "other": 0} for name in sorted(set(learner_of.values()))}
    ids, where = np.unique(every["strategy"], return_inverse=True)
    completed, other = np.bincount(where, every["count"]), np.bincount(where, every["failures"])
    for i, strategy in enumerate(ids.tolist()):
        counts = found[learner_of[strategy]]
        counts["completed"] += int(completed[i])
        counts["other"] += int(other[i])
    return found
