"""Fills experience on purpose: the same strategies on many tasks, so that policies can compare.

This is how the experience that ships with the package is made, and how a team turns its old
tables into a warm start. It can be stopped at any time and goes on where it stood: what is
already remembered of a task is not tried again.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from gstar.errors import DataError
from gstar.executors import Limits, ProcessExecutor
from gstar.experience import Experience
from gstar.inner import end_inner, share, start_inner
from gstar.learner import AbstractLearner
from gstar.machine import cores
from gstar.metafeatures import compute
from gstar.metric import TaskKind
from gstar.policies.candidates import make_strategy
from gstar.reading import make_task
from gstar.space import Scalar
from gstar.strategy import Strategy
from gstar.task import Task
from gstar.trial import Proposal, Trial
from gstar.validation import plan_folds

ROUND: Final = 8
"""Strategies that are tried on every task before the next ones are begun."""
VALIDATION_FRACTION: Final = 0.3


@dataclass(frozen=True)
class TaskFile:
    """Is one line of a folder's ``manifest.csv``.

    Args:
        name: What a person calls the task.
        path: The file with its rows.
        target: Name of the target column.
        family: Tasks of one family are never on two sides of a split.
        kind: Kind of task.
    """

    name: str
    path: Path
    target: str
    family: str
    kind: TaskKind


COLUMNS: Final = ("name", "file", "target", "task")
"""Of a manifest; there may be a family too."""


def read_manifest(folder: Path) -> list[TaskFile]:
    """Reads ``manifest.csv``: columns name, file, target, task, and perhaps family.

    Raises:
        DataError: If the manifest is missing or lacks a value, or a table is missing.
    """
    manifest = folder / "manifest.csv"
    try:
        with manifest.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise DataError(
            f"Cannot read {manifest}: {cause}. It lists the tables, in columns {', '.join(COLUMNS)}."
        ) from error
    if missing := [name for name in COLUMNS if any(not row.get(name) for row in rows)]:
        raise DataError(
            f"Expected {manifest} with a value for {', '.join(COLUMNS)} in every line, got none for {missing}."
        )
    return [_task_file(folder, row) for row in rows]


def _task_file(folder: Path, row: Mapping[str, str]) -> TaskFile:
    """Returns what a line of the manifest stands for."""
    places = (folder / row["file"], folder / "tasks" / row["file"])
    place = next((place for place in places if place.exists()), None)
    if place is None:
        raise DataError(f"There is no {places[0]}, which the manifest names for {row['name']!r}.")
    if row["task"] not in list(TaskKind):
        raise DataError(f"Expected one of {[str(kind) for kind in TaskKind]} for {row['name']!r}, got {row['task']!r}.")
    return TaskFile(row["name"], place, row["target"], row.get("family") or row["name"], TaskKind(row["task"]))


CONTRASTS: Final[tuple[tuple[str, Mapping[str, Scalar]], ...]] = (
    ("lightgbm", {}),
    ("catboost", {}),
    ("extra_trees", {}),
    ("linear", {}),
    ("xgboost", {}),
    ("random_forest", {}),
    ("kernel_ridge", {}),
    ("kernel", {}),
    ("linear", {"numbers": "quantile"}),
    ("lightgbm", {"extra": True, "rate": 0.1}),
    ("catboost", {"rate": 0.15, "depth": 4}),
    ("extra_trees", {"max_features": 1.0}),
    ("neighbors", {}),
    ("kernel_ridge", {"kernel": "linear"}),
    ("xgboost", {"depth": 3, "rate": 0.15}),
    ("random_forest", {"max_features": "sqrt", "min_leaf": 1}),
    ("kernel", {"reach": 2.5, "strength": 1e-4}),
    ("linear", {"numbers": "standard", "categories": "target"}),
    ("lightgbm", {"leaves": 8, "rate": 0.1, "min_leaf": 5}),
    ("catboost", {"rate": 0.04, "l2": 8.0}),
    ("xgboost", {"depth": 8, "rate": 0.03, "min_child": 5.0, "feature_share": 0.5}),
    ("lightgbm", {"leaves": 64, "rate": 0.03, "feature_share": 0.4, "min_leaf": 20}),
    ("catboost", {"categories": "onehot", "rate": 0.06, "depth": 7}),
    ("kernel_ridge", {"kernel": "gaussian"}),
    ("xgboost", {"rate": 0.3, "depth": 6}),
    ("lightgbm", {"rate": 0.25}),
    ("linear", {"strength": 0.1}),
    ("extra_trees", {"min_leaf": 5, "categories": "target"}),
    ("neighbors", {"neighbors": 40, "numbers": "standard", "distance": 2}),
    ("linear", {"numbers": "quantile", "strength": 1.0}),
    ("random_forest", {"max_features": 1.0, "min_leaf": 5, "categories": "target"}),
    ("kernel", {"reach": 0.5, "strength": 0.01, "numbers": "standard"}),
    ("lightgbm", {"categories": "target", "row_share": 0.7, "l2": 10.0}),
    ("extra_trees", {"max_features": "sqrt", "min_leaf": 1, "trees": 250}),
    ("linear", {"strength": 0.001, "categories": "target"}),
    ("xgboost", {"rate": 0.03, "depth": 6, "row_share": 0.6, "l2": 5.0}),
    ("catboost", {"noise": 4.0, "feature_share": 0.5, "depth": 5}),
)
"""What to try on every task: the learners' defaults first, then what differs from them on purpose."""


def strategies_to_try(learners: Mapping[str, AbstractLearner]) -> list[Strategy]:
    """Returns the `CONTRASTS` of the learners at hand, each once."""
    made = [make_strategy(name, learners[name], changes) for name, changes in CONTRASTS if name in learners]
    return list(dict.fromkeys(made))


def collect(
    files: Sequence[TaskFile],
    strategies: Mapping[TaskKind, Sequence[Strategy]],
    experience: Experience,
    *,
    budget_s: float,
    trial_s: float = 15.0,
    max_rows: int = 4000,
    workers: int | None = None,
    seed: int = 0,
    report: Callable[[str], None] = lambda _: None,
) -> int:
    """Tries strategies on tasks until all are done or the budget is over.

    Args:
        files: The tasks.
        strategies: What to try, by kind of task.
        experience: Where trials are kept.
        budget_s: Seconds for all of it.
        trial_s: Seconds for one training.
        max_rows: Longer tables are cut to a random part of this many rows.
        workers: Trainings side by side; None: one per core.
        seed: Seed of everything random.
        report: Is told one line per task and round.

    Returns:
        How many trials were made.
    """
    end = time.monotonic() + budget_s
    made = 0
    loaded: dict[str, Task] = {}
    with ProcessExecutor(workers or cores()) as executor:
        for first in range(0, max(map(len, strategies.values()), default=0), ROUND):
            for file in files:
                if time.monotonic() > end:
                    return made
                if file.name not in loaded:
                    loaded[file.name] = _load(file, max_rows, seed)
                task = loaded[file.name]
                done = {t.strategy for t in experience.history(task.fingerprint, task.metric.name)}
                todo = [s for s in strategies.get(task.kind, ())[first : first + ROUND] if s not in done]
                if todo:
                    experience.add_task(task, compute(task), family=file.family)
                    run = experience.start_run(task.fingerprint, {"collect": first, "seed": seed})
                    begin = time.monotonic()
                    experience.append(_try(task, todo, executor, trial_s=trial_s, seed=seed, run=run))
                    seconds = time.monotonic() - begin
                    experience.finish_run(run, status="completed", score=None, seconds=seconds, summary={})
                    made += len(todo)
                    report(f"{file.name}: {len(todo)} strategies from {first}, {end - time.monotonic():.0f} s left")
    return made


def _load(file: TaskFile, max_rows: int, seed: int) -> Task:
    task = make_task(file.path, target=file.target, name=file.name, kind=file.kind)
    if len(task) <= max_rows:
        return task
    train_rows, _ = plan_folds(task, folds=1, fraction=1 - max_rows / len(task), seed=seed)[0]
    return task.take(np.sort(train_rows))


def _try(
    task: Task, strategies: Sequence[Strategy], executor: ProcessExecutor, *, trial_s: float, seed: int, run: str
) -> list[Trial]:
    """Tries strategies on one task, side by side, all on the same hold-out rows."""
    folds = plan_folds(task, folds=1, fraction=VALIDATION_FRACTION, seed=seed)
    with tempfile.TemporaryDirectory(prefix="gstar-collect-") as name:
        data = Path(name) / "data"
        data.mkdir()
        share(task, folds, data)
        started = [
            start_inner(
                executor,
                data,
                Path(name) / "trials",
                Proposal(strategy, 0.0, "collect"),
                number=number,
                seed=seed,
                budget_s=trial_s,
                limits=Limits(time_s=1.25 * trial_s + 1.0),
            )
            for number, strategy in enumerate(strategies)
        ]
        return [end_inner(s, task, task.target[folds[0][1]], folds=1, run=run) for s in started]
