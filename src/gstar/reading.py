"""From what a person has (a file, a frame, arrays) to a `Task`, in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.arrays import ArraySchema, Rows, check_form
from gstar.columns import RawColumns, raw_columns, shorten
from gstar.errors import DataError, UsageError, did_you_mean
from gstar.files import read_frame, read_with_notes
from gstar.images import check_size
from gstar.inputs import Inputs, Table
from gstar.metric import METRICS, Metric, TaskKind, get_metric
from gstar.roles import checked_weights, column_of, groups_of, order_of, weights_of
from gstar.schema import Schema, fit_columns
from gstar.series import fit_series
from gstar.sources import fit_rows, new_rows, target_of_table
from gstar.target import Target, read_target
from gstar.task import Task

__all__ = ["make_inputs", "make_task", "read_frame"]

Array: TypeAlias = np.ndarray

_SAMPLE: Final = 256
_MAX_LISTED: Final = 10_000
_MIN_ROWS_TO_WARN: Final = 10


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
    form: str | None = None,
    image_size: int | None = None,
    sequence_id: str | None = None,
    time: str | None = None,
) -> Task:
    """Returns a task from a file, a folder, a frame or arrays; they are never changed.

    Args:
        X: The path of a file, or of a folder with a sub-folder of images per class; a frame
            (pandas, polars, Arrow, ...), a 2-D array or a list of rows; images and sequences
            as for `gstar.arrays.read_arrays`.
        y: The target, one per row, or the name of its column.
        target: The name of the target's column, instead of `y`.
        name: What a person calls the task; the file's name if X is a path.
        kind: Kind of task, or ``"classification"``; inferred if None (see `gstar.target`).
        metric: As for `gstar.metric.get_metric`.
        ordered_by: Column by which rows are ordered in time; later rows validate. It stays a
            feature if it is a number or a date.
        group_by: Column whose values never straddle a split; it is no feature.
        weights: Non-negative row weights, or the name of their column, which is no feature.
        form: ``"table"``, ``"images"`` or ``"sequences"``, where the shape of arrays leaves a doubt.
        image_size: The longer side of images in pixels; None: see `gstar.images.read_classes`.
        sequence_id: Column that names the sequence of each row: then rows are steps.
        time: Column that orders the steps of a sequence; None: they are in order.

    Raises:
        DataError: If there is nothing to learn from, in one line that says what to do.
        UsageError: If arguments do not fit together.

    Example:
        >>> task = make_task({"age": [31, 45, 27, 52], "churn": ["no", "yes", "no", "yes"]}, target="churn")
        >>> task.kind.value, task.classes, task.target.tolist()
        ('binary', ('no', 'yes'), [0, 1, 0, 1])
    """
    check_form(form)
    check_size(image_size)
    is_path = isinstance(X, str | os.PathLike)
    if is_path and name == "table":
        name = Path(X).resolve().name.split(".")[0]
    if isinstance(y, str) and target is None:
        y, target = None, y
    said = _Said(name, kind, metric, ordered_by, group_by, weights)
    rows = fit_rows(X, target=target, form=form, image_size=image_size, labelled=y is None)
    if rows is not None:
        _refuse_columns(rows.inputs, None if is_path else target, ordered_by, group_by, sequence_id, time)
        return _rows_task(rows, rows.target if y is None else y, said)
    _check_wanted(form, image_size, sequence_id, time)
    notes: tuple[str, ...] = ()
    if is_path:
        target = target_of_table(Path(X)) if y is None and target is None else target
        X, notes = read_with_notes(X)
    raw = raw_columns(X)
    raw = replace(raw, notes=(*notes, *raw.notes))
    roles = {"order": ordered_by, "group": group_by, "weight": weights, "sequence": sequence_id, "time": time}
    _check_names(raw, y, target, roles)
    if target is not None:
        y = column_of(X, raw, target)
        y = _whole_again(y) if is_path else y
        raw = raw if sequence_id is not None else raw.without(target)
    if sequence_id is None:
        return _table_task(raw, y, "the target" if target is None else f"column {target!r}", said)
    if target is None:
        raise UsageError("Expected the name of the target's column, as steps make sequences, got y.")
    return _series_task(raw, y, target, ArraySchema(sequence_id=sequence_id, time=time or ""), said)


@dataclass(frozen=True, eq=False)
class _Said:
    """Is what the user said about a task besides its rows; see `make_task`."""

    name: str
    kind: TaskKind | str | None
    metric: str | Metric | Callable[..., float] | None
    ordered_by: str | None
    group_by: str | None
    weights: Any

    @property
    def columns(self) -> list[str]:
        """The columns that play a part."""
        return [column for column in (self.ordered_by, self.group_by, self.weights) if isinstance(column, str)]


def _whole_again(column: Any) -> Any:
    """Returns whole numbers of a file as such: a gap had made them floats, and classes 0 and 1 to 0.0 and 1.0."""
    has_gaps = column.dtype.kind == "f" and column.isna().any()
    present = column.dropna()
    fits = has_gaps and bool(np.isfinite(present).all()) and bool((present.abs() < 2**53).all())
    return column.astype("Int64") if fits and bool((present == present.round()).all()) else column


def _goal(y: Any, said: _Said, title: str) -> Target:
    """Returns the target; whole numbers are values, few as they may be, if the metric is one of values."""
    goal = read_target(y, kind=said.kind, name=title)
    metric = METRICS.get(said.metric) if isinstance(said.metric, str) else None
    of_values = metric is not None and metric.kinds == {TaskKind.REGRESSION}
    if of_values and said.kind is None and goal.classes and all(type(label) in (int, float) for label in goal.classes):
        return read_target(y, kind=TaskKind.REGRESSION, name=title)
    return goal


def _table_task(raw: RawColumns, y: Any, title: str, said: _Said) -> Task:
    _check_length(y, raw.n_rows)
    goal = _goal(y, said, title)
    given = weights_of(raw, said.weights)
    if len(goal.rows) < raw.n_rows:
        raw = raw.take(goal.rows)
        given = None if given is None else given[goal.rows]
    order, order_is_feature = (None, False) if said.ordered_by is None else order_of(raw, said.ordered_by)
    kept = [said.ordered_by] if order_is_feature and said.ordered_by else []
    schema, table = fit_columns(raw, ignored=[c for c in said.columns if c not in kept], kept=kept)
    told = (*raw.notes, *goal.notes, *_infinity_notes(raw), *schema.notes(), *_copy_notes(schema, table, goal))
    return Task(
        name=said.name,
        kind=goal.kind,
        metric=get_metric(said.metric, goal.kind),
        inputs=table,
        target=goal.values,
        classes=goal.classes,
        weights=given,
        order=order,
        groups=None if said.group_by is None else groups_of(raw, said.group_by),
        schema=schema.to_json(),
        notes=told,
    )


def _rows_task(rows: Rows, y: Any, said: _Said, title: str = "the target") -> Task:
    if y is None:
        raise UsageError("Expected the target of each row in y, got none.")
    _check_length(y, len(rows.inputs))
    goal = _goal(y, said, title)
    return Task(
        name=said.name,
        kind=goal.kind,
        metric=get_metric(said.metric, goal.kind),
        inputs=rows.inputs.take(goal.rows),
        target=goal.values,
        classes=goal.classes,
        weights=None if said.weights is None else checked_weights(said.weights, len(rows.inputs))[goal.rows],
        schema=rows.schema.to_json(),
        notes=(*rows.notes, *goal.notes),
    )


def _series_task(raw: RawColumns, labels: Any, target: str, schema: ArraySchema, said: _Said) -> Task:
    """Returns a task whose rows are sequences; what a column says of one is its value at the last step."""
    rows, ends = fit_series(raw, schema, labels=labels, title=target, ignored=said.columns)
    rows = replace(rows, notes=(*raw.notes, *rows.notes))
    task = _rows_task(rows, rows.target, replace(said, weights=weights_of(ends, said.weights)), f"column {target!r}")
    kept = _goal(rows.target, said, f"column {target!r}").rows
    order = None if said.ordered_by is None else order_of(ends, said.ordered_by)[0][kept]
    groups = None if said.group_by is None else groups_of(ends, said.group_by)[kept]
    return replace(task, order=order, groups=groups)


def make_inputs(
    X: Any, *, form: str = "table", schema: Mapping[str, Any] | None = None, shape: tuple[int, ...] = ()
) -> Inputs:
    """Returns new rows in the form of a task's inputs, for prediction.

    Args:
        X: As for `make_task`; new images may also be one file, or lie in a folder as they like.
        form: `Task.form`.
        schema: `Task.schema`.
        shape: ``(C, H, W)`` or ``(D,)`` at fit, for images and sequences. Empty: any.

    Raises:
        DataError: If the rows do not have that form.
    """
    if form != "table":
        return new_rows(X, form=form, schema=schema or {}, shape=shape).inputs
    frame = read_frame(X) if isinstance(X, str | os.PathLike) else X
    return Schema.from_json(schema or {"positional": False, "columns": []}).apply(frame)


def _refuse_columns(inputs: Inputs, *columns: str | None) -> None:
    named = [column for column in columns if column is not None]
    if named:
        raise UsageError(f"{type(inputs).__name__} have no columns, so {shorten(named)} cannot be one; pass y.")


def _check_wanted(form: str | None, image_size: int | None, sequence_id: str | None, time: str | None) -> None:
    """Raises unless what was said about images and sequences fits a table."""
    if image_size is not None or form == "images":
        raise UsageError("Expected images: a folder with a sub-folder per class, an .npz file or arrays; got a table.")
    if form == "sequences" and sequence_id is None:
        raise UsageError("Expected the column that names the sequence of each row (--sequence-id); or say form table.")
    if sequence_id is not None and form == "table":
        raise UsageError(f"Expected form sequences with the column {sequence_id!r} of sequences, got form table.")
    if time is not None and sequence_id is None:
        raise UsageError(f"Expected the column that names the sequence of each row beside that of time, {time!r}.")


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


def _infinity_notes(raw: RawColumns) -> list[str]:
    counts = np.isinf(raw.numbers).sum(axis=0)
    if not counts.any():
        return []
    names = [name for name, j in raw.number_of.items() if counts[j]]
    return [f"Took {counts.sum()} infinite values as missing in {shorten(names)}."]


def _copy_notes(schema: Schema, table: Table, goal: Target) -> list[str]:
    """Warns of features that tell the target exactly, unless so few rows may agree by chance."""
    if len(table) < _MIN_ROWS_TO_WARN:
        return []
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
