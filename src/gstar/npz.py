"""``.npz`` files, read without trust: every array is sized by its header before a byte of it is unpacked.

Nothing is ever unpickled. An array of Python objects is refused, and so is one whose header
does not agree with the zip around it.
"""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeAlias

import numpy as np
from numpy.lib import format as npy

from gstar.columns import shorten
from gstar.errors import DataError, UntrustedFileError

Array: TypeAlias = np.ndarray

MAX_BYTES: Final = 4 * 2**30
"""All arrays that are read may take this many bytes together."""
MAX_RATIO: Final = 200
"""Beyond `_FREE_BYTES`, they may take this many times the size of the file."""

_FREE_BYTES: Final = 2**28
_MAX_HEADER_BYTES: Final = 10_000
_DAMAGED: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    OverflowError,
    zlib.error,
)
"""What `zipfile` and NumPy raise over bytes that make no sense."""


@dataclass(frozen=True)
class Header:
    """Is what the first bytes of an array say.

    Args:
        shape: Its shape.
        dtype: Its type; with objects in it, it cannot be read.
        by_columns: Whether its values lie in Fortran's order.
        start: How many bytes come before the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    by_columns: bool
    start: int

    @property
    def n_bytes(self) -> int:
        """The bytes that its values take."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.shape} {'objects' if self.dtype.hasobject else self.dtype}"


def read_headers(path: Path) -> dict[str, Header]:
    """Returns the header of each array in a file, by name.

    Raises:
        DataError: If it is no readable ``.npz``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            return {name.removesuffix(".npy"): _read_header(archive, name) for name in names}
    except _DAMAGED as error:
        raise DataError(f"File '{path}' is no readable .npz: {str(error)[:120] or 'it is damaged'}.") from None
    except OSError as error:
        raise DataError(f"File '{path}' cannot be read: {error.strerror or error}.") from None


def read_members(path: Path, headers: Mapping[str, Header], names: Collection[str]) -> dict[str, Array]:
    """Returns some arrays of a file.

    Args:
        path: The file.
        headers: What `read_headers` returned for it.
        names: Which arrays to read.

    Raises:
        UntrustedFileError: If one holds Python objects, or is not what its header says.
        DataError: If they are too large together, or damaged.
    """
    wanted = {name: headers[name] for name in names}
    refuse_objects(path, wanted)
    packed, unpacked = path.stat().st_size, sum(header.n_bytes for header in wanted.values())
    if unpacked > min(MAX_BYTES, max(_FREE_BYTES, MAX_RATIO * packed)):
        raise DataError(f"File '{path}' ({packed:,} bytes) unpacks to {unpacked:,} bytes, too many; take part of it.")
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read_values(path, archive, name, header) for name, header in wanted.items()}
    except UntrustedFileError:
        raise
    except _DAMAGED as error:
        raise DataError(f"File '{path}' is damaged: {str(error)[:120]}.") from None


def refuse_objects(path: Path, wanted: Mapping[str, Header]) -> None:
    """Raises `UntrustedFileError` if one of these arrays holds Python objects."""
    if odd := [name for name, header in wanted.items() if header.dtype.hasobject]:
        raise UntrustedFileError(
            f"Refused {shorten(odd)} in '{path}': Python objects are pickles, which are never loaded; save arrays of "
            "numbers or text, and sequences padded, with their 'lengths'."
        )


def _read_header(archive: zipfile.ZipFile, name: str) -> Header:
    with archive.open(name) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy about files of Python 2
        shape, by_columns, dtype = _parsed(stream)
        start = stream.tell()
    if any(side < 0 for side in shape):
        raise ValueError(f"array {name!r} has the shape {shape}")
    return Header(shape, dtype, by_columns, start)


def _parsed(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of its format is unknown")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        return read(stream, max_header_size=_MAX_HEADER_BYTES)
    except Exception as error:  # it is parsed as Python text, in which nearly anything can be wrong
        raise ValueError(f"the header of an array makes no sense ({str(error)[:80]})") from None


def _read_values(path: Path, archive: zipfile.ZipFile, name: str, header: Header) -> Array:
    """Reads as many bytes as the header says, and not one more."""
    with archive.open(f"{name}.npy") as stream:
        stream.read(header.start)
        values = stream.read(header.n_bytes)
        if len(values) != header.n_bytes or stream.read(1):
            raise UntrustedFileError(f"Refused '{path}': array {name!r} has not the size that its header says.")
    array = np.frombuffer(values, header.dtype) if header.n_bytes else np.empty(0, header.dtype)
    return array.reshape(header.shape, order="F" if header.by_columns else "C")
