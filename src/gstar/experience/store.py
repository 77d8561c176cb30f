"""One place where experience is kept: a file, memory, or a server.

Reads see one consistent state. Every write is one transaction that holds the write lock
from its first statement (``BEGIN IMMEDIATE``, on a server an advisory lock): a deferred one
fails in most cases when several processes write. One connection per process, which never crosses a fork.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import psutil
import sqlalchemy as sa
from sqlalchemy.pool import Pool

from gstar.errors import MissingExtraError, StorageError, UsageError
from gstar.experience import cells, file, knowledge, rows
from gstar.experience import tables as t
from gstar.experience.migrate import migrate
from gstar.experience.values import Array, PolicyVersion, Run
from gstar.failpoints import failpoint
from gstar.metric import TaskKind
from gstar.records import Records
from gstar.strategy import Strategy
from gstar.task import Task
from gstar.trial import Trial

ATTEMPTS: Final = 3
"""How often a write is tried when others hold the lock for longer than `file.BUSY_S`."""

_OF_PARENTS: Final[list[Pool]] = []
"""Connections inherited over a fork. They are never used, and never closed either: closing one
that was amid a transaction would undo the parent's work in the file."""

_Result = TypeVar("_Result")


class Store:
    """Keeps tasks, strategies, runs, trials and policies in one place.

    Args:
        engine: To the place; see the functions `open_file`, `open_memory`, `open_server`.
        place: Its name in messages.
        path: The file, if it is one.
        writable: Whether it may be changed.
    """

    def __init__(self, engine: sa.Engine, place: str, *, path: Path | None = None, writable: bool = True):
        self.engine = engine
        self.place = place
        self.path = path
        self.writable = writable
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._writes = 0

    # --- transactions

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Gives a connection that sees one state of the store."""
        with file.as_storage_errors(self.place), self._own(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    def write(self, name: str, work: Callable[[sa.Connection], _Result]) -> _Result:
        """Does some work in one transaction, whole or not at all.

        Args:
            name: What it is, for failpoints.
            work: Gets the connection; may be called again if others were in the way.

        Raises:
            StorageError: If the store cannot be written.
        """
        if not self.writable:
            raise StorageError(f"{self.place} is used read-only (frozen). Use --experience on to change it.")
        with file.as_storage_errors(self.place):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return self._write_once(name, work)
                except sa.exc.OperationalError as error:
                    if not file.is_busy(error) or attempt == ATTEMPTS:
                        raise
        raise AssertionError("unreachable")

    def _write_once(self, name: str, work: Callable[[sa.Connection], _Result]) -> _Result:
        with self._own(), self.engine.connect() as connection:
            file.begin_writing(connection)
            failpoint(f"experience.{name}.begin")
            result = work(connection)
            failpoint(f"experience.{name}.before_commit")
            connection.commit()
            self._writes += 1
        failpoint(f"experience.{name}.after_commit")
        return result

    @contextlib.contextmanager
    def _own(self) -> Iterator[None]:
        """Lets one thread in, with a connection that this very process has opened."""
        in_memory = self.is_sqlite and self.path is None
        if self._pid != os.getpid() and not in_memory:
            _OF_PARENTS.append(self.engine.pool)
            self.engine.dispose(close=False)
        if self._pid != os.getpid():
            self._lock, self._pid = threading.RLock(), os.getpid()
        with self._lock:
            yield

    def change_key(self) -> tuple[int, ...] | None:
        """Returns what differs after every change by anybody; None if that is not cheap to know."""
        if not self.is_sqlite:
            return None
        with self.reading() as connection:
            seen = connection.exec_driver_sql("PRAGMA data_version").scalar_one()
        return (self._pid, self._writes, int(seen))

    def close(self) -> None:
        """Lets go of the connection."""
        self.engine.dispose()

    # --- writing

    def add_task(self, task: Task, meta_features: Array, *, family: str = "") -> None:
        """Records a task; one that is known gets its new name and meta-features."""
        values = {
            "fingerprint": task.fingerprint,
            "name": rows.text(task.name, "name"),
            "kind": str(task.kind),
            "form": task.form,
            "metric": rows.text(task.metric.name, "metric"),
            "n_rows": len(task),
            "n_features": task.inputs.n_features,
            "n_classes": task.n_classes,
            "meta_features": _packed(meta_features),
            "family": rows.text(family, "family"),
            "created": time.time(),
        }

        def work(connection: sa.Connection) -> None:
            here = t.tasks.c.fingerprint == task.fingerprint
            known = connection.execute(sa.select(t.tasks.c.family).where(here)).first()
            if known is None:
                connection.execute(sa.insert(t.tasks).values(values))
            else:
                fresh = {k: values[k] for k in ("name", "metric", "meta_features")} | {"family": family or known.family}
                connection.execute(sa.update(t.tasks).where(here).values(fresh))

        self.write("add_task", work)

    def start_run(self, task: str, settings: Mapping[str, Any]) -> str:
        """Records that a fit begins; returns the identifier of the run."""
        run = uuid.uuid4().hex
        packed = rows.as_json(settings, "settings")

        def work(connection: sa.Connection) -> None:
            _close_abandoned(connection)
            connection.execute(
                sa.insert(t.runs).values(
                    uuid=run,
                    task=self._task_id(connection, task),
                    settings=packed,
                    status="running",
                    summary="{}",
                    owner=_process(),
                    created=time.time(),
                )
            )

        self.write("start_run", work)
        return run

    def finish_run(
        self, run: str, *, status: str, score: float | None, seconds: float, summary: Mapping[str, Any]
    ) -> None:
        """Records how a fit ended."""
        values = {
            "status": rows.text(status, "status", limit=16),
            "score": None if score is None else rows.number(score, "score"),
            "seconds": rows.number(seconds, "seconds", low=0.0),
            "summary": rows.as_json(summary, "summary"),
            "owner": "",
        }

        def work(connection: sa.Connection) -> None:
            self._run_id(connection, run)
            connection.execute(sa.update(t.runs).where(t.runs.c.uuid == run).values(values))

        self.write("finish_run", work)

    def append(self, trials: Sequence[Trial]) -> None:
        """Records trials of known tasks and runs, all of them or none."""
        now = time.time()
        ready = [(trial, rows.row_of(trial, now)) for trial in trials]
        strategies = {rows.digest(trial.strategy): trial.strategy for trial in trials}
        wanted = [rows.strategy_row(strategy) for strategy in strategies.values()]

        def work(connection: sa.Connection) -> None:
            tasks = {name: self._task_id(connection, name) for name in {trial.task for trial, _ in ready}}
            runs = {name: self._run_id(connection, name) for name in {trial.run for trial, _ in ready}}
            ids = strategy_ids(connection, wanted)
            complete = [
                row | {"task": tasks[trial.task], "run": runs[trial.run], "strategy": ids[trial.strategy.hash]}
                for trial, row in ready
            ]
            insert_trials(connection, complete)

        if ready:
            self.write("append", work)

    # --- reading

    def records(self, kind: TaskKind, metric: str) -> Records | None:
        """Returns the table of tasks and strategies, or None if there is no trial."""
        chosen = (
            sa.select(t.tasks, t.cells.c.packed)
            .join(t.cells)
            .where(t.tasks.c.kind == str(kind), t.cells.c.metric == metric)
            .order_by(t.tasks.c.id)
        )
        with self.reading() as connection:
            tasks = [
                knowledge.TaskCells(
                    row.fingerprint,
                    row.family,
                    (row.n_rows, row.n_features, row.n_classes),
                    np.frombuffer(row.meta_features),
                    np.frombuffer(row.packed, cells.CELL),
                )
                for row in connection.execute(chosen)
            ]

            def strategies_of(ids: list[int]) -> list[Strategy]:
                found = strategies_by_id(connection, ids)
                return [found[i] for i in ids]

            return knowledge.assemble(kind, tasks, strategies_of) if tasks else None

    def trials(self, *, run: str | None = None, task: str | None = None, metric: str | None = None) -> list[Trial]:
        """Returns trials of a run, of a task, with a metric; all of them if nothing is named. Oldest first."""
        chosen = _TRIALS.order_by(t.trials.c.created, t.trials.c.id)
        if run is not None:
            chosen = chosen.where(t.runs.c.uuid == run)
        if task is not None:
            chosen = chosen.where(t.tasks.c.fingerprint == task)
        if metric is not None:
            chosen = chosen.where(t.trials.c.metric == metric)
        with self.reading() as connection:
            found = connection.execute(chosen).all()
            strategies = strategies_by_id(connection, sorted({row.strategy for row in found}))
        return [rows.trial_of(row, strategies[row.strategy]) for row in found]

    def runs(self, *, task: str | None = None, prefix: str = "", limit: int | None = None) -> list[Run]:
        """Returns runs, newest first: of a task, or whose identifier begins in a certain way."""
        n_trials = sa.select(sa.func.count()).where(t.trials.c.run == t.runs.c.id).scalar_subquery()
        chosen = (
            sa.select(t.runs, t.tasks.c.fingerprint, t.tasks.c.name, n_trials.label("n_trials"))
            .join(t.tasks)
            .where(t.runs.c.uuid.startswith(prefix, autoescape=True))
            .order_by(t.runs.c.created.desc(), t.runs.c.id.desc())
            .limit(limit)
        )
        if task is not None:
            chosen = chosen.where(t.tasks.c.fingerprint == task)
        with self.reading() as connection:
            return [
                Run(
                    row.uuid,
                    row.fingerprint,
                    row.name,
                    json.loads(row.settings),
                    row.status,
                    row.score,
                    row.seconds,
                    json.loads(row.summary),
                    row.created,
                    row.n_trials,
                )
                for row in connection.execute(chosen)
            ]

    # --- policies

    def add_policy(
        self, name: str, version: str, weights: Mapping[str, Array], evidence: Mapping[str, Any], *, accepted: bool
    ) -> None:
        """Records meta-parameters with the evidence for them."""
        from safetensors.numpy import save

        for key, array in weights.items():
            if not np.isfinite(array).all():
                raise UsageError(f"Expected finite weights, but {key!r} has others.")
        values = {
            "name": rows.text(name, "name"),
            "version": rows.text(version, "version"),
            "weights": save({key: np.ascontiguousarray(array) for key, array in weights.items()}),
            "evidence": rows.as_json(evidence, "evidence"),
            "accepted": False,
            "created": time.time(),
        }

        def work(connection: sa.Connection) -> None:
            if connection.execute(_policy(name, version)).first() is not None:
                raise UsageError(f"Policy {name!r} has a version {version!r} already; a version never changes.")
            connection.execute(sa.insert(t.policies).values(values))
            if accepted:
                _accept(connection, name, version)

        self.write("add_policy", work)

    def accept_policy(self, name: str, version: str) -> None:
        """Makes a version the one in use, for example an older one again."""

        def work(connection: sa.Connection) -> None:
            if connection.execute(_policy(name, version)).first() is None:
                raise UsageError(f"Policy {name!r} has no version {version!r}.")
            _accept(connection, name, version)

        self.write("accept_policy", work)

    def policies(self, name: str) -> list[PolicyVersion]:
        """Returns all versions of a policy, newest first."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        chosen = sa.select(t.policies).where(t.policies.c.name == name).order_by(t.policies.c.id.desc())
        with self.reading() as connection:
            found = connection.execute(chosen).all()
        try:
            return [
                PolicyVersion(
                    row.name, row.version, load(row.weights), json.loads(row.evidence), row.accepted, row.created
                )
                for row in found
            ]
        except (SafetensorError, ValueError) as error:
            raise StorageError(f"The weights of policy {name!r} in {self.place} are damaged: {error}.") from error

    # --- references

    def _task_id(self, connection: sa.Connection, fingerprint: str) -> int:
        found = connection.execute(sa.select(t.tasks.c.id).where(t.tasks.c.fingerprint == fingerprint)).scalar()
        if found is None:
            raise StorageError(f"Task {fingerprint!r} is not in {self.place}: not added yet, or forgotten meanwhile.")
        return int(found)

    def _run_id(self, connection: sa.Connection, run: str) -> int:
        found = connection.execute(sa.select(t.runs.c.id).where(t.runs.c.uuid == run)).scalar()
        if found is None:
            raise StorageError(f"Run {run!r} is not in {self.place}: not started yet, or removed meanwhile.")
        return int(found)


_TRIALS: Final = sa.select(t.trials, t.tasks.c.fingerprint, t.runs.c.uuid).select_from(
    t.trials.join(t.tasks, t.trials.c.task == t.tasks.c.id).join(t.runs, t.trials.c.run == t.runs.c.id)
)


def open_file(path: Path, *, read_only: bool = False) -> Store:
    """Opens an existing file; an older schema is migrated, in memory if the file is read-only.

    Raises:
        StorageError: If it is not a whole experience that this gstar understands.
    """
    with file.as_storage_errors(str(path)):
        file.look_at(path)
        engine = file.engine_on(path, read_only=read_only)
        try:
            with engine.connect() as connection:
                version = file.schema_of(connection, str(path))
                file.quick_check(connection, path)
            if version == file.SCHEMA:
                return Store(engine, str(path), path=path, writable=not read_only)
            if not read_only:
                migrate(engine, path, str(path))
                return Store(engine, str(path), path=path)
            return _copy_in_memory(engine, path)
        except BaseException:
            engine.dispose()
            raise


def _copy_in_memory(engine: sa.Engine, path: Path) -> Store:
    copy = file.engine_on(None)
    with engine.connect() as old, copy.connect() as new:
        source: Any = old.connection.driver_connection
        source.backup(new.connection.driver_connection)
    engine.dispose()
    migrate(copy, None, str(path))
    return Store(copy, str(path), writable=False)


def open_memory() -> Store:
    """Opens an empty store that ends with the process."""
    engine = file.engine_on(None)
    file.lay_out(engine)
    return Store(engine, "memory")


def open_server(url: sa.URL, *, read_only: bool = False) -> Store:
    """Opens a store on a database server: makes its tables if there are none, and migrates an older schema.

    Raises:
        MissingExtraError: If its driver is not installed.
        StorageError: If it cannot be reached, is not an experience, or would have to be changed although it may not.
    """
    place = url.render_as_string(hide_password=True)
    try:
        engine = sa.create_engine(url, pool_pre_ping=True, pool_size=2)
    except ImportError as error:
        raise MissingExtraError(
            f"{place} needs {error.name or 'psycopg'}; install it with: pip install 'gstar[postgres]'"
        ) from error
    with file.as_storage_errors(place):
        try:
            if not read_only and not sa.inspect(engine).get_table_names():
                file.lay_out(engine)
            with engine.connect() as connection:
                version = file.schema_of(connection, place)
            if version != file.SCHEMA and read_only:
                raise StorageError(f"{place} has the older schema {version}. Use it once with --experience on.")
            if version != file.SCHEMA:
                migrate(engine, None, place)
        except BaseException:
            engine.dispose()
            raise
    return Store(engine, place, writable=not read_only)


def strategy_ids(connection: sa.Connection, wanted: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Returns hash -> id of these rows of `strategies`, inserting those that are new."""
    chosen = sa.select(t.strategies.c.hash, t.strategies.c.id).where(
        t.strategies.c.hash.in_([row["hash"] for row in wanted])
    )
    known = {row.hash: row.id for row in connection.execute(chosen)}
    new = [row for row in wanted if row["hash"] not in known]
    if new:
        connection.execute(sa.insert(t.strategies), new)
        known = {row.hash: row.id for row in connection.execute(chosen)}
    return known


def strategies_by_id(connection: sa.Connection, ids: Sequence[int]) -> dict[int, Strategy]:
    """Returns id -> strategy."""
    found: dict[int, Strategy] = {}
    for start in range(0, len(ids), 10_000):
        some = list(ids[start : start + 10_000])
        chosen = sa.select(t.strategies.c.id, t.strategies.c.json).where(t.strategies.c.id.in_(some))
        found |= {row.id: Strategy.from_json(json.loads(row.json)) for row in connection.execute(chosen)}
    return found


def insert_trials(connection: sa.Connection, complete: list[dict[str, Any]]) -> None:
    """Inserts rows of `trials` and adds them to the cells.

    Raises:
        UsageError: If a run has a trial of the same number.
    """
    try:
        connection.execute(sa.insert(t.trials), complete)
    except sa.exc.IntegrityError as error:
        numbers = sorted({row["number"] for row in complete})[:5]
        raise UsageError(f"Trials are append-only, but one of the numbers {numbers} is taken in its run.") from error
    failpoint("experience.append.after_trials")
    cells.add(connection, complete)


def _packed(meta_features: Array) -> bytes:
    vector = np.ascontiguousarray(meta_features, "<f8")
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise UsageError(f"Expected (M,) finite meta-features, but shape={vector.shape}, or some are not finite.")
    return vector.tobytes()


def _policy(name: str, version: str) -> sa.Select[Any]:
    return sa.select(t.policies.c.id).where(t.policies.c.name == name, t.policies.c.version == version)


def _accept(connection: sa.Connection, name: str, version: str) -> None:
    same = sa.update(t.policies).where(t.policies.c.name == name)
    connection.execute(same.values(accepted=t.policies.c.version == version))


def _process(pid: int | None = None) -> str:
    """Names a process so that another one with the same number is not mistaken for it."""
    process = psutil.Process(pid)
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.0f}"


def _close_abandoned(connection: sa.Connection) -> None:
    """Marks the runs of this machine whose process is gone."""
    running = connection.execute(sa.select(t.runs.c.id, t.runs.c.owner).where(t.runs.c.status == "running")).all()
    gone = [row.id for row in running if not _lives(row.owner)]
    if gone:
        connection.execute(sa.update(t.runs).where(t.runs.c.id.in_(gone)).values(status="abandoned", owner=""))


def _lives(owner: str) -> bool:
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname():
        return True  # nobody here can tell
    try:
        return _process(int(rest)) == owner
    except (psutil.Error, ValueError):
        return False
