"""The target: which rows have one, what kind of task it makes, and its codes.

The rule for the kind, where the user names none. A target with two values is binary,
whatever its type. Strings, categories and booleans are classes. Numbers with a fractional
part are values (regression). Whole numbers are classes if there are at most 20 different
ones and at least 5 rows for each on average, values otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.columns import parse_number, shorten
from gstar.errors import DataError, UsageError
from gstar.metric import TaskKind

Array: TypeAlias = np.ndarray

MAX_INTEGER_CLASSES: Final = 20
MIN_ROWS_PER_INTEGER_CLASS: Final = 5
MAX_VALUE: Final = 1e100
_SHOWN: Final = 5


@dataclass(frozen=True, eq=False)
class Target:
    """Is a target that can be learned.

    Args:
        kind: Kind of task.
        rows: ``(S,)`` positions of the rows that have a target.
        values: ``(S,)`` int64 codes or float64 values of those rows.
        classes: The labels in the user's own type, in the order of the codes.
        notes: What the user should know.
    """

    kind: TaskKind
    rows: Array
    values: Array
    classes: tuple[Any, ...]
    notes: tuple[str, ...]


def read_target(y: Any, *, kind: TaskKind | str | None = None, name: str = "the target") -> Target:
    """Returns the rows with a target, and their codes or values.

    Args:
        y: N labels or values: any series, array or list.
        kind: A kind of task, ``"classification"``, or None to infer it by the rule above.
        name: How messages call it.

    Raises:
        DataError: If it cannot be learned from: no rows, one class, infinite values.
        UsageError: If the kind is none, or does not fit.
    """
    wanted = _checked_kind(kind)
    cells, present = _cells(y, name)
    rows = np.flatnonzero(present)
    notes = _missing_notes(present)
    if len(rows) < 2:
        raise DataError(
            f"Expected at least 2 rows with a value of {name}, got n_samples={len(rows)} of {len(cells)} rows."
        )
    cells = cells[rows]
    if cells.dtype.kind in "iuf":
        _check_finite(cells, rows, name)
    labels, codes = _classes(cells)
    if len(labels) < 2:
        raise DataError(f"Expected {name} to vary, but it has only one class or value, {labels[0]!r}, in all rows.")
    found = wanted or ("classification" if _is_category(y) else _infer(labels, len(cells), name))
    if found == "classification":
        found = "binary" if len(labels) == 2 else "multiclass"
    if found == TaskKind.REGRESSION:
        values = _as_values(cells, labels, codes, rows, name)
        if (largest := np.abs(values).max()) > MAX_VALUE:
            raise DataError(
                f"Expected numbers up to {MAX_VALUE:g} in {name}, got {largest:g}, whose square is too large; "
                "divide them by a power of ten."
            )
        return Target(TaskKind.REGRESSION, rows, values, (), tuple(notes))
    if found == TaskKind.BINARY and len(labels) != 2:
        raise UsageError(f"Expected 2 classes for a binary task, got {len(labels)}: {shorten(labels)}.")
    if alike := _alike(labels):
        notes.append(f"Classes that differ in case or spaces only are taken for different ones: {shorten(alike)}.")
    counts = np.bincount(codes)
    if single := [label for label, count in zip(labels, counts, strict=True) if count == 1]:
        notes.append(f"Classes with one row cannot be validated: {shorten(single)}.")
    return Target(TaskKind(found), rows, codes, tuple(labels), tuple(notes))


def _alike(labels: Sequence[Any]) -> list[Any]:
    """Returns the labels that are the same as another one but for case and spaces around."""
    bare = [label.strip().casefold() if isinstance(label, str) else label for label in labels]
    counts = Counter(bare)
    return [label for label, key in zip(labels, bare, strict=True) if counts[key] > 1]


def _checked_kind(kind: TaskKind | str | None) -> str | None:
    known = [*TaskKind, "classification"]
    if kind is not None and kind not in known:
        raise UsageError(f"Expected a kind of task among {[str(k) for k in known]}, got {kind!r}.")
    return kind


def _cells(y: Any, name: str) -> tuple[Array, Array]:
    """Returns the target as an array of numbers or objects, and where it is not missing."""
    import pandas as pd

    series = _series(y, name)
    kind = getattr(series.dtype, "kind", "O")
    present = ~series.isna().to_numpy(dtype=bool)
    if kind == "c":
        raise DataError(f"Complex data not supported: {name}.")
    if kind == "M":
        raise DataError(f"Expected {name} to hold classes or numbers, got dates; turn them into numbers first.")
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    elif kind == "m":
        return series.dt.total_seconds().to_numpy(dtype=float), present
    elif kind == "f":
        return series.to_numpy(dtype=float, na_value=np.nan), present
    elif kind in "iu" and present.all():
        return series.to_numpy(), present
    cells = series.to_numpy(dtype=object)
    present &= np.array([not (isinstance(c, str) and not c.strip()) for c in cells], bool)
    return _narrowed(cells, present, name), present


def _is_category(y: Any) -> bool:
    """Tells whether the user's own type says that the target holds categories."""
    import pandas as pd

    return isinstance(getattr(y, "dtype", None), pd.CategoricalDtype)


def _series(y: Any, name: str) -> Any:
    """Returns the target as a pandas series, whatever it came as."""
    import pandas as pd

    if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        y = y.iloc[:, 0]
    if isinstance(y, pd.Series):
        sparse = isinstance(y.dtype, pd.SparseDtype)
        return pd.Series(np.asarray(y.array)) if sparse else y
    if not isinstance(y, np.ndarray | list | tuple):
        import narwhals as nw

        known = nw.from_native(y, pass_through=True, allow_series=True)
        if isinstance(known, nw.Series):
            return pd.Series(known.to_list())
    array = y if isinstance(y, np.ndarray) else _object_array(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"Expected one target per row, but {name} has shape {array.shape}.")
    array = array.astype(array.dtype.newbyteorder("=")) if array.dtype.kind in "iuf" else array
    return pd.Series(array, dtype=object if array.dtype.kind in "USO" else None)


def _object_array(y: Any) -> Array:
    """Returns a list as an array whose cells keep their Python types."""
    cells = list(y)
    if cells and all(isinstance(cell, list | tuple | np.ndarray) for cell in cells):
        return np.asarray(cells)
    array = np.empty(len(cells), object)
    array[:] = cells
    return array


def _narrowed(cells: Array, present: Array, name: str) -> Array:
    """Returns objects that are all numbers as numbers, and others of several types as strings."""
    import pandas as pd

    found = pd.api.types.infer_dtype(cells[present], skipna=True)
    if found == "complex":
        raise DataError(f"Complex data not supported: {name}.")
    if found == "integer":
        if present.all():
            try:
                return cells.astype(np.int64)
            except OverflowError:
                return cells.astype(float)
        return cells
    if found in ("floating", "mixed-integer-float", "decimal"):
        numbers = np.full(len(cells), np.nan)
        numbers[present] = cells[present].astype(float)
        return numbers
    if found in ("datetime64", "datetime", "date"):
        raise DataError(f"Expected {name} to hold classes or numbers, got dates; turn them into numbers first.")
    if found in ("boolean", "string", "empty"):
        return cells
    if any(isinstance(cell, list | dict | set | tuple | np.ndarray) for cell in cells[present]):
        raise DataError(f"Expected one class or number per row, but {name} holds nested values.")
    return np.array([str(cell) if here else None for cell, here in zip(cells, present, strict=True)], object)


def _missing_notes(present: Array) -> list[str]:
    absent = np.flatnonzero(~present)
    if not len(absent):
        return []
    return [f"Left out {len(absent)} rows without a target (rows counted from 0: {_rows(absent)})."]


def _rows(rows: Array) -> str:
    return ", ".join(map(str, rows[:_SHOWN].tolist())) + (", ..." if len(rows) > _SHOWN else "")


def _check_finite(cells: Array, rows: Array, name: str) -> None:
    odd = np.flatnonzero(~np.isfinite(cells))
    if len(odd):
        raise DataError(
            f"Expected finite numbers in {name}, got {len(odd)} infinity values (rows counted from 0: "
            f"{_rows(rows[odd])}); mend or remove these rows."
        )


def _classes(cells: Array) -> tuple[list[Any], Array]:
    """Returns the distinct values in order, as Python values, and the code of each row."""
    import pandas as pd

    codes, values = pd.factorize(cells)
    labels = values.tolist()
    labels = [label.item() if isinstance(label, np.generic) else label for label in labels]
    order = sorted(range(len(labels)), key=labels.__getitem__)
    place = np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels))
    return [labels[i] for i in order], place[codes]


def _infer(labels: Sequence[Any], n: int, name: str) -> str:
    if len(labels) == 2:
        return "binary"
    if isinstance(labels[0], str):
        if len(labels) > max(MAX_INTEGER_CLASSES, n // 2):
            if all(not np.isnan(parse_number(label)) for label in labels):
                return TaskKind.REGRESSION
            raise DataError(
                f"Expected classes in {name}, but {len(labels)} of {n} values are different, as if they were names; "
                "choose another target."
            )
        return "multiclass"
    whole = all(float(label).is_integer() for label in labels[: MAX_INTEGER_CLASSES + 1])
    few = len(labels) <= MAX_INTEGER_CLASSES and n >= MIN_ROWS_PER_INTEGER_CLASS * len(labels)
    return "multiclass" if whole and few else TaskKind.REGRESSION


def _as_values(cells: Array, labels: Sequence[Any], codes: Array, rows: Array, name: str) -> Array:
    if not isinstance(labels[0], str):
        return np.asarray(cells, dtype=float)
    numbers = np.array([parse_number(label) for label in labels])
    if np.isnan(numbers).any():
        odd = [label for label, number in zip(labels, numbers, strict=True) if np.isnan(number)]
        raise DataError(f"Expected numbers in {name} for regression, got {shorten(odd)}.")
    values: Array = numbers[codes]
    _check_finite(values, rows, name)
    return values
