"""How experience travels: as plain JSON values, one per task, strategy, run and trial.

Export writes them as lines, import reads lines, and a merge passes them from store to
store. Whatever comes in is foreign: it is validated field by field, long texts are cut,
what makes no sense is refused and counted. Nothing in it is ever executed. Coming in twice
changes nothing, because runs have identifiers that are unique in the world.

Policies do not travel: they are learned anew from the united trials.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import sqlalchemy as sa

from gstar.errors import StorageError, UsageError
from gstar.experience import rows
from gstar.experience import tables as t
from gstar.experience.store import Store, insert_trials, strategy_ids
from gstar.inputs import FORMS
from gstar.metric import TaskKind
from gstar.strategy import Strategy

BATCH: Final = 5_000
"""Values that come in per transaction; others may write in between."""
NAME_LIMIT: Final = 1_000
ERROR_LIMIT: Final = 10_000
JSON_LIMIT: Final = 100_000
"""Longest texts of foreign origin, in characters."""
LINE_LIMIT: Final = 2_000_000
META_FEATURE_LIMIT: Final = 1e12
COUNT_LIMIT: Final = 10**12

_HEX32: Final = re.compile(r"[0-9a-f]{32}")
_HEX16: Final = re.compile(r"[0-9a-f]{16}")
_STATUSES: Final = frozenset({"completed", "interrupted", "failed", "abandoned"})
_TRIAL_FIELDS: Final = tuple(
    c.name for c in t.trials.columns if c.name not in {"id", "task", "strategy", "run", "folds"}
)

Portable = dict[str, Any]


def outgoing(store: Store) -> Iterator[Portable]:
    """Returns all that may travel, each after what it refers to."""
    for table, describe in (
        (sa.select(t.tasks), _describe_task),
        (sa.select(t.strategies), _describe_strategy),
        (sa.select(t.runs, t.tasks.c.fingerprint).join(t.tasks), _describe_run),
        (_TRIALS, _describe_trial),
    ):
        yield from _each(store, table, describe)


_TRIALS: Final = sa.select(t.trials, t.tasks.c.fingerprint, t.runs.c.uuid, t.strategies.c.hash).select_from(
    t.trials.join(t.tasks, t.trials.c.task == t.tasks.c.id)
    .join(t.runs, t.trials.c.run == t.runs.c.id)
    .join(t.strategies, t.trials.c.strategy == t.strategies.c.id)
)


def _each(store: Store, chosen: sa.Select[Any], describe: Callable[[Any], Portable]) -> Iterator[Portable]:
    """Walks through a table in the order of its ids, in steps that block no writer for long."""
    key = next(iter(chosen.selected_columns))
    last = 0
    while True:
        with store.reading() as connection:
            found = connection.execute(chosen.where(key > last).order_by(key).limit(BATCH)).all()
        if not found:
            return
        for row in found:
            try:
                yield describe(row)
            except (ValueError, TypeError, AttributeError, RecursionError):
                yield {"type": "damaged"}
        last = found[-1].id


def _describe_task(row: Any) -> Portable:
    return {
        "type": "task",
        "fingerprint": row.fingerprint,
        "name": row.name,
        "kind": row.kind,
        "form": row.form,
        "metric": row.metric,
        "shape": [row.n_rows, row.n_features, row.n_classes],
        "meta_features": np.frombuffer(row.meta_features).tolist(),
        "family": row.family,
        "created": row.created,
    }


def _describe_strategy(row: Any) -> Portable:
    return {"type": "strategy", "hash": row.hash, "strategy": json.loads(row.json)}


def _describe_run(row: Any) -> Portable:
    return {
        "type": "run",
        "run": row.uuid,
        "task": row.fingerprint,
        "settings": json.loads(row.settings),
        "status": row.status,
        "score": row.score,
        "seconds": row.seconds,
        "summary": json.loads(row.summary),
        "created": row.created,
    }


def _describe_trial(row: Any) -> Portable:
    fields = {name: getattr(row, name) for name in _TRIAL_FIELDS} | {"versions": json.loads(row.versions)}
    return {"type": "trial", "task": row.fingerprint, "strategy": row.hash, "run": row.uuid, **fields}


def incoming(store: Store, portables: Iterable[Portable]) -> dict[str, int]:
    """Adds what is new and makes sense.

    Returns:
        How many ``tasks``, ``strategies``, ``runs`` and ``trials`` were added, how many values
        were ``known``, and how many ``refused``.
    """
    counts = Counter(dict.fromkeys(("tasks", "strategies", "runs", "trials", "known", "refused"), 0))
    rest = iter(portables)
    while batch := list(islice(rest, BATCH)):
        counts.update(store.write("merge", lambda connection, batch=batch: _take_in(connection, batch)))  # type: ignore[misc]
    return dict(counts)


def _take_in(connection: sa.Connection, batch: list[Portable]) -> Counter[str]:
    counts: Counter[str] = Counter()
    clean: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _CLEAN}
    for portable in batch:
        try:
            kind = portable["type"]
            clean[kind].append(_CLEAN[kind](portable))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            counts["refused"] += 1
    counts["tasks"], known_tasks = _insert_new(connection, t.tasks, t.tasks.c.fingerprint, clean["task"])
    strategies = {row["hash"]: row for row in clean["strategy"]}
    before = _ids(connection, t.strategies.c.hash, list(strategies))
    strategy_ids(connection, list(strategies.values()))
    counts["strategies"] = len(strategies) - len(before)
    runs = _with_references(connection, clean["run"], {"task": t.tasks.c.fingerprint})
    counts["runs"], known_runs = _insert_new(connection, t.runs, t.runs.c.uuid, runs)
    trials = _with_references(
        connection,
        clean["trial"],
        {"task": t.tasks.c.fingerprint, "strategy": t.strategies.c.hash, "run": t.runs.c.uuid},
    )
    trials, new = _new_trials(connection, trials)
    if new:
        insert_trials(connection, new)
    counts["trials"] = len(new)
    counts["refused"] += len(clean["run"]) - len(runs) + len(clean["trial"]) - len(trials)
    counts["known"] = known_tasks + known_runs + len(clean["strategy"]) - counts["strategies"] + len(trials) - len(new)
    return counts


def _ids(connection: sa.Connection, column: sa.Column[str], names: list[str]) -> dict[str, int]:
    chosen = sa.select(column, column.table.c.id).where(column.in_(names))
    return {row[0]: row.id for row in connection.execute(chosen)}


def _insert_new(
    connection: sa.Connection, table: sa.Table, column: sa.Column[str], found: list[dict[str, Any]]
) -> tuple[int, int]:
    """Inserts the rows that are not there yet; returns how many those are, and how many others."""
    unique = {row[column.name]: row for row in found}
    known = _ids(connection, column, list(unique))
    new = [row for name, row in unique.items() if name not in known]
    if new:
        connection.execute(sa.insert(table), new)
    return len(new), len(found) - len(new)


def _with_references(
    connection: sa.Connection, found: list[dict[str, Any]], columns: Mapping[str, sa.Column[str]]
) -> list[dict[str, Any]]:
    """Returns the rows with ids for names; those that refer to nothing are left out."""
    for name, column in columns.items():
        ids = _ids(connection, column, sorted({row[name] for row in found}))
        found = [row | {name: ids[row[name]]} for row in found if row[name] in ids]
    return found


def _new_trials(
    connection: sa.Connection, found: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns the trials that are of the task of their run, and those of them that are not there yet."""
    runs = sorted({row["run"] for row in found})
    of_runs = connection.execute(sa.select(t.runs.c.id, t.runs.c.task).where(t.runs.c.id.in_(runs)))
    task_of = {row.id: row.task for row in of_runs}
    taken = connection.execute(sa.select(t.trials.c.run, t.trials.c.number).where(t.trials.c.run.in_(runs)))
    known = {(row.run, row.number) for row in taken}
    fitting = [row for row in found if row["task"] == task_of[row["run"]]]
    unique = {(row["run"], row["number"]): row for row in fitting}
    return fitting, [row for key, row in unique.items() if key not in known]


# --- what foreign values must look like


def _clean_task(value: Portable) -> dict[str, Any]:
    n_rows, n_features, n_classes = (rows.integer(n, "shape", low=0, high=COUNT_LIMIT) for n in value["shape"])
    largest = sys.float_info.max
    features = [rows.number(x, "meta-feature", low=-largest, high=largest) for x in value["meta_features"][:NAME_LIMIT]]
    return {
        "fingerprint": _matching(_HEX32, value["fingerprint"]),
        "name": _cut(value["name"], NAME_LIMIT),
        "kind": str(TaskKind(value["kind"])),
        "form": _one_of(FORMS, value["form"]),
        "metric": _cut(value["metric"], NAME_LIMIT),
        "n_rows": n_rows,
        "n_features": n_features,
        "n_classes": n_classes,
        "meta_features": np.clip(np.array(features, "<f8"), -META_FEATURE_LIMIT, META_FEATURE_LIMIT).tobytes(),
        "family": _cut(value["family"], NAME_LIMIT),
        "created": _past(value["created"]),
    }


def _clean_strategy(value: Portable) -> dict[str, Any]:
    row = rows.strategy_row(Strategy.from_json(value["strategy"]))
    if row["hash"] != value["hash"] or len(row["json"]) > JSON_LIMIT:
        raise UsageError(f"Expected a strategy of hash {row['hash']}, got {value['hash']!r:.80}.")
    return row


def _clean_run(value: Portable) -> dict[str, Any]:
    return {
        "uuid": _matching(_HEX32, value["run"]),
        "task": _matching(_HEX32, value["task"]),
        "settings": _short_json(value["settings"]),
        "status": value["status"] if value["status"] in _STATUSES else "abandoned",
        "score": None if value["score"] is None else rows.number(value["score"], "score"),
        "seconds": None if value["seconds"] is None else rows.number(value["seconds"], "seconds", low=0.0),
        "summary": _short_json(value["summary"]),
        "owner": "",
        "created": _past(value["created"]),
    }


def _clean_trial(value: Portable) -> dict[str, Any]:
    fields: dict[str, Any] = {name: value[name] for name in _TRIAL_FIELDS}
    fields |= {name: _cut(value[name], NAME_LIMIT) for name in ("fidelity", "metric", "policy", "policy_version")}
    fields |= {"error": _cut(value["error"], ERROR_LIMIT), "created": _past(value["created"])}
    fields |= {"versions": json.loads(_short_json(value["versions"]))}
    return rows.checked(fields) | {
        "task": _matching(_HEX32, value["task"]),
        "strategy": _matching(_HEX16, value["strategy"]),
        "run": _matching(_HEX32, value["run"]),
    }


_CLEAN: Final[dict[str, Callable[[Portable], dict[str, Any]]]] = {
    "task": _clean_task,
    "strategy": _clean_strategy,
    "run": _clean_run,
    "trial": _clean_trial,
}


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise UsageError(f"Expected hexadecimal digits, got {value!r:.80}.")
    return value


def _one_of(known: Iterable[str], value: Any) -> str:
    if value not in set(known):
        raise UsageError(f"Expected one of {sorted(known)}, got {value!r:.80}.")
    return str(value)


def _cut(value: Any, limit: int) -> str:
    return rows.text(value, "text")[:limit]


def _past(value: Any) -> float:
    return min(time.time(), rows.number(value, "created", low=0.0))


def _short_json(value: Any) -> str:
    found = rows.as_json(value, "settings")
    return found if len(found) <= JSON_LIMIT else "{}"


# --- lines


def write_lines(path: Path, portables: Iterable[Portable]) -> None:
    """Writes values as lines of JSON, whole or not at all; compressed if the name ends in ``.gz``."""
    draft = path.with_name(f".{path.name}.new")
    try:
        with _opened(draft, path, "wt") as lines:
            for portable in portables:
                lines.write(json.dumps(portable, separators=(",", ":"), allow_nan=False) + "\n")
        draft.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error}.") from error
    finally:
        draft.unlink(missing_ok=True)


def read_lines(path: Path) -> Iterator[Portable]:
    """Reads lines of JSON, compressed if the name ends in ``.gz``; a line that is none is ``{}``.

    Raises:
        StorageError: If the file cannot be read.
    """
    try:
        with _opened(path, path, "rt") as lines:
            while line := lines.readline(LINE_LIMIT):
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    value = {}
                yield value if isinstance(value, dict) else {}
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise StorageError(f"{path} cannot be read as lines of JSON: {error}.") from error


@contextmanager
def _opened(path: Path, named: Path, mode: str) -> Iterator[IO[str]]:
    if named.suffix != ".gz":
        with path.open(mode, encoding="utf-8") as plain:
            yield plain
        return
    with (
        path.open(mode[0] + "b") as raw,
        gzip.GzipFile("", mode[0] + "b", fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8") as lines,
    ):
        yield lines
