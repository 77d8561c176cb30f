"""Temporary folders: of a run, for shared data and saved models while it lasts; those of killed processes are swept."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from gstar.errors import StorageError


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """Yields a folder that is gone afterwards, and sweeps those of processes that were killed.

    Raises:
        StorageError: If none can be made, or what is written to it finds no room.
    """
    folder = own_folder()
    try:
        yield folder
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise StorageError(
            f"There is no space left in the temporary folder {folder.parent}: set TMPDIR to one with room."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def own_folder() -> Path:
    """Makes a folder for its caller to remove, and sweeps those of processes that were killed.

    Raises:
        StorageError: If none can be made.
    """
    root = Path(tempfile.gettempdir())
    for stale in root.glob("gstar-run-*-*"):
        owner = stale.name.split("-")[2]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(stale, ignore_errors=True)
    try:
        return Path(tempfile.mkdtemp(prefix=f"gstar-run-{os.getpid()}-"))
    except OSError as error:
        raise StorageError(
            f"Cannot write to the temporary folder {root}: {error}. Set TMPDIR to one with room."
        ) from error
