"""Files that a command writes: checked before the work begins, whole or not there."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from gstar.errors import StorageError, UsageError

_ZIP: Final = b"PK\x03\x04"
_SQLITE: Final = b"SQLite format 3\x00"


def check_output(path: Path) -> None:
    """Makes sure that a file can be written, without leaving a trace.

    Raises:
        StorageError: If it cannot be.
    """
    if path.is_dir():
        raise StorageError(f"Expected a file to write, but {path} is a directory; add a file name.")
    folder = path.parent
    if not folder.is_dir():
        raise StorageError(f"There is no directory {folder} to write {path.name} in; make it first: mkdir -p {folder}")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}. Choose another place.") from error


def check_model_output(path: Path) -> None:
    """Makes sure that a model can be written, and that nothing but an older model is replaced.

    Raises:
        StorageError: If it cannot be.
        UsageError: If something else lies there.
    """
    check_output(path)
    if path.exists() and path.stat().st_size and not _is_archive(path):
        raise UsageError(f"{path} exists and is no model; it would be lost. Choose another name for --out.")


def check_text_output(out: str | None, *inputs: str) -> None:
    """Makes sure that a text can be written, and that neither an input nor a model or an experience is replaced by it.

    Args:
        out: Where it goes; nothing is checked if that is None or ``-``, stdout.
        inputs: Files and folders that it is made of.

    Raises:
        StorageError: If it cannot be.
        UsageError: If something that would be lost lies there.
    """
    if out is None or out == "-":
        return
    path = Path(out)
    check_output(path)
    if not path.exists():
        return
    is_input = any(os.path.samefile(path, given) for given in inputs if os.path.exists(given))
    if is_input or _head(path).startswith((_ZIP, _SQLITE)):
        raise UsageError(f"{path} exists and would be lost. Choose another name for --out.")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_SQLITE))


def _is_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "manifest.json" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


@contextlib.contextmanager
def writing(path: str | None) -> Iterator[IO[str]]:
    """Yields a UTF-8 text stream to a file, or to stdout if the path is None or ``-``.

    A file appears when all is written; an older one stays until then.

    Raises:
        StorageError: If it cannot be written.
    """
    if path is None or path == "-":
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        sys.stdout.flush()
        return
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        with open(draft, "w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, target)
    except OSError as error:
        raise StorageError(f"Cannot write {target}: {error.strerror or error}.") from error
    finally:
        draft.unlink(missing_ok=True)
