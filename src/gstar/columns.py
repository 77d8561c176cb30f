"""The door: any frame or array becomes the same few plain arrays.

pandas (nullable, pyarrow-backed, sparse, category), polars, Arrow, NumPy and lists all
end as `RawColumns`: one block of numbers, distinct strings with a code per row, and
seconds since 1970. What a column *means* is decided later, by `gstar.schema`; here the
same values give the same bytes, wherever they came from.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from gstar.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Array: TypeAlias = np.ndarray

NULLS: Final = frozenset(
    {"", "?", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-nan", "-NaN", "NaT", "NULL", "null"}
)
"""Strings that mean "missing" in every feature. "None" is not one: it is a fine category."""

_NESTED: Final = (list, dict, set, tuple, np.ndarray)
_MICRO: Final = 1e-6


@dataclass(frozen=True, eq=False)
class Strings:
    """Is a column of strings.

    Args:
        codes: ``(N,)`` int64 positions in `values`, -1 where missing.
        values: The distinct strings that occur, stripped, in order of first appearance.
        declared: Whether the frame itself says that this is a category.
    """

    codes: Array
    values: list[str]
    declared: bool = False

    def take(self, rows: Array) -> Strings:
        """Returns the rows at these positions; values that no longer occur are left out."""
        return _compact(self.codes[rows], self.values, self.declared)


@dataclass(frozen=True, eq=False)
class RawColumns:
    """Is the columns of a frame, each as numbers, strings or dates.

    Args:
        names: Names of all columns that were read, unique, in order.
        n_rows: N.
        numbers: ``(N, K)`` float64, NaN where missing; may hold infinities.
        number_of: Name to position in `numbers`.
        strings: Name to strings.
        dates: Name to ``(N,)`` float64 seconds since 1970-01-01 UTC, NaN where missing.
        positional: Whether the names x0, x1, ... were made up because there were none.
        notes: What the user should know, one sentence each.
    """

    names: tuple[str, ...]
    n_rows: int
    numbers: Array
    number_of: dict[str, int]
    strings: dict[str, Strings]
    dates: dict[str, Array]
    positional: bool = False
    notes: tuple[str, ...] = ()

    def take(self, rows: Array) -> RawColumns:
        """Returns the rows at these positions."""
        return replace(
            self,
            n_rows=len(rows),
            numbers=self.numbers[rows],
            strings={name: s.take(rows) for name, s in self.strings.items()},
            dates={name: d[rows] for name, d in self.dates.items()},
        )

    def without(self, name: str) -> RawColumns:
        """Returns the columns without one."""
        number_of = {n: j for n, j in self.number_of.items() if n != name}
        return replace(
            self,
            names=tuple(n for n in self.names if n != name),
            numbers=self.numbers[:, list(number_of.values())] if name in self.number_of else self.numbers,
            number_of={n: j for j, n in enumerate(number_of)},
            strings={n: s for n, s in self.strings.items() if n != name},
            dates={n: d for n, d in self.dates.items() if n != name},
        )

    def renamed(self, names: Sequence[str]) -> RawColumns:
        """Returns the same columns under other names, given in order."""
        to = dict(zip(self.names, names, strict=True))
        return replace(
            self,
            names=tuple(names),
            number_of={to[name]: j for name, j in self.number_of.items()},
            strings={to[name]: s for name, s in self.strings.items()},
            dates={to[name]: d for name, d in self.dates.items()},
        )


def unique_names(names: Iterable[Any]) -> tuple[list[str], list[str]]:
    """Returns column names as different strings, and those that had come more than once.

    Example:
        >>> unique_names(["a", "b", "a", 3])
        (['a', 'b', 'a.1', '3'], ['a'])
    """
    strings = ["_".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in names]
    taken = set(strings)
    if len(taken) == len(strings):
        return strings, []
    seen: dict[str, int] = {}
    unique, repeated = [], []
    for name in strings:
        number = seen.get(name, -1) + 1
        fresh = name
        while number and (fresh := f"{name}.{number}") in taken:
            number += 1
        seen[name] = number
        taken.add(fresh)
        unique.append(fresh)
        if number and name not in repeated:
            repeated.append(name)
    return unique, repeated


def shorten(names: Collection[Any], limit: int = 5) -> str:
    """Returns the first few names, quoted and cut, and how many more there are."""
    shown = [repr(name if len(str(name)) <= 60 else str(name)[:57] + "...") for name in list(names)[:limit]]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def plain_string(value: Any) -> str:
    """Returns the string by which a value is known as a category: 3, 3.0 and "3" are the same."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | float | Decimal | np.integer | np.floating):
        return _number_string(float(value))
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value).strip()


def _number_string(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def raw_columns(frame: Any, wanted: Callable[[str], bool] | None = None) -> RawColumns:
    """Returns the columns of a frame, an array or a list as plain arrays; it never changes them.

    Args:
        frame: pandas, polars, Arrow or another frame that narwhals knows, a 2-D array, a
            list of rows, or a mapping of columns.
        wanted: Tells by name which columns to convert; all if None.

    Raises:
        DataError: If it is not two-dimensional, or a column holds nested or complex values.
    """
    import pandas as pd

    if isinstance(frame, pd.Series):
        frame = frame.to_frame()
    if isinstance(frame, pd.DataFrame):
        return _from_pandas(frame, wanted)
    if isinstance(frame, dict):
        return _from_pandas(pd.DataFrame(frame), wanted)
    if hasattr(frame, "toarray") and hasattr(frame, "nnz"):
        raise DataError("Expected a dense table, got a sparse matrix; pass X.toarray().")
    if isinstance(frame, list | tuple):
        return _from_rows(list(frame), wanted)
    if not isinstance(frame, np.ndarray) and (known := _from_narwhals(frame, wanted)) is not None:
        return known
    return _from_array(np.asarray(frame), wanted)


def _from_array(array: Array, wanted: Callable[[str], bool] | None) -> RawColumns:
    import pandas as pd

    if array.dtype.names is not None:
        return _from_pandas(pd.DataFrame(array), wanted)
    if array.ndim != 2:
        raise DataError(
            f"Expected a 2-D table, but {array.shape=}. Reshape your data: X.reshape(-1, 1) for one "
            "feature, X.reshape(1, -1) for one row."
        )
    names = tuple(f"x{j}" for j in range(array.shape[1]))
    if array.dtype.kind in "biuf":
        numbers = np.array(array, dtype=float, order="C")
        number_of = {name: j for j, name in enumerate(names)}
        return _finished(RawColumns(names, len(array), numbers, number_of, {}, {}, positional=True))
    kind = object if array.dtype.kind in "US" else array.dtype
    found = pd.DataFrame({name: pd.Series(array[:, j], dtype=kind) for j, name in enumerate(names)}, columns=names)
    return replace(_from_pandas(found, wanted), n_rows=len(array), positional=True)


def _from_rows(rows: list[Any], wanted: Callable[[str], bool] | None) -> RawColumns:
    import pandas as pd

    if rows and all(isinstance(row, dict) for row in rows):
        return _from_pandas(pd.DataFrame(rows), wanted)
    if not rows or not all(isinstance(row, _NESTED) and not isinstance(row, dict | set) for row in rows):
        raise DataError(
            "Expected a list of rows, each a list of values. Reshape your data: [[1], [2]] has one feature."
        )
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise DataError(f"Expected rows of one length, got rows of {min(widths)} to {max(widths)} values.")
    width = widths.pop()
    frame = pd.DataFrame([list(row) for row in rows], columns=[f"x{j}" for j in range(width)], dtype=object)
    return replace(_from_pandas(frame, wanted), positional=True)


@dataclass
class _Builder:
    """Gathers columns while a frame is read."""

    names: list[str]
    n_rows: int
    numbers: dict[str, Array] = field(default_factory=dict)
    strings: dict[str, Strings] = field(default_factory=dict)
    dates: dict[str, Array] = field(default_factory=dict)

    def build(self, block: Array | None = None, in_block: Sequence[str] = ()) -> RawColumns:
        """Returns all that was gathered; a block of number columns may come beside it."""
        width = len(in_block)
        numbers = np.empty((self.n_rows, width + len(self.numbers)))
        if block is not None:
            numbers[:, :width] = block
        for j, column in enumerate(self.numbers.values()):
            numbers[:, width + j] = column
        number_of = {name: j for j, name in enumerate([*in_block, *self.numbers])}
        return _finished(RawColumns(tuple(self.names), self.n_rows, numbers, number_of, self.strings, self.dates))


def _finished(raw: RawColumns) -> RawColumns:
    """Gives every NaN the same bits and drops the sign of zero, so that equal is equal in bytes."""
    raw.numbers[np.isnan(raw.numbers)] = np.nan
    np.add(raw.numbers, 0.0, out=raw.numbers)
    return raw


def _from_pandas(frame: pd.DataFrame, wanted: Callable[[str], bool] | None) -> RawColumns:
    names, repeated = unique_names(frame.columns)
    builder = _Builder(names, len(frame))
    plain: list[int] = []
    for j, (name, dtype) in enumerate(zip(names, frame.dtypes, strict=True)):
        if wanted is not None and not wanted(name):
            continue
        if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
            plain.append(j)
        else:
            _add_pandas(builder, name, frame.iloc[:, j])
    picked = frame if len(plain) == len(names) else frame.iloc[:, plain]
    block = picked.to_numpy(dtype=float) if plain else None
    raw = builder.build(block, [names[j] for j in plain])
    if repeated:
        note = f"Column names that came more than once were numbered (a, a.1, ...): {shorten(repeated)}."
        raw = replace(raw, notes=(note,))
    return raw


def _add_pandas(builder: _Builder, name: str, column: pd.Series[Any]) -> None:
    """Adds one column of any dtype that is not a plain NumPy number."""
    import pandas as pd

    dtype = column.dtype
    kind = getattr(dtype, "kind", "O")
    if isinstance(dtype, pd.SparseDtype):
        column = pd.Series(np.asarray(column.array))
        kind = column.dtype.kind
    if kind == "c":
        raise _refused(name, "complex")
    if isinstance(dtype, pd.CategoricalDtype):
        _add_category(builder, name, column)
    elif isinstance(dtype, pd.PeriodDtype):
        builder.dates[name] = _seconds(column.dt.to_timestamp())
    elif kind in "biuf":
        builder.numbers[name] = column.to_numpy(dtype=float, na_value=np.nan)
    elif kind == "M":
        builder.dates[name] = _seconds(pd.Series(pd.DatetimeIndex(column)))
    elif kind == "m":
        builder.numbers[name] = _ticks(column.to_numpy("timedelta64[us]"))
    elif isinstance(dtype, pd.StringDtype) or pd.api.types.is_string_dtype(dtype):
        if kind == "O" and isinstance(dtype, np.dtype):
            _add_objects(builder, name, column.to_numpy(dtype=object))
        else:
            codes, values = pd.factorize(column)
            builder.strings[name] = _compact(codes, [str(v).strip() for v in np.asarray(values, object)])
    else:
        _add_objects(builder, name, column.to_numpy(dtype=object))


def _add_category(builder: _Builder, name: str, column: pd.Series[Any]) -> None:
    values = column.cat.categories.to_numpy(dtype=object)
    if any(isinstance(value, _NESTED) for value in values):
        raise _refused(name, "nested")
    codes = column.cat.codes.to_numpy().astype(np.int64)
    builder.strings[name] = _compact(codes, [plain_string(v) for v in values], declared=True)


def _seconds(column: pd.Series[Any]) -> Array:
    """Returns seconds since 1970 UTC; a time without a zone is taken as UTC."""
    if column.dt.tz is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return _ticks(column.to_numpy().astype("datetime64[us]"))


def _ticks(moments: Array) -> Array:
    """Returns microseconds as float seconds, NaN where there is no time."""
    seconds = moments.astype(np.int64) * _MICRO
    seconds[np.isnat(moments)] = np.nan
    return seconds


def _add_objects(builder: _Builder, name: str, cells: Array) -> None:
    """Adds a column of Python objects by what they are: numbers, dates, strings or a mixture."""
    import pandas as pd

    kind = pd.api.types.infer_dtype(cells, skipna=True)
    present = ~np.asarray(pd.isna(cells), bool) if kind != "mixed" else np.array([not _is_null(c) for c in cells], bool)
    if kind in ("string", "empty"):
        codes, values = pd.factorize(cells)
        builder.strings[name] = _compact(codes, [str(v).strip() for v in values])
    elif kind in ("integer", "floating", "mixed-integer-float", "boolean", "decimal"):
        numbers = np.full(len(cells), np.nan)
        numbers[present] = _floats(cells[present])
        builder.numbers[name] = numbers
    elif kind in ("datetime64", "datetime", "date"):
        seconds = np.full(len(cells), np.nan)
        seconds[present] = _seconds(pd.Series(pd.to_datetime(cells[present], utc=True)))
        builder.dates[name] = seconds
    elif kind in ("timedelta64", "timedelta"):
        numbers = np.full(len(cells), np.nan)
        numbers[present] = pd.to_timedelta(cells[present]).total_seconds()
        builder.numbers[name] = numbers
    else:
        builder.strings[name] = _mixed(name, cells, present)


def _floats(cells: Array) -> Array:
    try:
        return cells.astype(float)
    except OverflowError:
        return np.array([float(c) if abs(c) < 10**300 else float("inf") for c in cells])


def _is_null(cell: Any) -> bool:
    import pandas as pd

    return cell is None or (not isinstance(cell, _NESTED) and pd.api.types.is_scalar(cell) and bool(pd.isna(cell)))


def _mixed(name: str, cells: Array, present: Array) -> Strings:
    """Returns cells of several types as strings."""
    import pandas as pd

    strings = np.full(len(cells), None, object)
    for i in np.flatnonzero(present):
        cell = cells[i]
        if isinstance(cell, complex | np.complexfloating):
            raise _refused(name, "complex")
        if isinstance(cell, _NESTED):
            raise _refused(name, "nested")
        strings[i] = cell.decode("utf-8", "replace").strip() if isinstance(cell, bytes) else plain_string(cell)
    codes, values = pd.factorize(strings)
    return _compact(codes, list(values))


def _refused(name: str, what: str) -> DataError:
    if what == "complex":
        return DataError(
            f"Complex data not supported: column {name!r}; pass its real and imaginary part as two columns."
        )
    return DataError(
        f"Column {name!r} holds nested values (lists, structs); spread it over plain columns or leave it out."
    )


def _compact(codes: Array, values: list[str], declared: bool = False) -> Strings:
    """Returns strings without the values that mean "missing", occur twice or do not occur."""
    used = np.bincount(codes[codes >= 0], minlength=len(values)) > 0 if len(values) else np.empty(0, bool)
    fresh: dict[str, int] = {}
    to = np.full(len(values) + 1, -1, np.int64)
    for i, value in enumerate(values):
        if used[i] and value not in NULLS:
            to[i] = fresh.setdefault(value, len(fresh))
    return Strings(to[codes], list(fresh), declared)


def _from_narwhals(frame: Any, wanted: Callable[[str], bool] | None) -> RawColumns | None:
    """Returns the columns of any frame that narwhals knows, None if it does not know it."""
    import narwhals as nw

    known = nw.from_native(frame, pass_through=True, allow_series=True)
    if isinstance(known, nw.LazyFrame):
        known = known.collect()
    if isinstance(known, nw.Series):
        known = known.to_frame()
    if not isinstance(known, nw.DataFrame):
        return None
    names, _ = unique_names(known.columns)
    builder = _Builder(names, len(known))
    for j, name in enumerate(names):
        if wanted is None or wanted(name):
            _add_narwhals(builder, name, known[:, j])
    return builder.build()


def _add_narwhals(builder: _Builder, name: str, column: Any) -> None:
    import narwhals as nw
    import pandas as pd

    dtype = column.dtype
    if dtype.is_nested():
        raise _refused(name, "nested")
    if dtype == nw.Boolean:
        column = column.cast(nw.Int8)
    if dtype.is_numeric() or dtype == nw.Boolean:
        builder.numbers[name] = np.asarray(column.cast(nw.Float64).to_numpy(), float)
    elif dtype in (nw.Date, nw.Datetime):
        moments = column.cast(nw.Datetime("us")) if dtype == nw.Date else column
        builder.dates[name] = np.asarray(moments.dt.timestamp("us").cast(nw.Float64).to_numpy(), float) * _MICRO
    elif dtype == nw.Duration:
        builder.numbers[name] = np.asarray(column.dt.total_microseconds().cast(nw.Float64).to_numpy(), float) * _MICRO
    elif dtype in (nw.String, nw.Categorical, nw.Enum):
        cells = np.array(column.cast(nw.String).to_list(), object)
        codes, values = pd.factorize(cells)
        builder.strings[name] = _compact(codes, [str(v).strip() for v in values], dtype != nw.String)
    else:
        cells = np.empty(len(column), object)
        cells[:] = column.to_list()
        _add_objects(builder, name, cells)


def parse_number(text: str) -> float:
    """Returns the number that a string writes, or says yes or no to; NaN if it is none.

    Example:
        >>> parse_number(" 1e3 "), parse_number("true"), parse_number("1_000")
        (1000.0, 1.0, nan)
    """
    try:
        return float("nan") if "_" in text else float(text)
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(text.strip().lower(), float("nan"))


_WITH_MONTHS: Final = tuple(
    day.replace("%b", month)
    for month in ("%b", "%B")
    for day in ("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y")
)
DATE_FORMATS: Final = (
    "ISO8601",
    *(
        day + time
        for day in ("%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", *_WITH_MONTHS)
        for time in ("", " %H:%M", " %H:%M:%S")
    ),
)
"""How dates may be written. Month-first is tried before day-first, as both fit 01/02/2020."""

_DATE_LIKE: Final = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{2,4}|[A-Za-z]{3,9} \d{1,2},? \d{4}"
)


def parse_dates(values: Sequence[str], date_format: str) -> Array:
    """Returns seconds since 1970-01-01 UTC, NaN where a string is not written in the format."""
    import pandas as pd

    moments = pd.to_datetime(pd.Series(values, dtype=object), format=date_format, errors="coerce", utc=True)
    return _seconds(moments)


def date_format_of(values: Sequence[str]) -> str:
    """Returns the format in which all strings are dates, "" if there is none."""
    if not values or not all(_DATE_LIKE.match(value) for value in values[:20]):
        return ""
    for date_format in DATE_FORMATS:
        if (
            not np.isnan(parse_dates(values[:20], date_format)).any()
            and not np.isnan(parse_dates(values, date_format)).any()
        ):
            return date_format
    return ""
