"""One SQLite file: how it is made, opened, recognised and copied.

A file is made whole under another name and then linked into place, so that nobody ever
sees half of one, and of ten processes exactly one makes it. An existing file that is not
ours, or not whole, is never written to.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from gstar.errors import StorageError
from gstar.experience import tables
from gstar.failpoints import failpoint

BUSY_S: Final = 10.0
"""How long one attempt waits for another process to finish its transaction."""
SCHEMA: Final = "0002"
"""The newest schema; the last step in `migrations`."""
CHECKED_BYTES: Final = 8_000_000
"""Files up to this size are looked through when opened (20 ms); larger ones by `check`."""

_SERVER_LOCK: Final = 0x67737461
"""The number of the lock that writers hold on a server; it counts in one database only."""
_SERVER_BUSY: Final = ("55P03", "40001", "40P01")
"""What PostgreSQL says of a lock that was waited for in vain, and of two that waited for each other."""
_MAGIC: Final = b"SQLite format 3\x00"
_WAL_SAFE_SINCE: Final = (3, 51, 3)


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """Returns ``"WAL"`` where it is safe with several writing processes, else ``"DELETE"``.

    SQLite 3.7.0 to 3.51.2 can corrupt a file in WAL mode when two connections write and
    checkpoint at the same time.
    """
    return "WAL" if version >= _WAL_SAFE_SINCE else "DELETE"


def journal_reason() -> str:
    """Says in one sentence why the journal mode is what it is."""
    version = sqlite3.sqlite_version
    if journal_mode() == "WAL":
        return f"SQLite {version} writes ahead safely (WAL)."
    return f"SQLite {version} can corrupt a write-ahead log (fixed in 3.51.3), so a rollback journal is used."


def connect(path: Path | None, *, read_only: bool = False) -> sqlite3.Connection:
    """Opens an existing file, or memory if there is no path."""
    target = "file::memory:" if path is None else f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    connection = sqlite3.connect(target, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("foreign_keys=ON", "trusted_schema=OFF", "cell_size_check=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        if not read_only:
            connection.execute("PRAGMA synchronous=FULL")  # a power cut loses nothing; NORMAL saves only a tenth
            connection.execute("PRAGMA secure_delete=ON")  # what is forgotten is overwritten
            with contextlib.suppress(sqlite3.OperationalError):  # others are using it in the mode it has
                connection.execute(f"PRAGMA journal_mode={journal_mode()}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def engine_on(path: Path | None, *, read_only: bool = False) -> sa.Engine:
    """Returns an engine that keeps one connection to the file, or to memory."""
    return sa.create_engine("sqlite://", creator=lambda: connect(path, read_only=read_only), poolclass=StaticPool)


def begin_writing(connection: sa.Connection) -> None:
    """Begins a transaction that holds off all other writers to its end."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_S:g}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SERVER_LOCK})")


def lay_out(engine: sa.Engine) -> None:
    """Creates all tables of the newest schema, in one transaction, unless another process was faster."""
    with engine.connect() as connection:
        begin_writing(connection)
        if sa.inspect(connection).has_table(tables.VERSION_TABLE):
            return
        tables.metadata.create_all(connection)
        connection.execute(sa.insert(tables.schema_version).values(version_num=SCHEMA))
        connection.commit()


def create(path: Path) -> bool:
    """Makes an empty experience; returns False if another process was faster.

    Raises:
        StorageError: If a journal of some lost file lies where this file's would be.
        OSError: If there is no place for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("-journal", "-wal"):
        stray = path.with_name(path.name + suffix)
        if stray.exists() and not path.exists():
            raise StorageError(
                f"{stray} lies there without its {path.name}: it may hold the last changes of an experience that was "
                "moved. Put both together again, or move it away."
            )
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.new")
    try:
        draft.touch(exist_ok=False)
        engine = engine_on(draft)
        try:
            lay_out(engine)
        finally:
            engine.dispose()
        failpoint("experience.create.before_link")
        return _link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _link(draft: Path, path: Path) -> bool:
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if path.exists():
            return False
        draft.rename(path)
    return True


def look_at(path: Path) -> None:
    """Makes sure that a file begins as an SQLite file does.

    Raises:
        StorageError: If it is a folder, empty, or something else.
    """
    if path.is_dir():
        raise StorageError(f"Expected an experience file, but {path} is a folder. Name a file in it.")
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
    if not head:
        raise StorageError(f"{path} is empty, so it has lost its content. {_way_out(path)}")
    if head != _MAGIC:
        raise StorageError(f"{path} is not an SQLite file. {_way_out(path)}")


def schema_of(connection: sa.Connection, place: str) -> str:
    """Returns the schema version of an experience.

    Raises:
        StorageError: If it is another program's, or made by a newer gstar.
    """
    sqlite = connection.dialect.name == "sqlite"
    if sqlite and connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE type IN ('view', 'trigger')").first():
        raise StorageError(f"{place} holds views or triggers, which gstar never makes. Use another file.")
    names = sa.inspect(connection).get_table_names()
    if tables.VERSION_TABLE not in names:
        some = ", ".join(sorted(names)[:5]) or "none"
        raise StorageError(
            f"{place} was made by another program (its tables: {some}). Name another file, for example with "
            "GSTAR_EXPERIENCE=PATH."
        )
    found = list(connection.execute(sa.select(tables.schema_version.c.version_num)).scalars())
    known = [f"{i:04d}" for i in range(1, int(SCHEMA) + 1)]
    if len(found) == 1 and found[0] in known:
        return str(found[0])
    if len(found) == 1 and str(found[0]).isdigit():
        raise StorageError(
            f"{place} has schema {found[0]}, but this gstar knows up to {SCHEMA}. Update with: pip install --upgrade "
            "gstar; or use another file with GSTAR_EXPERIENCE=PATH."
        )
    raise StorageError(f"{place} does not say which schema it has (found {found!r}). Restore a backup of it.")


def quick_check(connection: sa.Connection, path: Path) -> None:
    """Looks through a small file for damage.

    Raises:
        StorageError: If there is any.
    """
    if path.stat().st_size <= CHECKED_BYTES:
        found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise StorageError(f"{path} is damaged ({found}). {_way_out(path)}")


def copy(source: Path, target: Path) -> None:
    """Copies a file that may be in use, whole or not at all; nobody may read the copy who may not read the file.

    Raises:
        StorageError: If the target exists.
    """
    if target.exists():
        raise StorageError(f"{target} exists. Name a file that is not there yet.")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}.new")
    with contextlib.closing(connect(source, read_only=True)) as old:
        try:
            draft.touch(stat.S_IMODE(source.stat().st_mode) | stat.S_IWUSR)  # a private file has a private copy
            with contextlib.closing(sqlite3.connect(draft)) as new:
                old.backup(new)
            _link(draft, target)
        finally:
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def as_storage_errors(place: str) -> Iterator[None]:
    """Turns what the database and the file system say into `StorageError` with a way out."""
    try:
        yield
    except StorageError:
        raise
    except sa.exc.DBAPIError as error:
        raise _explained(place, error.orig or error) from error
    except (sqlite3.Error, OSError) as error:
        raise _explained(place, error) from error


def is_busy(error: sa.exc.DBAPIError) -> bool:
    """Tells whether another process was in the way, so that trying again makes sense."""
    return _name(error.orig or error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _name(error: BaseException) -> str:
    """Returns SQLite's name of an error, also if a server said the same in its own words."""
    if str(getattr(error, "sqlstate", "")) in _SERVER_BUSY:
        return "SQLITE_BUSY"
    return str(getattr(error, "sqlite_errorname", "")) or type(error).__name__


def _explained(place: str, error: BaseException) -> StorageError:
    name = _name(error)
    for start, says in (
        ("SQLITE_BUSY", f"{place} has been in use by another process for more than {BUSY_S:g} s. Try again."),
        ("SQLITE_FULL", f"There is no space left for {place}. Free some, or set GSTAR_EXPERIENCE to another disk."),
        ("SQLITE_CORRUPT", f"{place} is damaged ({error}). {_way_out(place)}"),
        ("SQLITE_NOTADB", f"{place} is not an SQLite file. {_way_out(place)}"),
        ("SQLITE_READONLY", f"{place} may not be written. Change its permissions, or use --experience frozen."),
        ("PermissionError", f"{place} may not be read. Change its permissions, or use --experience off."),
        ("SQLITE_CANTOPEN", f"{place} or a file beside it cannot be opened. Look at the permissions of its folder."),
    ):
        if name.startswith(start):
            return StorageError(says)
    return StorageError(f"{place} cannot be used: {error} ({name}).")


def _way_out(path: Path | str) -> str:
    return (
        f"It was left as it is. Restore a backup of it (see `gstar experience backup`), or move it away and gstar "
        f"starts anew: mv '{path}' '{path}.broken'"
    )
