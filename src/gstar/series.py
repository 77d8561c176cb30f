"""Long tables to sequences: one row per sequence and time, one column per channel."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from gstar.arrays import ArraySchema, Rows, pad
from gstar.columns import RawColumns, plain_string, shorten
from gstar.errors import DataError, did_you_mean
from gstar.roles import order_of
from gstar.schema import Column, Schema, guess_column

Array: TypeAlias = np.ndarray


def fit_series(
    raw: RawColumns, schema: ArraySchema, *, labels: Any, title: str, ignored: Collection[str] = ()
) -> tuple[Rows, RawColumns]:
    """Returns the sequences of a long table with their target, and the columns at the last step of each.

    Args:
        raw: R rows, one per sequence and time.
        schema: Names the columns of sequences and, perhaps, of time.
        labels: R values of the target; the same in all rows of a sequence where they are not missing.
        title: Name of the target's column.
        ignored: Further columns that are no channels.

    Raises:
        DataError: If no column is a channel, or a sequence has several targets.
    """
    apart = {schema.sequence_id, schema.time, title, *ignored}
    others = [name for name in raw.names if name not in apart]
    channels = tuple(name for name in others if guess_column(raw, name, kept=True).kind == "number")
    if not channels:
        raise DataError(f"Expected at least one column of numbers beside {shorten(apart - {''})}, got none.")
    used = ArraySchema(sequence_id=schema.sequence_id, time=schema.time, channels=channels)
    rows, kept, codes = _sequences(raw, used)
    notes = [*rows.notes]
    if left := [name for name in others if name not in channels]:
        notes.append(f"Left out {len(left)} columns that hold no numbers: {shorten(left)}.")
    target = _constant(list(labels), kept, codes, rows.names, title)
    ends = kept[np.cumsum(np.bincount(codes)) - 1]
    return replace(rows, target=target, notes=tuple(notes)), raw.take(ends)


def apply_series(raw: RawColumns, schema: ArraySchema, *, labels: Any = None, title: str = "") -> Rows:
    """Returns the sequences of a new long table, with the channels of the one at fit.

    Args:
        raw: R rows, one per sequence and time.
        schema: As at fit.
        labels: As for `fit_series`, or None.
        title: As for `fit_series`.

    Raises:
        DataError: If a column is missing.
    """
    rows, kept, codes = _sequences(raw, schema)
    return rows if labels is None else replace(rows, target=_constant(list(labels), kept, codes, rows.names, title))


def _sequences(raw: RawColumns, schema: ArraySchema) -> tuple[Rows, Array, Array]:
    """Returns the sequences, the rows they are made of, in order, and the sequence of each of these."""
    needed = [name for name in (schema.sequence_id, schema.time, *schema.channels) if name]
    if missing := [name for name in needed if name not in raw.names]:
        near = did_you_mean(missing[0], raw.names)
        raise DataError(f"Expected the columns {shorten(needed, 10)}, but {shorten(missing)} are missing.{near}")
    codes, names = _codes(raw, schema.sequence_id)
    times = order_of(raw, schema.time)[0] if schema.time else np.zeros(raw.n_rows)
    kept = np.lexsort((times, codes))  # stable: rows of one time stay in their order
    kept = kept[(codes[kept] >= 0) & np.isfinite(times[kept])]
    if not len(kept):
        raise DataError(f"Expected rows with a value in {shorten(needed[:2])}, got none.")
    present, codes = np.unique(codes[kept], return_inverse=True)
    table = Schema(tuple(Column(name, "number") for name in schema.channels)).table(raw)
    inputs = pad(table.numbers[kept], np.bincount(codes))
    notes = []
    if lost := raw.n_rows - len(kept):
        notes.append(f"Left out {lost} rows without a value in {shorten(needed[: 1 + bool(schema.time)])}.")
    if schema.time and (twice := int(((np.diff(times[kept]) == 0) & (np.diff(codes) == 0)).sum())):
        notes.append(f"{twice} rows have the same {schema.time!r} as the one before in their sequence.")
    called = tuple(names[code] for code in present)
    return Rows(inputs, schema, names=called, title=schema.sequence_id, notes=tuple(notes)), kept, codes


def _codes(raw: RawColumns, name: str) -> tuple[Array, Sequence[str]]:
    """Returns ``(R,)`` the sequence of each row, numbered as they first appear, -1 if none; and their names."""
    if name in raw.strings:
        return raw.strings[name].codes, raw.strings[name].values
    values = raw.numbers[:, raw.number_of[name]] if name in raw.number_of else raw.dates[name]
    distinct, first, codes = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    if name in raw.dates:
        names = np.datetime_as_string(distinct[order].astype("datetime64[s]")).tolist()
    else:
        names = [plain_string(value) for value in distinct[order].tolist()]
    return np.where(np.isnan(values), -1, place[codes]), names


def _constant(labels: list[Any], kept: Array, codes: Array, names: Sequence[str], title: str) -> list[Any]:
    """Returns the one label of each sequence, None where it has none."""
    import pandas as pd

    values, distinct = pd.factorize(pd.Series(labels, dtype=object).iloc[kept])
    there = values >= 0
    found = np.full(len(names), -1)
    found[codes[there][::-1]] = values[there][::-1]
    odd = np.unique(codes[there & (values != found[codes])])
    if len(odd):
        raise DataError(
            f"Expected one value of {title!r} per sequence, but {len(odd)} of {len(names)} sequences have several "
            f"(first: {names[odd[0]]!r})."
        )
    known = [*distinct, None]
    return [known[code] for code in found.tolist()]
