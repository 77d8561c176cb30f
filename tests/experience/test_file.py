from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from gstar.errors import StorageError
from gstar.experience import Experience, file
from gstar.testing.experience import filled


@pytest.fixture
def made(place: Path) -> Path:
    with Experience.open(place) as experience:
        filled(experience, 3, 20)
    return place


def refused(path: Path, match: str, mode: str = "on") -> None:
    """Makes sure that opening says what is wrong and changes nothing."""
    before = path.read_bytes()
    beside = sorted(os.listdir(path.parent))
    with pytest.raises(StorageError, match=match) as said:
        Experience.open(path, mode=mode)
    assert str(path) in str(said.value)
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == beside


@pytest.mark.parametrize(
    ("version", "mode"),
    [((3, 40, 1), "DELETE"), ((3, 51, 2), "DELETE"), ((3, 51, 3), "WAL"), ((3, 52, 0), "WAL"), ((4, 0, 0), "WAL")],
)
def test_writes_ahead_only_where_that_is_safe(version: tuple[int, ...], mode: str):
    assert file.journal_mode(version) == mode


def test_the_mode_is_the_one_that_is_safe_here(made: Path):
    with Experience.open(made) as experience:
        status = experience.status()
    assert status.journal_mode == file.journal_mode()
    assert sqlite3.sqlite_version in status.journal_reason


def test_both_journals_work(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(file, "journal_mode", lambda: "WAL")
    with Experience.open(place) as ahead, Experience.open(place) as other:
        filled(ahead)
        assert other.status().journal_mode == "WAL"
        assert other.status().trials == 8
    monkeypatch.setattr(file, "journal_mode", lambda: "DELETE")
    with Experience.open(place) as back:
        assert (back.status().journal_mode, back.status().trials, back.check()) == ("DELETE", 8, [])


@pytest.mark.parametrize("mode", ["on", "frozen"])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"SQLite", "is not an SQLite file"),
        (b"customer,churn\n1,no\n", "is not an SQLite file"),
        (b"SQLite format 3\x00", "is not an SQLite file|damaged"),
        (b"SQLite format 3\x00" + b"\xff" * 5000, "is not an SQLite file|damaged"),
    ],
)
def test_refuses_what_is_no_experience(place: Path, content: bytes, match: str, mode: str):
    place.parent.mkdir()
    place.write_bytes(content)
    refused(place, match, mode)


def test_refuses_a_folder(tmp_path: Path):
    with pytest.raises(StorageError, match="is a folder"):
        Experience.open(tmp_path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_refuses_a_truncated_file(made: Path, part: float):
    with made.open("r+b") as whole:
        whole.truncate(int(made.stat().st_size * part))
    refused(made, "damaged")


def test_a_flipped_byte_is_refused_or_found(made: Path, tmp_path: Path):
    """Whichever byte of a page's bookkeeping is hit, it is noticed when opened; nothing ever crashes."""
    size = made.stat().st_size
    noticed = 0
    for page in range(size // 4096):
        copy = tmp_path / "flipped.db"
        shutil.copy(made, copy)
        with copy.open("r+b") as flipped:
            flipped.seek(page * 4096 + (100 if page == 0 else 0))
            flipped.write(b"\xff")
        try:
            with Experience.open(copy) as experience:
                noticed += bool(experience.check())
        except StorageError:
            noticed += 1
        copy.unlink()
    assert noticed >= size // 4096 - 2  # pages that hold the rest of a long value have no bookkeeping


def test_refuses_the_file_of_another_program(place: Path):
    place.parent.mkdir()
    with contextlib.closing(sqlite3.connect(place)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("CREATE TABLE studies (id INTEGER)")
        connection.commit()
    refused(place, r"another program \(its tables: alembic_version, studies\)")


def test_shares_a_file_with_the_tables_of_other_programs(made: Path):
    with contextlib.closing(sqlite3.connect(made)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('v2.4.0.a')")
        connection.commit()
    with Experience.open(made) as experience:
        assert experience.check() == []


@pytest.mark.parametrize(
    "statement", ["CREATE VIEW v AS SELECT 1", "CREATE TRIGGER x DELETE ON tasks BEGIN SELECT 1; END"]
)
def test_refuses_views_and_triggers(made: Path, statement: str):
    with contextlib.closing(sqlite3.connect(made)) as connection:
        connection.execute(statement)
        connection.commit()
    refused(made, "holds views or triggers")


@pytest.mark.parametrize(
    ("version", "match"), [("0099", r"schema 0099, but this gstar knows up to \d{4}. Update"), ("abc", "found .'abc'.")]
)
@pytest.mark.parametrize("mode", ["on", "frozen"])
def test_refuses_newer_and_unknown_schemas(made: Path, version: str, match: str, mode: str):
    with contextlib.closing(sqlite3.connect(made)) as connection:
        connection.execute("UPDATE gstar_schema SET version_num = ?", [version])
        connection.commit()
    refused(made, match, mode)


def test_refuses_a_version_table_without_a_version(made: Path):
    with contextlib.closing(sqlite3.connect(made)) as connection:
        connection.execute("DELETE FROM gstar_schema")
        connection.commit()
    refused(made, "does not say which schema")


@pytest.mark.parametrize("suffix", ["-journal", "-wal"])
def test_does_not_begin_beside_the_journal_of_a_lost_file(place: Path, suffix: str):
    stray = place.with_name(place.name + suffix)
    stray.parent.mkdir()
    stray.write_bytes(b"precious")
    with pytest.raises(StorageError, match=r"lies there without its experience\.db"):
        Experience.open(place)
    assert stray.read_bytes() == b"precious"
    assert not place.exists()


def test_a_file_that_was_copied_during_a_write_opens_or_is_refused(made: Path, tmp_path: Path):
    """A copy without its journal is whole, because a rollback journal's changes come last; or it is refused."""
    with contextlib.closing(sqlite3.connect(made, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size=1")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE trials SET error = hex(randomblob(2000))")
        copy = tmp_path / "copy.db"
        shutil.copy(made, copy)
        shutil.copy(made.with_name(made.name + "-journal"), tmp_path / "copy.db-journal")
        writer.execute("ROLLBACK")
    with Experience.open(copy) as experience:
        assert (experience.status().trials, experience.check()) == (60, [])


def test_ten_processes_make_one_file(place: Path, start_child, wait_for):
    def work() -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        made_it = file.create(place)
        with Experience.open(place) as experience:
            filled(experience, 1, 1)
        os._exit(100 if made_it else 101)

    codes = [wait_for(pid) for pid in [start_child(work) for _ in range(10)]]
    assert sorted(codes) == [100] + [101] * 9
    assert os.listdir(place.parent) == [place.name]
    with Experience.open(place) as experience:
        assert (experience.status().trials, experience.status().tasks, experience.check()) == (10, 1, [])


def test_killed_while_it_is_made(place: Path, in_child, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GSTAR_FAILPOINT", "experience.create.before_link:kill")
    assert in_child(lambda: Experience.open(place)) == -signal.SIGKILL
    monkeypatch.delenv("GSTAR_FAILPOINT")
    assert not place.exists()
    with Experience.open(place) as experience:
        filled(experience)
        assert experience.check() == []


def test_makes_a_file_where_there_are_no_hard_links(place: Path, monkeypatch: pytest.MonkeyPatch):
    def no_link(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(os, "link", no_link)
    place.parent.mkdir()
    assert [file.create(place), file.create(place)] == [True, False]
    assert os.listdir(place.parent) == [place.name]


def test_what_is_forgotten_is_overwritten(made: Path):
    with Experience.open(made) as experience:
        name = experience.runs()[0].task
        assert name.encode() in made.read_bytes()
        experience.forget(name)
    assert name.encode() not in made.read_bytes()
