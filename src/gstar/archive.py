"""A zip that cannot lie: every member is named, sized and hashed in its manifest.

Reading never unpacks to disk, never runs code, and gives nothing away before all names,
sizes and hashes are checked. Writing is atomic: the file is whole or not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gstar.errors import StorageError, UntrustedFileError

MANIFEST: Final = "manifest.json"
MAX_MEMBERS: Final = 5_000
MAX_BYTES: Final = 4 * 2**30
MAX_MANIFEST_BYTES: Final = 64 * 2**20
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}){0,3}")


def write_archive(path: Path, manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> None:
    """Writes a manifest and its members; an older file at the path stays until the new one is whole.

    Raises:
        StorageError: If the file cannot be written.
    """
    listed = {name: {"bytes": len(m), "sha256": hashlib.sha256(m).hexdigest()} for name, m in members.items()}
    text = json.dumps({**manifest, "members": listed}, indent=1, allow_nan=False)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent or ".")
        with os.fdopen(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.writestr(MANIFEST, text)
                for name, content in members.items():
                    archive.writestr(name, content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_archive(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Reads a manifest and its members, checked.

    Raises:
        StorageError: If the file cannot be read.
        UntrustedFileError: If it is not such an archive, or anything in it is not as its manifest says.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return _read(path, archive)
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, UntrustedFileError):
            raise
        reason = (
            "it is not a model file" if isinstance(error, zipfile.BadZipFile) else f"it is damaged ({error!r:.120})"
        )
        raise UntrustedFileError(f"Refused {path}: {reason}.") from error
    except zipfile.zlib.error as error:  # type: ignore[attr-defined]
        raise UntrustedFileError(f"Refused {path}: it is damaged ({error}).") from error


def _read(path: Path, archive: zipfile.ZipFile) -> tuple[dict[str, Any], dict[str, bytes]]:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(entries) > MAX_MEMBERS:
        raise UntrustedFileError(f"Refused {path}: {len(entries)} members, at most {MAX_MEMBERS} are allowed.")
    if len(set(names)) != len(names):
        raise UntrustedFileError(f"Refused {path}: two members have the same name.")
    for entry in entries:
        is_link = (entry.external_attr >> 28) == 0xA
        if not _NAME.fullmatch(entry.filename) or ".." in entry.filename or is_link:
            raise UntrustedFileError(f"Refused {path}: member {entry.filename[:80]!r} is not one that gstar writes.")
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise UntrustedFileError(f"Refused {path}: it would unpack to more than {MAX_BYTES // 2**30} GB.")
    if MANIFEST not in names:
        raise UntrustedFileError(f"Refused {path}: it has no {MANIFEST}.")
    manifest = json.loads(_unpack(path, archive, MANIFEST, MAX_MANIFEST_BYTES))
    listed = manifest.pop("members", None) if isinstance(manifest, dict) else None
    if not isinstance(listed, dict) or set(listed) != set(names) - {MANIFEST}:
        raise UntrustedFileError(f"Refused {path}: its manifest does not list its members.")
    members = {}
    for name, said in listed.items():
        content = _unpack(path, archive, name, int(said["bytes"]))
        if len(content) != said["bytes"] or hashlib.sha256(content).hexdigest() != said["sha256"]:
            raise UntrustedFileError(f"Refused {path}: member {name!r} is not what the manifest says.")
        members[name] = content
    return manifest, members


def _unpack(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Reads one member, and not one byte more than it may have, whatever its header says."""
    with archive.open(name) as member:
        content = member.read(limit + 1)
    if len(content) > limit:
        raise UntrustedFileError(f"Refused {path}: member {name!r} is larger than it says.")
    return content
