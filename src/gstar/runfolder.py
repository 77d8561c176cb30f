"""The folder in which a run keeps shared data and saved models while it lasts."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from gstar.errors import StorageError


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """Yields a folder that is gone afterwards, and sweeps those of processes that were killed."""
    root = Path(tempfile.gettempdir())
    for stale in root.glob("gstar-run-*-*"):
        owner = stale.name.split("-")[2]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(stale, ignore_errors=True)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"gstar-run-{os.getpid()}-"))
    except OSError as error:
        raise StorageError(
            f"Cannot write to the temporary folder {root}: {error}. Set TMPDIR to one with room."
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
