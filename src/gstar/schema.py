"""How a person's frame becomes a `Table`: the same way at fit and at predict.

`Schema.fit` decides once what each column means; `Schema.apply` then turns any later
frame into the same blocks, with columns found by name, whatever their order or type. A
schema is plain JSON values both ways.

Kinds of columns: ``number``, ``category``, ``date`` and ``text`` are features. Left out
are ``identifier`` (names or numbers of rows), ``constant``, ``empty`` (all missing),
``duplicate`` (the same as an earlier column) and ``ignored`` (named by the user).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.columns import (
    RawColumns,
    Strings,
    date_format_of,
    parse_dates,
    parse_number,
    plain_string,
    raw_columns,
    shorten,
)
from gstar.errors import DataError, did_you_mean
from gstar.inputs import Table

Array: TypeAlias = np.ndarray

FEATURE_KINDS: Final = ("number", "category", "date", "text")
MAX_LEVELS: Final = 5_000
_MIN_ROWS_FOR_NAMES: Final = 20
_SAMPLE: Final = 1_000
_LEFT_OUT: Final = {
    "identifier": "they name rows",
    "constant": "they have one value only",
    "empty": "all their values are missing",
    "duplicate": "they repeat another column",
}


@dataclass(frozen=True)
class Column:
    """Is what one column of the user's frame means.

    Args:
        name: Its name.
        kind: One of the kinds of the module's first lines.
        levels: For a category: the known values as strings, in the order of their codes.
        date_format: For a date: how it was written, "" if it came as a date.
    """

    name: str
    kind: str
    levels: tuple[str, ...] = ()
    date_format: str = ""

    @property
    def is_feature(self) -> bool:
        """Tells whether learners see the column."""
        return self.kind in FEATURE_KINDS

    @cached_property
    def code_of(self) -> dict[str, int]:
        """Level to code; a number is also known by its shortest form, so that "3.0" is "3"."""
        codes = {level: code for code, level in enumerate(self.levels)}
        for code, level in enumerate(self.levels):
            codes.setdefault(_plain_number(level), code)
        return codes

    def to_json(self) -> dict[str, Any]:
        """Returns the column as JSON values."""
        data: dict[str, Any] = {"name": self.name, "kind": self.kind}
        if self.levels:
            data["levels"] = list(self.levels)
        if self.date_format:
            data["date_format"] = self.date_format
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Column:
        """Builds a column from what `to_json` returned."""
        levels = tuple(str(level) for level in data.get("levels", ()))
        return Column(str(data["name"]), str(data["kind"]), levels, str(data.get("date_format", "")))


@dataclass(frozen=True)
class Schema:
    """Is what the columns of a frame mean.

    Args:
        columns: All columns of the frame it was fitted on, in their order.
        positional: Whether it was fitted on an array, so that names are x0, x1, ...

    Example:
        >>> schema = Schema.fit({"age": [31, 45, 27], "city": ["Rome", "Oslo", "Rome"]})
        >>> [(column.name, column.kind) for column in schema.columns]
        [('age', 'number'), ('city', 'category')]
        >>> schema.apply({"city": ["Oslo", "Bern"], "age": ["45", None]}).codes.tolist()
        [[0], [-1]]
    """

    columns: tuple[Column, ...]
    positional: bool = False

    @staticmethod
    def fit(frame: Any, *, ignored: Collection[str] = (), kept: Collection[str] = ()) -> Schema:
        """Decides what each column of a frame means.

        Args:
            frame: Anything that `raw_columns` reads.
            ignored: Names of columns that are no features.
            kept: Names of columns that are features even if they look like identifiers.

        Raises:
            DataError: If no usable feature is left.
        """
        return fit_columns(raw_columns(frame), ignored=ignored, kept=kept)[0]

    def apply(self, frame: Any) -> Table:
        """Returns the rows of a frame as a table; the frame is not changed.

        Columns may come in any order and extra ones are ignored. A category never seen is
        -1; what cannot be read as the number or date that it should be is missing.

        Raises:
            DataError: If a feature is missing, or an array has another width.
        """
        features = {column.name for column in self.columns if column.is_feature}
        is_array = isinstance(frame, np.ndarray | list | tuple)
        raw = raw_columns(frame, None if is_array or self.positional else features.__contains__)
        return self.table(self._named(raw, features))

    def table(self, raw: RawColumns) -> Table:
        """Returns columns that are named as in the schema as a table."""
        by_kind = {kind: [c for c in self.columns if c.kind == kind] for kind in FEATURE_KINDS}
        categories = by_kind["category"]
        codes = _block(raw.n_rows, categories, np.int32, lambda c: _as_codes(raw, c))
        return Table(
            _numbers_block(raw, [c.name for c in by_kind["number"]]),
            codes,
            _block(raw.n_rows, by_kind["date"], float, lambda c: _as_dates(raw, c)),
            _block(raw.n_rows, by_kind["text"], object, lambda c: _as_texts(raw, c.name)),
            np.array([len(c.levels) for c in categories], np.int64),
        )

    def notes(self) -> list[str]:
        """Returns one sentence per kind of column that was left out."""
        found = []
        for kind, why in _LEFT_OUT.items():
            names = [column.name for column in self.columns if column.kind == kind]
            if names:
                found.append(f"Left out {len(names)} {kind} column{'s'[: len(names) > 1]}, as {why}: {shorten(names)}.")
        return found

    def to_json(self) -> dict[str, Any]:
        """Returns the schema as JSON values."""
        return {"positional": self.positional, "columns": [column.to_json() for column in self.columns]}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Schema:
        """Builds a schema from what `to_json` returned."""
        return Schema(tuple(Column.from_json(c) for c in data["columns"]), bool(data["positional"]))

    def _named(self, raw: RawColumns, features: Collection[str]) -> RawColumns:
        """Returns the columns under the schema's names, matched by position where one side has no names."""
        here = set(raw.names)
        missing = [c.name for c in self.columns if c.name in features and c.name not in here]
        if raw.positional or (self.positional and missing):
            if len(raw.names) != len(self.columns):
                raise DataError(f"Expected {len(self.columns)} columns as at fit, got {len(raw.names)}.")
            return raw.renamed([column.name for column in self.columns])
        if missing:
            near = did_you_mean(missing[0], raw.names) if len(missing) * len(raw.names) < 1e6 else ""
            raise DataError(
                f"Expected {len(features)} feature columns, but {len(missing)} are missing: {shorten(missing)}.{near}"
            )
        return raw


def fit_columns(raw: RawColumns, *, ignored: Collection[str] = (), kept: Collection[str] = ()) -> tuple[Schema, Table]:
    """Returns the schema of columns and the table that it makes of them.

    If only identifiers are left, they are kept: a single column 1, 2, 3, ... is a feature.

    Raises:
        DataError: If no usable feature is left.
    """
    if not raw.names:
        raise DataError("Expected at least one feature column, got none.")
    ignored, kept = set(ignored), set(kept)
    guessed = tuple(
        Column(name, "ignored") if name in ignored else guess_column(raw, name, kept=name in kept) for name in raw.names
    )
    for columns in (guessed, tuple(_as_feature(raw, c) for c in guessed)):
        first = Schema(columns, raw.positional)
        table = first.table(raw)
        useless = _useless(first, table, kept if columns is guessed else set(raw.names))
        final = replace(first, columns=tuple(replace(c, kind=useless.get(c.name, c.kind)) for c in columns))
        if any(column.is_feature for column in final.columns):
            final = replace(final, columns=tuple(c if c.is_feature else Column(c.name, c.kind) for c in final.columns))
            return final, _without(table, first, useless)
    reasons = Counter(column.kind for column in final.columns)
    told = ", ".join(f"{count} {kind}" for kind, count in reasons.items())
    raise DataError(f"Expected at least one usable feature column, got {told}; add columns that vary between rows.")


def guess_column(raw: RawColumns, name: str, *, kept: bool = False) -> Column:
    """Decides what a column means from its own values; a kept one is no identifier."""
    if name in raw.number_of:
        return Column(name, "number")
    if name in raw.dates:
        return Column(name, "date")
    strings = raw.strings[name]
    values = strings.values
    if not strings.declared:
        words = [v for v in values if v.lower() != "none"]
        if _are_numbers(words):
            return Column(name, "number")
        if date_format := date_format_of(words):
            return Column(name, "date", date_format=date_format)
    kind = _kind_of_strings(strings)
    if kind == "identifier" and not kept:
        return Column(name, "identifier")
    return Column(name, "text") if kind == "text" else Column(name, "category", _levels(strings))


def _as_feature(raw: RawColumns, column: Column) -> Column:
    """Returns an identifier as the feature that it could still be."""
    return Column(column.name, "text") if column.kind == "identifier" else column


def _are_numbers(values: Sequence[str]) -> bool:
    """Tells whether all strings write numbers; "007" is a code and none."""
    return all(not np.isnan(parse_number(v)) and not re.match(r"[+-]?0\d", v) for v in values)


def _kind_of_strings(strings: Strings) -> str:
    """Tells free text and names of rows from categories.

    Both have many distinct values: at least 20, and 3 for every 10 rows. Text has several
    words per value, and words that come again in other values; names of rows are all
    different, and so are their words.
    """
    values = strings.values
    present = int((strings.codes >= 0).sum())
    if len(values) < max(_MIN_ROWS_FOR_NAMES, 0.3 * present):
        return "category"
    step = -(-len(values) // _SAMPLE)
    words = [set(re.findall(r"\w+", value.lower())) for value in values[::step]]
    counts = Counter(word for some in words for word in some)
    several = sum(map(len, words)) >= 2 * len(words)
    repeated = sum(any(counts[word] > 1 for word in some) for some in words) >= 0.3 * len(words)
    if several and repeated:
        return "text"
    return "identifier" if len(values) == present and not repeated else "category"


def _levels(strings: Strings) -> tuple[str, ...]:
    """Returns the most frequent values, in numeric or else alphabetic order."""
    counts = np.bincount(strings.codes[strings.codes >= 0], minlength=len(strings.values)).tolist()
    common = sorted(zip(counts, strings.values, strict=True), key=lambda pair: (-pair[0], pair[1]))[:MAX_LEVELS]
    numbers = {level: parse_number(level) for _, level in common}
    if any(np.isnan(number) for number in numbers.values()):
        return tuple(sorted(numbers))
    return tuple(sorted(numbers, key=lambda level: (numbers[level], level)))


def _plain_number(level: str) -> str:
    number = parse_number(level)
    return level if np.isnan(number) or level.lower() in ("true", "false") else plain_string(number)


def _numbers_block(raw: RawColumns, names: Sequence[str]) -> Array:
    """Returns ``(N, Fn)`` numbers, missing where they are not finite."""
    if len(names) == raw.numbers.shape[1] and list(raw.number_of) == list(names):
        block = raw.numbers.copy()
    else:
        block = np.empty((raw.n_rows, len(names)))
        here = [j for j, name in enumerate(names) if name in raw.number_of]
        block[:, here] = raw.numbers[:, [raw.number_of[names[j]] for j in here]]
        for j in sorted(set(range(len(names))) - set(here)):
            block[:, j] = _as_numbers(raw, names[j])
    block[~np.isfinite(block)] = np.nan
    return block


def _block(n_rows: int, columns: Sequence[Column], dtype: Any, read: Callable[[Column], Array]) -> Array:
    block = np.empty((n_rows, len(columns)), dtype)
    for j, column in enumerate(columns):
        block[:, j] = read(column)
    return block


def _spread(values: Sequence[Any], dtype: Any, strings: Strings) -> Array:
    """Returns the value of each row, given those of the distinct strings and of "missing", which is last."""
    found: Array = np.array(values, dtype)[strings.codes]
    return found


def _as_numbers(raw: RawColumns, name: str) -> Array:
    if name in raw.dates:
        return np.full(raw.n_rows, np.nan)
    strings = raw.strings[name]
    return _spread([*map(parse_number, strings.values), np.nan], float, strings)


def _as_strings(raw: RawColumns, name: str) -> Strings:
    """Returns any column as strings."""
    if name in raw.strings:
        return raw.strings[name]
    values = raw.numbers[:, raw.number_of[name]] if name in raw.number_of else raw.dates[name]
    distinct, codes = np.unique(values, return_inverse=True)
    return Strings(np.where(np.isnan(values), -1, codes), [plain_string(v) for v in distinct.tolist()])


def _as_codes(raw: RawColumns, column: Column) -> Array:
    strings = _as_strings(raw, column.name)
    code_of = column.code_of
    codes = [
        code if (code := code_of.get(v)) is not None else code_of.get(_plain_number(v), -1) for v in strings.values
    ]
    return _spread([*codes, -1], np.int32, strings)


def _as_dates(raw: RawColumns, column: Column) -> Array:
    if column.name in raw.dates:
        return raw.dates[column.name]
    if column.name not in raw.strings:
        return np.full(raw.n_rows, np.nan)
    strings = raw.strings[column.name]
    seconds = parse_dates(strings.values, column.date_format or "ISO8601")
    odd = np.isnan(seconds)
    if odd.any() and column.date_format not in ("", "ISO8601"):
        seconds[odd] = parse_dates([v for v, o in zip(strings.values, odd, strict=True) if o], "ISO8601")
    return _spread([*seconds, np.nan], float, strings)


def _as_texts(raw: RawColumns, name: str) -> Array:
    strings = _as_strings(raw, name)
    return _spread([*strings.values, ""], object, strings)


def _useless(schema: Schema, table: Table, kept: Collection[str]) -> dict[str, str]:
    """Returns the features that learners need not see, by name, with the kind that says why."""
    names = {kind: [c.name for c in schema.columns if c.kind == kind] for kind in FEATURE_KINDS}
    found: dict[str, str] = {}
    for kind, block in (("number", table.numbers), ("category", table.codes), ("date", table.dates)):
        missing = block < 0 if kind == "category" else np.isnan(block)
        empty = np.asarray(missing.all(axis=0))
        varies = np.asarray((missing | (block != block[:1])).any(axis=0))
        for j in np.flatnonzero(empty | ~varies).tolist():
            found[names[kind][j]] = "empty" if empty[j] else "constant"
        for j in _repeated(block, [c.levels for c in schema.columns if c.kind == kind]):
            found.setdefault(names[kind][j], "duplicate")
    for j in _row_numbers(table.numbers):
        if names["number"][j] not in kept and not _TIME_NAME.search(names["number"][j]):
            found.setdefault(names["number"][j], "identifier")
    for j in _unique_numbers(table.numbers, names["number"]):
        if names["number"][j] not in kept:
            found.setdefault(names["number"][j], "identifier")
    return found


_TIME_NAME: Final = re.compile(r"year|yr|date|time|month|week|day|hour|period", re.IGNORECASE)
_ID_NAME: Final = re.compile(r"(?i:(^|[\W_])(id|uuid|guid|index|row_?(id|nr|no|number)?|rownames))$|[a-z](ID|Id)$")


def _row_numbers(numbers: Array) -> list[int]:
    """Returns the columns that count rows: different whole numbers, always up or down, dense."""
    n = len(numbers)
    if n < _MIN_ROWS_FOR_NAMES:
        return []
    start = np.diff(numbers[:_MIN_ROWS_FOR_NAMES], axis=0)
    maybe = np.flatnonzero((start > 0).all(axis=0) | (start < 0).all(axis=0))
    found = []
    for j in maybe:
        steps = np.diff(numbers[:, j])
        whole = bool((numbers[:, j] == np.floor(numbers[:, j])).all())
        if whole and (bool((steps > 0).all()) or bool((steps < 0).all())) and abs(steps.sum()) < 2 * n:
            found.append(int(j))
    return found


def _unique_numbers(numbers: Array, names: Sequence[str]) -> list[int]:
    """Returns the columns that are called identifiers and hold a different whole number in each row."""
    found = []
    for j, name in enumerate(names):
        if len(numbers) >= _MIN_ROWS_FOR_NAMES and _ID_NAME.search(name):
            column = numbers[:, j]
            if (column == np.floor(column)).all() and len(np.unique(column)) == len(column):
                found.append(j)
    return found


def _repeated(block: Array, levels: Sequence[tuple[str, ...]]) -> list[int]:
    """Returns the columns that are the same as an earlier one.

    A key from a few rows tells most columns apart; only those that share one are read whole.
    """
    if block.shape[1] < 2:
        return []
    rows = np.unique(np.linspace(0, len(block) - 1, 64).astype(int))
    keys = np.ascontiguousarray(block[rows].T)
    by_key: dict[tuple[bytes, tuple[str, ...]], list[int]] = {}
    for j in range(block.shape[1]):
        by_key.setdefault((keys[j].tobytes(), levels[j]), []).append(j)
    found = []
    for alike in by_key.values():
        if len(alike) > 1:
            seen: set[int] = set()
            for j in alike:
                whole = hash(block[:, j].tobytes())
                if whole in seen:
                    found.append(j)
                seen.add(whole)
    return sorted(found)


def _without(table: Table, schema: Schema, useless: Mapping[str, str]) -> Table:
    """Returns the table without some features."""
    if not useless:
        return table
    keep = {
        kind: [j for j, c in enumerate(c for c in schema.columns if c.kind == kind) if c.name not in useless]
        for kind in FEATURE_KINDS
    }
    return Table(
        np.ascontiguousarray(table.numbers[:, keep["number"]]),
        np.ascontiguousarray(table.codes[:, keep["category"]]),
        np.ascontiguousarray(table.dates[:, keep["date"]]),
        np.ascontiguousarray(table.texts[:, keep["text"]]),
        table.levels[keep["category"]],
    )
