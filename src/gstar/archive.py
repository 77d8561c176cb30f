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
import secrets
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gstar.errors import StorageError, UntrustedFileError, UsageError
from gstar.failpoints import failpoint

MANIFEST: Final = "manifest.json"
MAX_MEMBERS: Final = 5_000
MAX_BYTES: Final = 4 * 2**30
MAX_MANIFEST_BYTES: Final = 64 * 2**20
MAX_RATIO: Final = 100
"""Members that shrink more than this are written as they are: whatever unpacks to more is a bomb."""
_FREE_BYTES: Final = 2**20
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}){0,3}")
_DAMAGED: Final = (
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    OverflowError,
    zlib.error,
)
"""What `zipfile` and `json` raise over bytes that make no sense."""


def write_archive(path: Path, manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> None:
    """Writes a manifest and its members; an older file at the path stays until the new one is whole.

    Args:
        path: The file.
        manifest: JSON values; ``"members"`` is added.
        members: Name to content; names are letters, digits, ``_ . -`` in up to four parts split by ``/``.

    Raises:
        StorageError: If the file cannot be written, or would be larger than what is read back.
        UsageError: If a member cannot have its name.
    """
    if odd := [name for name in members if not _is_fine(name)]:
        raise UsageError(f"Expected names of members from letters, digits, _, . and -, got {odd[:3]}.")
    if len(members) >= MAX_MEMBERS or sum(map(len, members.values())) > MAX_BYTES:
        raise StorageError(f"Cannot write {path}: the model has more than {MAX_BYTES // 2**30} GB or too many parts.")
    listed = {name: {"bytes": len(m), "sha256": hashlib.sha256(m).hexdigest()} for name, m in members.items()}
    text = json.dumps({**manifest, "members": listed}, indent=1, allow_nan=False)
    temporary = path.parent / f".{path.name[:100]}.{secrets.token_hex(4)}"
    try:
        with open(temporary, "xb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                for name, content in {MANIFEST: text.encode(), **members}.items():
                    archive.writestr(name, content, _method(content), compresslevel=1)
                    failpoint("archive.member")
            file.flush()
            os.fsync(file.fileno())
        failpoint("archive.before_replace")
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _is_fine(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and ".." not in name


def _method(content: bytes) -> int:
    """Deflates unless that would make the member look like a bomb."""
    shrinks_too_much = len(zlib.compress(content, 1)) * MAX_RATIO < len(content)
    return zipfile.ZIP_STORED if shrinks_too_much else zipfile.ZIP_DEFLATED


def _sync_folder(folder: Path) -> None:
    """Makes the new name last through a loss of power, where the platform can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_archive(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Reads a manifest and its members, checked.

    Returns:
        The manifest without its ``"members"``, and name to content.

    Raises:
        StorageError: If the file cannot be read.
        UntrustedFileError: If it is not such an archive, or anything in it is not as its manifest says.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise StorageError(f"Cannot read {path}: expected a file, it is a {_what(path)}.")
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return _read(path, archive, os.fstat(file.fileno()).st_size)
    except (StorageError, UntrustedFileError):
        raise
    except zipfile.BadZipFile as error:
        raise UntrustedFileError(f"Refused {path}: it is not a whole model file ({error}).") from error
    except OSError as error:
        raise StorageError(f"Cannot read {path}: {error.strerror or error}.") from error
    except _DAMAGED as error:
        raise UntrustedFileError(f"Refused {path}: it is damaged ({error!r:.120}).") from error


def _what(path: Path) -> str:
    return "folder" if path.is_dir() else "device or pipe"


def _read(path: Path, archive: zipfile.ZipFile, file_bytes: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    entries = archive.infolist()
    names = {entry.filename for entry in entries}
    _check_entries(path, entries, file_bytes)
    if MANIFEST not in names:
        raise UntrustedFileError(f"Refused {path}: it has no {MANIFEST}.")
    manifest = json.loads(_unpack(path, archive, MANIFEST, MAX_MANIFEST_BYTES))
    listed = manifest.pop("members", None) if isinstance(manifest, dict) else None
    if not isinstance(listed, dict) or set(listed) != names - {MANIFEST}:
        raise UntrustedFileError(f"Refused {path}: its manifest does not list its members.")
    members = {}
    for name, said in listed.items():
        content = _unpack(path, archive, name, archive.getinfo(name).file_size)
        if len(content) != said["bytes"] or hashlib.sha256(content).hexdigest() != said["sha256"]:
            raise UntrustedFileError(f"Refused {path}: member {name!r} is not what the manifest says.")
        members[name] = content
    return manifest, members


def _check_entries(path: Path, entries: list[zipfile.ZipInfo], file_bytes: int) -> None:
    """Refuses what gstar never writes: odd names, links, twins, other methods, more than the file can hold."""
    if len(entries) > MAX_MEMBERS:
        raise UntrustedFileError(f"Refused {path}: {len(entries)} members, at most {MAX_MEMBERS} are allowed.")
    if len({entry.filename for entry in entries}) != len(entries):
        raise UntrustedFileError(f"Refused {path}: two members have the same name.")
    for entry in entries:
        is_link = stat.S_ISLNK(entry.external_attr >> 16)
        if not _is_fine(entry.filename) or is_link or entry.compress_type not in _METHODS or entry.flag_bits & 0x1:
            raise UntrustedFileError(f"Refused {path}: member {entry.filename[:80]!r} is not one that gstar writes.")
    most = min(MAX_BYTES, MAX_RATIO * file_bytes + _FREE_BYTES)
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > most:
        raise UntrustedFileError(
            f"Refused {path}: it would unpack to {unpacked / 2**20:.0f} MiB, at most {most / 2**20:.0f} are allowed."
        )


def _unpack(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Reads one member, and not one byte more than it may have, whatever its header says."""
    with archive.open(name) as member:
        content = member.read(limit + 1)
    if len(content) > limit:
        raise UntrustedFileError(f"Refused {path}: member {name!r} is larger than it may be.")
    return content
