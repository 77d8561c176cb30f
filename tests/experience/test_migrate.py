from __future__ import annotations

import contextlib
import signal
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from gstar.errors import StorageError
from gstar.experience import Experience, file, tables
from gstar.experience.migrate import run_steps
from gstar.testing.experience import KIND, METRIC, filled, toy_task
from gstar.trial import Status

KEPT = ("tasks", "strategies", "runs", "trials")


def contents(path: Path) -> dict[str, list[tuple]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY id").fetchall() for name in KEPT}


def version(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT version_num FROM gstar_schema").fetchone()[0]


def layout(engine: sa.Engine) -> dict[str, object]:
    """What a schema means, however it was written down."""
    found = sa.inspect(engine)
    return {
        name: (
            [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(name)],
            found.get_pk_constraint(name)["constrained_columns"],
            sorted((tuple(f["constrained_columns"]), f["referred_table"]) for f in found.get_foreign_keys(name)),
            sorted(tuple(u["column_names"]) for u in found.get_unique_constraints(name)),
            sorted((i["name"], tuple(i["column_names"])) for i in found.get_indexes(name)),
        )
        for name in sorted(found.get_table_names())
    }


def test_all_steps_lead_to_the_tables_of_today():
    new, old = file.engine_on(None), file.engine_on(None)
    file.lay_out(new)
    with old.connect() as connection:
        run_steps(connection, "head")
        connection.commit()
    assert layout(old) == layout(new)
    assert set(layout(new)) == set(tables.metadata.tables)
    old.dispose()
    new.dispose()


def test_an_old_server_becomes_a_new_one(server_place: str, old_file: Path):
    engine = sa.create_engine(server_place, poolclass=sa.NullPool)
    with engine.connect() as connection, sa.create_engine(f"sqlite:///{old_file}").connect() as old:
        run_steps(connection, "0001")
        for name in KEPT:
            rows = [dict(row._mapping) for row in old.execute(sa.text(f"SELECT * FROM {name} ORDER BY id"))]
            connection.execute(sa.insert(tables.metadata.tables[name]), rows)
        connection.commit()
    old.engine.dispose()
    with pytest.raises(StorageError, match=r"older schema 0001\. Use it once with --experience on"):
        Experience.open(server_place, mode="frozen")
    with Experience.open(server_place) as experience, Experience.open(old_file) as file_experience:
        assert experience.check() == []
        status = experience.status()
        assert (status.schema, status.tasks, status.runs, status.trials) == (file.SCHEMA, 3, 4, 15)
        ours, theirs = (e.records(KIND).scores for e in (experience, file_experience))
        assert ours == pytest.approx(theirs, nan_ok=True)
    assert set(layout(engine)) == set(tables.metadata.tables)


def test_an_old_file_becomes_a_new_one(old_file: Path):
    before = contents(old_file)
    with Experience.open(old_file) as experience:
        assert experience.check() == []
        status = experience.status()
        assert (status.schema, status.tasks, status.runs, status.trials) == (file.SCHEMA, 3, 4, 15)
        records = experience.records(KIND)
        t = records.tasks.index(toy_task(0).fingerprint)
        assert records.counts[t].tolist() == [1, 1, 2, 1]
        assert records.failures[t].tolist() == [1, 0, 0, 0]
        assert records.scores[t, 2] == (0.5 + 2 / 64 + 0.125) / 2
        assert records.costs[t, 2] == (1.0 + 5.0) / 2
        errors = [t.error for t in experience.history(toy_task(0).fingerprint, METRIC) if t.status == Status.FAILED]
        assert errors == ["NUL \x00, \\ and \ud800"]
        filled(experience, 4)
        assert experience.check() == []
    after = contents(old_file)
    assert all(after[name][: len(before[name])] == before[name] for name in ("tasks", "strategies", "trials"))


def test_a_backup_comes_first(old_file: Path):
    before = contents(old_file)
    with Experience.open(old_file):
        pass
    backup = old_file.with_name("experience.db.schema-0001.bak")
    assert (version(backup), version(old_file)) == ("0001", file.SCHEMA)
    assert contents(backup) == before


def test_a_frozen_old_file_is_read_without_touching_it(old_file: Path):
    before = old_file.read_bytes()
    with Experience.open(old_file, mode="frozen") as experience:
        assert experience.records(KIND).counts.sum() == 13
        assert experience.status().trials == 15
        with pytest.raises(StorageError, match="read-only"):
            experience.forget(toy_task(0).fingerprint)
    assert old_file.read_bytes() == before
    assert len(list(old_file.parent.iterdir())) == 1


def test_an_old_file_can_be_merged(old_file: Path, tmp_path: Path):
    with Experience.open(tmp_path / "new.db") as experience:
        assert experience.merge(old_file)["trials"] == 15
        assert experience.check() == []
    assert version(old_file) == "0001"


@pytest.mark.parametrize("point", ["after_backup", "between_tables", "before_commit"])
def test_killed_in_a_migration(old_file: Path, in_child, monkeypatch: pytest.MonkeyPatch, point: str):
    before = contents(old_file)
    monkeypatch.setenv("GSTAR_FAILPOINT", f"experience.migrate.{point}:kill")
    assert in_child(lambda: Experience.open(old_file)) == -signal.SIGKILL
    monkeypatch.delenv("GSTAR_FAILPOINT")
    assert version(old_file) == "0001"
    with contextlib.closing(sqlite3.connect(old_file)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {*KEPT, "gstar_schema"}
    assert contents(old_file) == before
    with Experience.open(old_file) as experience:
        assert (experience.status().trials, experience.check()) == (15, [])


def test_a_migration_that_stumbles_changes_nothing(old_file: Path, monkeypatch: pytest.MonkeyPatch):
    before = contents(old_file)
    monkeypatch.setenv("GSTAR_FAILPOINT", "experience.migrate.between_tables:raise")
    with pytest.raises(RuntimeError, match="was reached"):
        Experience.open(old_file)
    assert (version(old_file), contents(old_file)) == ("0001", before)


def test_several_processes_migrate_one_file(old_file: Path, start_child, wait_for):
    def work() -> None:
        with Experience.open(old_file) as experience:
            assert experience.status().trials == 15

    assert [wait_for(pid) for pid in [start_child(work) for _ in range(4)]] == [0] * 4
    assert len(list(old_file.parent.glob("*.bak"))) == 1
    with Experience.open(old_file) as experience:
        assert experience.check() == []
