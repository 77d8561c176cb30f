"""Images and sequences: arrays that are no tables, and how they came to be what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.errors import DataError, UsageError, did_you_mean
from gstar.inputs import FORMS, Images, Sequences

Array: TypeAlias = np.ndarray

MAX_BYTES: Final = 8 * 2**30
"""Sequences padded to the longest, or images of one size, may take this much memory."""

_COLOURS: Final = (1, 3, 4)
_FLATTEST: Final = 8
"""An image is at most this many times as wide as high, or as high as wide."""


@dataclass(frozen=True)
class ArraySchema:
    """Is how a person's images or sequences become arrays: the same way at fit and at predict.

    Args:
        key: Name of the array in an ``.npz`` file; empty if they came otherwise.
        dtype: Of pixels, ``uint8`` or ``float32``; empty for sequences.
        channels_last: Whether images came as ``(N, H, W, C)``.
        sequence_id: Column of a long table that names the sequence of each row.
        time: Column that orders the rows of a sequence; empty: as they come.
        channels: Columns that hold the values of a step.
    """

    key: str = ""
    dtype: str = ""
    channels_last: bool = False
    sequence_id: str = ""
    time: str = ""
    channels: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns what is not empty, as JSON values."""
        found = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: value for name, value in found.items() if value}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ArraySchema:
        """Builds a schema from what `to_json` returned.

        Raises:
            TypeError, ValueError: If it is something else.
        """
        texts = ("key", "dtype", "sequence_id", "time")
        channels = data.get("channels", ())
        if not all(isinstance(text, str) for text in [*(data.get(name, "") for name in texts), *channels]):
            raise ValueError("a schema of arrays names its columns by text")
        if data.get("dtype", "") not in ("", "uint8", "float32"):
            raise ValueError(f"pixels of type {data['dtype']!r} make no sense")
        return ArraySchema(**{**data, "channels": tuple(channels)})


@dataclass(frozen=True, eq=False)
class Rows:
    """Is images or sequences as they were read, each with its label and its name if it has them.

    Args:
        inputs: N images or sequences.
        schema: How they became arrays.
        target: N labels or values in the user's own type, or None.
        names: What each is called, such as its file; empty if they have no names.
        title: What such a name is.
        notes: What the user should know, one sentence each.
    """

    inputs: Images | Sequences
    schema: ArraySchema
    target: Any = None
    names: tuple[str, ...] = ()
    title: str = ""
    notes: tuple[str, ...] = ()


def read_arrays(X: Any, *, form: str | None = None, schema: ArraySchema | None = None) -> Rows | None:
    """Returns images or sequences if X is such an array or a list of such arrays, None for a table.

    Args:
        X: ``(N, C, H, W)``, ``(N, H, W, C)`` with 1, 3 or 4 channels, or ``(N, H, W)`` of uint8 are
            images; any other ``(N, T, D)`` is sequences, and so are a list of ``(T_i, D)`` arrays and
            one of ``(T_i,)`` arrays of different lengths.
        form: What it is, if it is known; then ``(N, T)`` may be sequences, too.
        schema: As at fit, for new rows.
    """
    found = form_of_arrays(X, form)
    if found == "table":
        return None
    if found == "images":
        return as_images(X, schema)
    is_block = isinstance(X, np.ndarray) and X.dtype != object
    return Rows(as_sequences(X) if is_block else _ragged(list(X)), ArraySchema())


def form_of_arrays(X: Any, form: str | None = None) -> str:
    """Returns what `read_arrays` takes X for, without a look at its values."""
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        X = list(X)
    if isinstance(X, list | tuple):
        return "sequences" if _is_ragged(X, form) else "table"
    if not isinstance(X, np.ndarray):
        return "table"
    found = form or guess_form(X.shape, X.dtype)
    return found if found == "table" or _may_be(found, X.ndim) else "table"


def check_form(form: str | None) -> None:
    """Raises `UsageError` unless it is None or the name of a form."""
    if form is not None and form not in FORMS:
        raise UsageError(f"Expected a form among {list(FORMS)}, got {form!r}.{did_you_mean(form, FORMS)}")


def guess_form(shape: tuple[int, ...], dtype: np.dtype) -> str:
    """Returns the form that an array of this shape and type is taken for.

    Example:
        >>> [guess_form(shape, np.dtype("uint8")) for shape in ((9, 28, 28), (9, 512, 4), (9, 3, 8, 8), (9, 5))]
        ['images', 'sequences', 'images', 'table']
    """
    if len(shape) == 4:
        return "images"
    if len(shape) == 3:
        return "images" if dtype == np.uint8 and could_be_images(shape) else "sequences"
    return "table"


def could_be_images(shape: tuple[int, ...]) -> bool:
    """Tells whether ``(N, H, W)`` has sides as images have them."""
    return 0 < max(shape[1:]) <= _FLATTEST * min(shape[1:])


def as_images(X: Array, schema: ArraySchema | None = None, *, key: str = "") -> Rows:
    """Returns ``(N, C, H, W)``, ``(N, H, W, C)`` or ``(N, H, W)`` numbers as images.

    Args:
        X: The numbers: uint8, or any other and then kept as float32.
        schema: As at fit; None: decide what they are.
        key: What the array is called in its file.

    Raises:
        DataError: If it has other dimensions, values that are not finite, or another type than at fit.
    """
    if not _may_be("images", X.ndim):
        raise DataError(f"Expected images as (N, C, H, W), (N, H, W, C) or (N, H, W), but {X.shape=}.")
    dtype = "uint8" if X.dtype == np.uint8 else "float32"
    if schema is None:
        schema = ArraySchema(key, dtype, X.ndim == 4 and X.shape[-1] in _COLOURS and X.shape[1] > max(_COLOURS))
    if schema.dtype not in ("", dtype):
        raise DataError(
            f"Expected pixels of type {schema.dtype} as at fit, but {X.dtype=}; bring them to the same scale and type."
        )
    pixels = np.array(X) if X.dtype == np.uint8 else _single(X, "images", missing=False)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif schema.channels_last:
        pixels = np.ascontiguousarray(np.moveaxis(pixels, -1, 1))
    if 0 in pixels.shape[1:]:
        raise DataError(f"Expected images with at least one pixel each, but {X.shape=}.")
    return Rows(Images(pixels), schema)


def as_sequences(X: Array, lengths: Array | None = None) -> Sequences:
    """Returns ``(N, T, D)`` or ``(N, T)`` numbers as sequences.

    Args:
        X: The numbers; infinite ones are missing.
        lengths: ``(N,)`` true lengths; None: up to the last step with a value that is not missing.

    Raises:
        DataError: If it has other dimensions, or lengths that do not fit.
    """
    if not _may_be("sequences", X.ndim):
        raise DataError(f"Expected sequences as (N, T, D) or (N, T), but {X.shape=}.")
    steps = _single(X if X.ndim == 3 else X[:, :, None], "sequences")
    n_steps = np.arange(1, steps.shape[1] + 1)
    if lengths is None:
        lengths = np.where(np.isnan(steps).all(axis=2), 1, n_steps).max(axis=1, initial=1)
    elif lengths.dtype.kind not in "iu" or lengths.shape != (len(X),):
        raise DataError(f"Expected one whole number as length per sequence, got {lengths.dtype} {lengths.shape}.")
    elif len(X) and not 1 <= lengths.min() <= lengths.max() <= steps.shape[1]:
        raise DataError(f"Expected lengths from 1 to {steps.shape[1]}, got {lengths.min()} to {lengths.max()}.")
    steps[n_steps > lengths[:, None]] = 0.0
    return Sequences(steps, lengths.astype(np.int64))


def pad(values: Array, lengths: Array) -> Sequences:
    """Returns sequences that lie one after another as ``(R, D)`` steps, R the sum of the ``(N,)`` lengths.

    Raises:
        DataError: If they do not fit into memory when all are as long as the longest.
    """
    longest = int(lengths.max())
    check_room((len(lengths), longest, values.shape[1]), f"sequences padded to the longest, which has {longest} steps")
    steps = np.zeros((len(lengths), longest, values.shape[1]), np.float32)
    steps[np.arange(longest) < lengths[:, None]] = _finite(values)
    return Sequences(steps, lengths.astype(np.int64))


def check_room(shape: tuple[int, ...], what: str) -> None:
    """Raises `DataError` if an array of float32 of this shape would be larger than `MAX_BYTES`."""
    n_bytes = 4 * int(np.prod([float(side) for side in shape]))
    if n_bytes > MAX_BYTES:
        raise DataError(f"Expected data that fit into {MAX_BYTES // 2**30} GiB, but {what} take {n_bytes:,} bytes.")


def _may_be(form: str, n_dimensions: int) -> bool:
    return n_dimensions in ((3, 4) if form == "images" else (2, 3))


def _single(X: Array, form: str, missing: bool = True) -> Array:
    """Returns numbers as float32, missing where they are infinite."""
    if X.dtype.kind not in "biuf":
        raise DataError(f"Expected numbers in {form}, but {X.dtype=}.")
    if 0 in X.shape[1:]:
        raise DataError(f"Expected {form} with at least one value each, but {X.shape=}.")
    values = _finite(X)
    if not missing and np.isnan(values).any():
        rows = np.flatnonzero(np.isnan(values).reshape(len(X), -1).any(axis=1))
        raise DataError(f"Expected finite numbers in {form}, but {len(rows)} have others (first: {rows[0]}).")
    return values


def _finite(X: Array) -> Array:
    """Returns a copy as float32, missing where it is not finite."""
    with np.errstate(over="ignore"):
        values = np.array(X, dtype=np.float32, order="C")
    values[~np.isfinite(values)] = np.nan
    return values


def _is_ragged(X: Sequence[Any], form: str | None) -> bool:
    """Tells a list of sequences from one of rows."""
    if not X or not all(isinstance(x, np.ndarray) for x in X):
        return False
    dimensions = {x.ndim for x in X}
    return dimensions == {2} or (dimensions == {1} and (form == "sequences" or len({len(x) for x in X}) > 1))


def _ragged(X: Sequence[Array]) -> Sequences:
    blocks = [x if x.ndim == 2 else x[:, None] for x in X]
    widths = {x.shape[1] for x in blocks}
    lengths = np.array([len(x) for x in blocks], np.int64)
    if len(widths) > 1 or 0 in widths or lengths.min() < 1:
        raise DataError(
            f"Expected sequences of at least one step, all with the same number of values per step, got {min(widths)} "
            f"to {max(widths)} values and {lengths.min()} to {lengths.max()} steps."
        )
    if odd := next((x.dtype for x in blocks if x.dtype.kind not in "biuf"), None):
        raise DataError(f"Expected numbers in sequences, got {odd}.")
    return pad(np.concatenate(blocks), lengths)
