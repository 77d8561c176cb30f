from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def start_child() -> Callable[[Callable[[], None]], int]:
    """Runs a function in a forked process; returns its process number."""

    def start(work: Callable[[], None]) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)

    return start


@pytest.fixture
def in_child(start_child) -> Callable[[Callable[[], None]], int]:
    """Runs a function in a forked process; returns its exit code, negative for a signal."""
    return lambda work: _wait(start_child(work))


@pytest.fixture
def wait_for() -> Callable[[int], int]:
    """Waits for a process of `start_child`; returns its exit code."""
    return _wait


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Is where an experience could be."""
    return tmp_path / "home" / "experience.db"


@pytest.fixture
def old_file(place: Path) -> Path:
    """Is an experience of schema 0001, as an early gstar left it."""
    place.parent.mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(place)) as connection:
        connection.executescript((Path(__file__).parent / "assets" / "schema-0001.sql").read_text("utf-8"))
    return place


@pytest.fixture(scope="session")
def server() -> Iterator[sa.URL]:
    """Is a PostgreSQL server: that of GSTAR_TEST_POSTGRES, else one for these tests alone if it is installed."""
    pytest.importorskip("psycopg")
    if given := os.environ.get("GSTAR_TEST_POSTGRES"):
        yield sa.make_url(given).set(drivername="postgresql+psycopg")
        return
    found = [shutil.which("pg_ctl"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")))]
    if not any(found):
        pytest.skip("PostgreSQL is not installed, and GSTAR_TEST_POSTGRES names no server")
    binaries = Path(next(filter(None, reversed(found)))).parent
    # a server refuses to run as root, and its socket needs a short path that others may enter
    with tempfile.TemporaryDirectory(prefix="gstar-pg-") as home:
        user: dict[str, str] = {}
        if os.getuid() == 0:
            user = {"user": "nobody"}
            os.chown(home, pwd.getpwnam("nobody").pw_uid, -1)

        def call(program: str, *arguments: str) -> None:
            command = [str(binaries / program), "-D", f"{home}/data", *arguments]
            subprocess.run(command, check=True, cwd=home, stdout=subprocess.DEVNULL, **user)

        call("initdb", "-U", "gstar", "--no-sync", "-E", "UTF8", "--locale=C", "-A", "trust")
        call("pg_ctl", "start", "-w", "-l", f"{home}/log", "-o", f"-F -k {home} -c listen_addresses=''")
        try:
            yield sa.URL.create("postgresql+psycopg", "gstar", database="postgres", query={"host": home})
        finally:
            call("pg_ctl", "stop", "-m", "immediate")


@pytest.fixture
def server_place(server: sa.URL) -> Iterator[str]:
    """Is the URL of an empty part of the server, which is gone after the test."""
    schema = f"gstar_test_{uuid.uuid4().hex}"
    engine = sa.create_engine(server, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    url = server.update_query_dict({"options": f"-csearch_path={schema}", "application_name": schema})
    yield url.render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
