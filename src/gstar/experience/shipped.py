"""Experience in one small file: what was learned on public tables and comes with the package.

Lines of JSON, compressed: a header, the strategies, then one line per task and metric with
its cells ``[strategy, completed, others, mean score, mean seconds]``. No row of data, no run.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gstar.errors import StorageError, UsageError
from gstar.experience import rows
from gstar.experience.cells import CELL
from gstar.experience.knowledge import TaskCells, assemble
from gstar.experience.transfer import read_lines, write_lines
from gstar.metric import DEFAULT_METRIC, METRICS, TaskKind
from gstar.records import Records
from gstar.strategy import Strategy

if TYPE_CHECKING:
    from gstar.experience.experience import Experience

HOME: Final = Path(__file__).parents[1] / "shipped" / "experience.jsonl.gz"
"""Where the shipped experience lies, if there is any."""
FORMAT: Final = "gstar-experience"
VERSION: Final = 1


def write_shipped(experience: Experience, path: str | Path) -> None:
    """Writes what an experience knows of each kind of task and metric into one small file."""
    write_lines(Path(path), _lines(experience))


def _lines(experience: Experience) -> Iterator[dict[str, Any]]:
    yield {"format": FORMAT, "version": VERSION}
    known: dict[Strategy, int] = {}
    for kind in TaskKind:
        for metric in (name for name, m in METRICS.items() if kind in m.kinds):
            records = experience.records(kind, metric)
            for strategy in records.strategies:
                if strategy not in known:
                    known[strategy] = len(known)
                    yield {"strategy": strategy.to_json()}
            ids = [known[strategy] for strategy in records.strategies]
            for i, task in enumerate(records.tasks):
                yield _task_line(records, i, ids) | {"task": task, "kind": str(kind), "metric": metric}


def _task_line(records: Records, i: int, ids: list[int]) -> dict[str, Any]:
    tried = np.flatnonzero(records.counts[i] + records.failures[i])
    return {
        "family": records.families[i],
        "shape": [int(n) for n in records.shapes[i]],
        "meta_features": [float(f"{x:.7g}") for x in records.meta_features[i]],
        "cells": [
            [ids[p], int(records.counts[i, p]), int(records.failures[i, p])]
            + [None if np.isnan(x) else float(f"{x:.7g}") for x in (records.scores[i, p], records.costs[i, p])]
            for p in tried
        ],
    }


def read_shipped(path: str | Path, metric: str | None = None) -> dict[TaskKind, Records]:
    """Reads the file that `write_shipped` wrote.

    Args:
        path: The file.
        metric: Records with this metric; None, and for kinds that have none with it: with the
            default metric of the kind.

    Raises:
        StorageError: If it cannot be read or is something else.
    """
    return {
        kind: by_metric[metric if metric in by_metric else DEFAULT_METRIC[kind]]
        for kind, by_metric in _read(Path(path)).items()
        if metric in by_metric or DEFAULT_METRIC[kind] in by_metric
    }


@lru_cache(maxsize=4)
def _read(path: Path) -> dict[TaskKind, dict[str, Records]]:
    lines = read_lines(path)
    head = next(lines, {})
    if head.get("format") != FORMAT or head.get("version") != VERSION:
        raise StorageError(f"Expected {path} to be {FORMAT} version {VERSION}, got {head!r:.80}. Update gstar.")
    strategies: list[Strategy] = []
    tasks: dict[tuple[TaskKind, str], list[TaskCells]] = {}
    try:
        for line in lines:
            if "strategy" in line:
                strategies.append(Strategy.from_json(line["strategy"]))
            else:
                tasks.setdefault((TaskKind(line["kind"]), str(line["metric"])), []).append(_task(line))
        found: dict[TaskKind, dict[str, Records]] = {}
        for (kind, metric), some in tasks.items():
            records = assemble(kind, some, lambda ids: [strategies[i] for i in ids])
            found.setdefault(kind, {})[metric] = records
    except (KeyError, IndexError, TypeError, ValueError, UsageError) as error:
        raise StorageError(f"{path} is damaged: {error!r}. Install gstar again.") from error
    return found


def _task(line: dict[str, Any]) -> TaskCells:
    n_rows, n_features, n_classes = (rows.integer(n, "shape", low=0) for n in line["shape"])
    cells = np.array([(p, n, others, n * (s or 0.0), n * (c or 0.0)) for p, n, others, s, c in line["cells"]], CELL)
    features = np.array([rows.number(x, "meta-feature") for x in line["meta_features"]])
    return TaskCells(str(line["task"]), str(line["family"]), (n_rows, n_features, n_classes), features, cells)
