"""The columns that play a part besides features: order, groups and weights."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from gstar.columns import RawColumns
from gstar.errors import DataError
from gstar.schema import Column, Schema, guess_column

Array: TypeAlias = np.ndarray


def column_of(X: Any, raw: RawColumns, name: str) -> Any:
    """Returns one column with the user's own types, by its place in the frame."""
    import narwhals as nw
    import pandas as pd

    place = raw.names.index(name)
    if isinstance(X, np.ndarray) and X.dtype.names is None:
        return X[:, place]
    if isinstance(X, dict | list | tuple | np.ndarray):
        X = pd.DataFrame(X)
    if isinstance(X, pd.DataFrame):
        return X.iloc[:, place]
    frame = nw.from_native(X)
    eager = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    return eager[:, place].to_native()


def order_of(raw: RawColumns, name: str) -> tuple[Array, bool]:
    """Returns ``(N,)`` sortable values, and whether the column may be a feature as well.

    Numbers and dates sort by value, other strings by alphabet. Rows without a value come
    first, so that they never validate.
    """
    column = guess_column(raw, name, kept=True)
    table = Schema((column,)).table(raw)
    if column.kind == "number":
        values = table.numbers[:, 0]
    elif column.kind == "date":
        values = table.dates[:, 0]
    else:
        strings = raw.strings[name]
        rank = np.empty(len(strings.values) + 1)
        rank[-1] = np.nan
        rank[np.argsort(np.array(strings.values, object))] = np.arange(len(strings.values))
        values = rank[strings.codes]
    if np.isnan(values).all():
        raise DataError(f"Expected column {name!r} to order the rows, but all its values are missing.")
    return np.where(np.isnan(values), -np.inf, values), column.kind in ("number", "date")


def groups_of(raw: RawColumns, name: str) -> Array:
    """Returns ``(N,)`` int64 group of each row; a row without one is a group of its own."""
    if name in raw.strings:
        codes = raw.strings[name].codes.copy()
    else:
        values = raw.numbers[:, raw.number_of[name]] if name in raw.number_of else raw.dates[name]
        codes = np.unique(values, return_inverse=True)[1].astype(np.int64)
        codes[np.isnan(values)] = -1
    alone = np.flatnonzero(codes < 0)
    codes[alone] = codes.max() + 1 + np.arange(len(alone))
    if codes.max() == codes.min():
        raise DataError(f"Expected at least 2 groups in column {name!r}, got one; leave it out.")
    return codes


def weights_of(raw: RawColumns, weights: Any) -> Array | None:
    """Returns ``(N,)`` checked weights from an array or the name of a column, None if there are none."""
    if weights is None:
        return None
    if isinstance(weights, str):
        weights = Schema((Column(weights, "number"),)).table(raw).numbers[:, 0]
    return checked_weights(weights, raw.n_rows)


def checked_weights(weights: Any, n_rows: int) -> Array:
    """Returns weights as float64, one per row.

    Raises:
        DataError: If there are too few or too many, or one is negative, infinite or missing, or all are 0.
    """
    given = np.asarray(weights)
    if given.shape != (n_rows,):
        raise DataError(
            f"Expected one weight per row (1D array), got {n_rows} rows and weights of shape {given.shape}."
        )
    try:
        values = given.astype(float)
    except (TypeError, ValueError) as error:
        raise DataError(f"Expected numbers as weights, got {given.dtype}: {error}.") from None
    odd = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(odd):
        raise DataError(
            f"Expected weights that are finite and not negative, got {len(odd)} others (first row: {odd[0]})."
        )
    if not values.any():
        raise DataError("Expected at least one weight above zero, got none.")
    return values
