"""How something is taken out again: a run, or a task with all that came from it."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from gstar.errors import UsageError
from gstar.experience import cells
from gstar.experience import tables as t
from gstar.experience.store import Store


def find_task(store: Store, name: str) -> str | None:
    """Returns the fingerprint of the task with this fingerprint, unique prefix of it, or name.

    Raises:
        UsageError: If several tasks fit.
    """
    fits = (t.tasks.c.name == name) | t.tasks.c.fingerprint.startswith(name, autoescape=True)
    with store.reading() as connection:
        found = connection.execute(sa.select(t.tasks.c.fingerprint, t.tasks.c.name).where(fits)).all() if name else []
    if len(found) > 1:
        some = ", ".join(f"{row.fingerprint} ({row.name})" for row in found[:5])
        raise UsageError(f"{name!r} fits {len(found)} tasks: {some}. Name one by its fingerprint.")
    return str(found[0].fingerprint) if found else None


def forget(store: Store, fingerprint: str) -> dict[str, int]:
    """Removes a task, its runs and trials, strategies tried on nothing else, and its traces in evidence.

    Returns:
        How many tasks, runs, trials and strategies were removed, and policies changed.
    """

    def work(connection: sa.Connection) -> dict[str, int]:
        task = connection.execute(sa.select(t.tasks.c.id).where(t.tasks.c.fingerprint == fingerprint)).scalar_one()
        counts = {
            table.name: connection.execute(sa.delete(table).where(table.c.task == task)).rowcount
            for table in (t.cells, t.trials, t.runs)
        }
        counts["tasks"] = connection.execute(sa.delete(t.tasks).where(t.tasks.c.id == task)).rowcount
        counts["strategies"] = _drop_unused_strategies(connection)
        counts["policies"] = _clear_evidence(connection, fingerprint)
        return {name: counts[name] for name in ("tasks", "runs", "trials", "strategies", "policies")}

    return store.write("forget", work)


def remove_run(store: Store, run: str) -> dict[str, int]:
    """Removes a run with its trials, and strategies tried nowhere else.

    Returns:
        How many runs, trials and strategies were removed.
    """

    def work(connection: sa.Connection) -> dict[str, int]:
        row = connection.execute(sa.select(t.runs.c.id, t.runs.c.task).where(t.runs.c.uuid == run)).one()
        counts = {"runs": 1}
        counts["trials"] = connection.execute(sa.delete(t.trials).where(t.trials.c.run == row.id)).rowcount
        connection.execute(sa.delete(t.runs).where(t.runs.c.id == row.id))
        cells.rebuild(connection, row.task)
        counts["strategies"] = _drop_unused_strategies(connection)
        return counts

    return store.write("remove_run", work)


def _drop_unused_strategies(connection: sa.Connection) -> int:
    used = sa.select(t.trials.c.strategy).where(t.trials.c.strategy == t.strategies.c.id).exists()
    return connection.execute(sa.delete(t.strategies).where(~used)).rowcount


def _clear_evidence(connection: sa.Connection, fingerprint: str) -> int:
    naming = sa.select(t.policies.c.id, t.policies.c.evidence).where(t.policies.c.evidence.contains(fingerprint))
    found = connection.execute(naming).all()
    for row in found:
        left = json.dumps(without(json.loads(row.evidence), fingerprint), separators=(",", ":"), sort_keys=True)
        connection.execute(sa.update(t.policies).where(t.policies.c.id == row.id).values(evidence=left))
    return len(found)


def without(value: Any, name: str) -> Any:
    """Returns JSON values without all that is of a name: keys, items, and objects that hold it.

    Example:
        >>> without({"tasks": ["a", "b"], "gain": [{"task": "a", "by": 1}], "a": 2}, "a")
        {'tasks': ['b'], 'gain': []}
    """
    if isinstance(value, dict):
        return {k: without(v, name) for k, v in value.items() if name not in (k, v)}
    if isinstance(value, list):
        return [without(v, name) for v in value if v != name and not (isinstance(v, dict) and name in v.values())]
    return value
