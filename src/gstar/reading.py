"""From what a person has (a file, a frame, arrays) to a `Task`, in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.arrays import read_arrays
from gstar.columns import RawColumns, raw_columns, shorten
from gstar.errors import DataError, UsageError, did_you_mean
from gstar.files import read_frame, read_with_notes
from gstar.inputs import Images, Inputs, Sequences, Table
from gstar.metric import Metric, TaskKind, get_metric
from gstar.roles import checked_weights, groups_of, order_of, weights_of
from gstar.schema import Schema, fit_columns
from gstar.target import Target, read_target
from gstar.task import Task

__all__ = ["make_inputs", "make_task", "read_frame"]

Array: TypeAlias = np.ndarray

_SAMPLE: Final = 256
_MAX_LISTED: Final = 10_000


def make_task(
    X: Any,
    y: Any = None,
    *,
    target: str | None = None,
    name: str = "table",
    kind: TaskKind | str | None = None,
    metric: str | Metric | Callable[..., float] | None = None,
    ordered_by: str | None = None,
    group_by: str | None = None,
    weights: Any = None,
) -> Task:
    """Returns a task from a file, a frame or arrays; they are never changed.

    Args:
        X: A path, a frame (pandas, polars, Arrow, ...), a 2-D array or a list of rows; for
            images a ``(N, C, H, W)`` array; for sequences ``(N, T, D)`` or a list of
            ``(T_i, D)`` arrays.
        y: The target, one per row, or the name of its column.
        target: The name of the target's column, instead of `y`.
        name: What a person calls the task; the file's name if X is a path.
        kind: Kind of task, or ``"classification"``; inferred if None (see `gstar.target`).
        metric: As for `gstar.metric.get_metric`.
        ordered_by: Column by which rows are ordered in time; later rows validate. It stays a
            feature if it is a number or a date.
        group_by: Column whose values never straddle a split; it is no feature.
        weights: Non-negative row weights, or the name of their column, which is no feature.

    Raises:
        DataError: If there is nothing to learn from, in one line that says what to do.
        UsageError: If arguments do not fit together.

    Example:
        >>> task = make_task({"age": [31, 45, 27, 52], "churn": ["no", "yes", "no", "yes"]}, target="churn")
        >>> task.kind.value, task.classes, task.target.tolist()
        ('binary', ('no', 'yes'), [0, 1, 0, 1])
    """
    notes: tuple[str, ...] = ()
    if isinstance(X, str | os.PathLike):
        name = Path(X).name.split(".")[0] if name == "table" else name
        X, notes = read_with_notes(X)
    if isinstance(y, str) and target is None:
        y, target = None, y
    if (arrays := read_arrays(X)) is not None:
        _refuse_columns(arrays, target, ordered_by, group_by)
        return _array_task(arrays, y, name=name, kind=kind, metric=metric, weights=weights)
    raw = raw_columns(X)
    _check_names(raw, y, target, {"order": ordered_by, "group": group_by, "weight": weights})
    if target is not None:
        y = _column(X, raw, target)
        raw = raw.without(target)
    _check_length(y, raw.n_rows)
    goal = read_target(y, kind=kind, name="the target" if target is None else f"column {target!r}")
    given = weights_of(raw, weights)
    if len(goal.rows) < raw.n_rows:
        raw = raw.take(goal.rows)
        given = None if given is None else given[goal.rows]
    order, order_is_feature = (None, False) if ordered_by is None else order_of(raw, ordered_by)
    parts = (group_by, None if order_is_feature else ordered_by, weights)
    ignored = [column for column in parts if isinstance(column, str)]
    schema, table = fit_columns(raw, ignored=ignored, kept=[ordered_by] if order_is_feature and ordered_by else [])
    told = (*notes, *raw.notes, *goal.notes, *_infinity_notes(raw), *schema.notes(), *_copy_notes(schema, table, goal))
    return Task(
        name=name,
        kind=goal.kind,
        metric=get_metric(metric, goal.kind),
        inputs=table,
        target=goal.values,
        classes=goal.classes,
        weights=given,
        order=order,
        groups=None if group_by is None else groups_of(raw, group_by),
        schema=schema.to_json(),
        notes=told,
    )


def make_inputs(X: Any, *, form: str = "table", schema: Mapping[str, Any] | None = None) -> Inputs:
    """Returns new rows in the form of a task's inputs, for prediction.

    Args:
        X: As for `make_task`.
        form: `Task.form`.
        schema: `Task.schema`, for a table.

    Raises:
        DataError: If the rows do not have that form.
    """
    if form == "table":
        frame = read_frame(X) if isinstance(X, str | os.PathLike) else X
        return Schema.from_json(schema or {"positional": False, "columns": []}).apply(frame)
    inputs = read_arrays(X)
    wanted: type[Images] | type[Sequences] = Images if form == "images" else Sequences
    if not isinstance(inputs, wanted):
        shape = "an array (N, C, H, W)" if form == "images" else "an array (N, T, D) or a list of (T, D) arrays"
        raise DataError(f"Expected {form} as {shape}, got {type(X).__name__} of shape {getattr(X, 'shape', None)}.")
    return inputs


def _array_task(
    inputs: Images | Sequences,
    y: Any,
    *,
    name: str,
    kind: TaskKind | str | None,
    metric: str | Metric | Callable[..., float] | None,
    weights: Any,
) -> Task:
    if y is None:
        raise UsageError("Expected the target of each row in y, got none.")
    _check_length(y, len(inputs))
    goal = read_target(y, kind=kind)
    return Task(
        name=name,
        kind=goal.kind,
        metric=get_metric(metric, goal.kind),
        inputs=inputs.take(goal.rows),
        target=goal.values,
        classes=goal.classes,
        weights=None if weights is None else checked_weights(weights, len(inputs))[goal.rows],
        notes=goal.notes,
    )


def _refuse_columns(arrays: Images | Sequences, *columns: str | None) -> None:
    named = [column for column in columns if column is not None]
    if named:
        raise UsageError(f"{type(arrays).__name__} have no columns, so {shorten(named)} cannot be one; pass y.")


def _check_names(raw: RawColumns, y: Any, target: str | None, roles: Mapping[str, Any]) -> None:
    """Raises unless the target is given once, and each column that is named is there."""
    if y is not None and target is not None:
        raise UsageError("Expected the target once, got both y and the name of a column.")
    if y is None and target is None:
        raise UsageError(f"Expected y or the name of the target's column, one of {shorten(raw.names, 10)}.")
    for role, column in {"target": target, **roles}.items():
        if isinstance(column, str) and column not in raw.names:
            near = did_you_mean(column, raw.names[:_MAX_LISTED])
            raise DataError(f"No column {column!r} for the {role}; there are {shorten(raw.names, 10)}.{near}")


def _check_length(y: Any, n_rows: int) -> None:
    found = len(y) if hasattr(y, "__len__") else np.size(y)
    if found != n_rows:
        raise DataError(
            f"Expected one target per row, got {n_rows} rows and {found} targets (inconsistent numbers of samples)."
        )


def _column(X: Any, raw: RawColumns, name: str) -> Any:
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


def _infinity_notes(raw: RawColumns) -> list[str]:
    counts = np.isinf(raw.numbers).sum(axis=0)
    if not counts.any():
        return []
    names = [name for name, j in raw.number_of.items() if counts[j]]
    return [f"Took {counts.sum()} infinite values as missing in {shorten(names)}."]


def _copy_notes(schema: Schema, table: Table, goal: Target) -> list[str]:
    """Warns of features that tell the target exactly."""
    names = {kind: [c.name for c in schema.columns if c.kind == kind] for kind in ("number", "category")}
    found = [names["number"][j] for j in _copies(table.numbers, goal)]
    found += [names["category"][j] for j in _copies(table.codes, goal)]
    if not found:
        return []
    return [f"Warning: {shorten(found)} tells the target exactly; leave it out if it is not known when predicting."]


def _copies(block: Array, goal: Target) -> list[int]:
    """Returns the columns that equal the target, or that stand for its classes one to one."""
    rows = np.unique(np.linspace(0, len(block) - 1, _SAMPLE).astype(int))
    if goal.kind is TaskKind.REGRESSION:
        maybe = np.flatnonzero((block[rows] == goal.values[rows, None]).all(axis=0))
        return [int(j) for j in maybe if np.array_equal(block[:, j], goal.values)]
    sample, codes = block[rows], goal.values[rows]
    same = np.ones(block.shape[1], bool)
    for code in np.unique(codes):
        inside = sample[codes == code]
        same &= (inside == inside[:1]).all(axis=0)
    return [int(j) for j in np.flatnonzero(same) if _is_one_to_one(block[:, j], goal.values)]


def _is_one_to_one(column: Array, codes: Array) -> bool:
    distinct, values = np.unique(column, return_inverse=True)
    pairs = np.unique(values * (codes.max() + 1) + codes)
    return len(distinct) == len(pairs) == int(codes.max()) + 1
