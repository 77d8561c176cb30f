"""How cells become `Records`, and how two `Records` become one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.experience.cells import CELL
from gstar.metric import TaskKind
from gstar.records import Records
from gstar.strategy import Strategy

Array: TypeAlias = np.ndarray

DENSE_LIMIT: Final = 4_000_000
"""Records hold at most about so many tasks x strategies (a hundred megabytes): of more
strategies, those that were tried on most tasks."""


@dataclass(frozen=True, eq=False)
class TaskCells:
    """Is what is known of one task with one metric.

    Args:
        fingerprint, family: Which task it is; a task without a family is its own.
        shape: Rows, features, classes.
        meta_features: ``(M,)``.
        cells: Packed as in `gstar.experience.cells`.
    """

    fingerprint: str
    family: str
    shape: tuple[int, int, int]
    meta_features: Array
    cells: Array


def assemble(
    kind: TaskKind, tasks: Sequence[TaskCells], strategies_of: Callable[[list[int]], Sequence[Strategy]]
) -> Records:
    """Builds the table of tasks and strategies.

    Args:
        kind: Kind of all the tasks.
        tasks: T tasks, at least one.
        strategies_of: Returns P strategies for P ids.
    """
    cells = np.frombuffer(b"".join([t.cells.data for t in tasks]), CELL)
    ids = _most_tried(cells["strategy"], max(1, DENSE_LIMIT // len(tasks)))
    size = len(tasks) * len(ids)
    row = np.repeat(np.arange(len(tasks)), [len(t.cells) for t in tasks])
    column = np.minimum(np.searchsorted(ids, cells["strategy"]), len(ids) - 1)
    at = np.where(ids[column] == cells["strategy"], row * len(ids) + column, size)

    def spread(name: str, dtype: type) -> Array:
        out: Array = np.zeros(size + 1, dtype)  # the last one takes what is left out
        out[at] = cells[name]
        return out[:size].reshape(len(tasks), len(ids))

    counts = spread("count", np.int32)
    return _frozen(
        Records(
            kind,
            tuple(t.fingerprint for t in tasks),
            tuple(t.family or t.fingerprint for t in tasks),
            np.array([t.shape for t in tasks], float).reshape(-1, 3),
            aligned([t.meta_features for t in tasks], len(tasks[-1].meta_features)),
            tuple(strategies_of(ids.tolist())),
            _mean(spread("score", float), counts),
            _mean(spread("cost", float), counts),
            counts,
            spread("failures", np.int32),
        )
    )


def _most_tried(column: Array, limit: int) -> Array:
    """Returns the sorted ids of the strategies that were tried on most tasks, at most so many."""
    ids, n_tasks = np.unique(column, return_counts=True)
    return ids if len(ids) <= limit else np.sort(ids[np.argsort(-n_tasks, kind="stable")[:limit]])


def _mean(sums: Array, counts: Array) -> Array:
    """Returns sums over counts, NaN where there is nothing, in place."""
    none = counts == 0
    np.divide(sums, counts, out=sums, where=~none)
    sums[none] = np.nan
    return sums


def aligned(vectors: Sequence[Array], length: int) -> Array:
    """Returns ``(T, M)`` meta-features from vectors of which some may have another length than M.

    Those were computed by another version of gstar: until such a task is seen again, it is taken to be an average one
    in what an earlier version did not know. What a later version knows besides is left out.
    """
    average = np.mean([v for v in vectors if len(v) == length], axis=0)
    return np.array([np.r_[v[:length], average[len(v) :]] for v in vectors], float)


def join(first: Records, second: Records) -> Records:
    """Unites two records of the same kind: all tasks, all strategies.

    Where both know a cell, its mean is weighted by the numbers of trials. For a task in both,
    shape and meta-features are those of the second, which counts as the newer one.
    """
    assert first.kind == second.kind
    if not len(first) or not len(second):
        return first if len(first) else second
    tasks, strategies = _union(first.tasks, second.tasks), _union(first.strategies, second.strategies)
    size = (len(tasks), len(strategies))
    sums = {name: np.zeros(size) for name in ("scores", "costs")}
    counts, failures = np.zeros(size, np.int32), np.zeros(size, np.int32)
    about: dict[str, tuple[str, Array, Array]] = {}
    for part in (first, second):
        at = np.ix_([tasks[t] for t in part.tasks], [strategies[s] for s in part.strategies])
        counts[at] += np.asarray(part.counts, np.int32)
        failures[at] += np.asarray(part.failures, np.int32)
        for name, summed in sums.items():
            summed[at] += np.where(part.counts > 0, getattr(part, name) * part.counts, 0.0)
        about |= {
            t: (family, shape, features)
            for t, family, shape, features in zip(
                part.tasks, part.families, part.shapes, part.meta_features, strict=True
            )
        }
    return _frozen(
        Records(
            first.kind,
            tuple(tasks),
            tuple(about[t][0] for t in tasks),
            np.array([about[t][1] for t in tasks]),
            aligned([about[t][2] for t in tasks], second.meta_features.shape[1]),
            tuple(strategies),
            _mean(sums["scores"], counts),
            _mean(sums["costs"], counts),
            counts,
            failures,
        )
    )


def _union(first: Iterable[Hashable], second: Iterable[Hashable]) -> dict[Any, int]:
    return {item: i for i, item in enumerate(dict.fromkeys([*first, *second]))}


def _frozen(records: Records) -> Records:
    """Makes the arrays read-only, since one table serves many callers."""
    for array in vars(records).values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return records
