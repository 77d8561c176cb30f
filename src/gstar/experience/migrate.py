"""Brings an older experience to the newest schema, step by step, after a backup.

The backup and all steps happen under the one write lock, and the steps in one transaction:
whatever kills the process, the file has the old schema or the new one, never a mixture.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from gstar.errors import StorageError
from gstar.experience import file
from gstar.experience.tables import VERSION_TABLE
from gstar.failpoints import failpoint

_STEPS: Final = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME: Final = threading.Lock()
"""Alembic's steps talk to a global, so that threads must queue."""


def migrate(engine: sa.Engine, path: Path | None, place: str) -> Path | None:
    """Brings a store to the newest schema; returns where the backup lies if there was one to make.

    Args:
        engine: To the store, writable.
        path: Its file, or None if it has none that needs a backup.
        place: Its name for messages.
    """
    with engine.connect() as connection:
        file.begin_writing(connection)
        version = file.schema_of(connection, place)
        if version == file.SCHEMA:  # another process was faster
            return None
        backup = None if path is None else _back_up(path, version)
        failpoint("experience.migrate.after_backup")
        run_steps(connection, "head")
        failpoint("experience.migrate.before_commit")
        connection.commit()
    return backup


def run_steps(connection: sa.Connection, target: str) -> None:
    """Runs the steps from the schema at hand up to the target, in the transaction at hand."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    steps = ScriptDirectory(str(_STEPS))
    ahead: Callable[[Any, Any], Any] = lambda revision, _: steps._upgrade_revs(target, revision)  # noqa: E731
    with _ONE_AT_A_TIME, EnvironmentContext(Config(), steps, fn=ahead, destination_rev=target) as context:
        context.configure(connection=connection, version_table=VERSION_TABLE, transactional_ddl=True)
        context.run_migrations()


def _back_up(path: Path, version: str) -> Path:
    for n in range(1, 100):
        backup = path.with_name(f"{path.name}.schema-{version}{'' if n == 1 else f'-{n}'}.bak")
        if not backup.exists():
            file.copy(path, backup)
            return backup
    raise StorageError(f"There are 99 backups beside {path} already. Move some away.")
