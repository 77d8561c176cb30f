"""Images and sequences: arrays that are no tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from gstar.errors import DataError
from gstar.inputs import Images, Sequences

Array: TypeAlias = np.ndarray


def read_arrays(X: Any) -> Images | Sequences | None:
    """Returns images or sequences if X is such an array or list, None for a table."""
    if isinstance(X, np.ndarray) and X.ndim == 4:
        return Images(np.array(X) if X.dtype == np.uint8 else _single(X, "images", missing=False))
    if isinstance(X, np.ndarray) and X.ndim == 3:
        return Sequences(_single(X, "sequences"), np.full(len(X), X.shape[1], np.int64))
    if isinstance(X, list | tuple) and X and all(isinstance(x, np.ndarray) and x.ndim == 2 for x in X):
        return _ragged(X)
    return None


def _single(X: Array, form: str, missing: bool = True) -> Array:
    """Returns numbers as float32, missing where they are infinite."""
    if X.dtype.kind not in "biuf":
        raise DataError(f"Expected numbers in {form}, but {X.dtype=}.")
    if 0 in X.shape[1:]:
        raise DataError(f"Expected {form} with at least one value each, but {X.shape=}.")
    with np.errstate(over="ignore"):
        values = np.array(X, dtype=np.float32, order="C")
    finite = np.isfinite(values)
    if not missing and not finite.all():
        rows = np.flatnonzero(~finite.reshape(len(X), -1).all(axis=1))
        raise DataError(f"Expected finite numbers in {form}, but {len(rows)} have others (first: {rows[0]}).")
    values[~finite] = np.nan
    return values


def _ragged(X: Sequence[Array]) -> Sequences:
    widths = {x.shape[1] for x in X}
    lengths = np.array([len(x) for x in X], np.int64)
    if len(widths) > 1 or 0 in widths or lengths.min() < 1:
        raise DataError(
            f"Expected sequences of at least one step, all with the same number of values per step, got {min(widths)} "
            f"to {max(widths)} values and {lengths.min()} to {lengths.max()} steps."
        )
    steps = np.zeros((len(X), lengths.max(), widths.pop()), np.float32)
    for i, x in enumerate(X):
        steps[i, : len(x)] = _single(np.asarray(x)[None], "sequences")[0]
    return Sequences(steps, lengths)
