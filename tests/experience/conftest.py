from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest


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
