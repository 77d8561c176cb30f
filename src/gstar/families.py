"""Tasks of a person's own, with the families they belong to, and the space of strategies that fits them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.collect import read_manifest
from gstar.errors import DataError, UsageError
from gstar.learner import AbstractLearner, available_learners, get_learner
from gstar.metric import TaskKind
from gstar.policies.candidates import selections_for
from gstar.policies.sampling import restrict
from gstar.reading import make_task
from gstar.space import Categorical, Space
from gstar.strategy import strategy_space
from gstar.task import Task
from gstar.tensorfile import DAMAGED

Array: TypeAlias = np.ndarray

SEEN_ROWS: Final = 500
"""Rows of a task, unless told otherwise: enough to tell strategies apart, few enough to try many."""


@dataclass(frozen=True)
class Family:
    """Is a task with the name of its family.

    Args:
        task: The task.
        family: Tasks of one family are never on two sides of a split.
    """

    task: Task
    family: str


def read_tasks(paths: Sequence[str], *, target: str | None = None) -> list[Family]:
    """Reads tasks: whatever `gstar fit` reads, and folders with a ``manifest.csv``.

    Raises:
        DataError: If there is none, or one cannot be read.
    """
    found: list[Family] = []
    for path in paths:
        if (Path(path) / "manifest.csv").exists():
            for file in read_manifest(Path(path)):
                task = _read(file.path, target=file.target, name=file.name, kind=file.kind)
                found.append(Family(task, file.family))
        else:
            task = _read(Path(path), target=target, name=Path(path).stem)
            found.append(Family(task, task.name))
    if not found:
        raise DataError("Expected at least one task to learn from, got none.")
    return found


def _read(path: Path, **options: Any) -> Task:
    """Reads a task; an error says which one it is."""
    try:
        return make_task(str(path), **options)
    except DataError as error:
        raise DataError(f"{path} cannot be learned from: {error}") from error


def episodes_of(
    families: Sequence[Family], *, ways: Sequence[int] = (), rows: int = SEEN_ROWS, n: int = 0, seed: int = 0
) -> list[Family]:
    """Cuts tasks to a size, and tasks of many classes into smaller ones of some classes.

    Args:
        families: The tasks.
        ways: Numbers of classes; empty: tasks keep theirs.
        rows: At most so many rows per task.
        n: How many to cut from each task that has enough classes; 0: one for each number in `ways`.
        seed: Seed of the choice.

    Raises:
        DataError: If no task has as many classes as asked for.
    """
    rng = np.random.default_rng(seed)
    found: list[Family] = []
    for family in families:
        wanted = [w for w in ways if w <= family.task.n_classes]
        if not wanted:
            found.append(replace(family, task=_cut(family.task, None, rows, rng)))
        for i in range(max(n, len(wanted)) if wanted else 0):
            classes = rng.choice(family.task.n_classes, wanted[i % len(wanted)], replace=False)
            cut = _cut(family.task, np.sort(classes), rows, rng)
            found.append(replace(family, task=replace(cut, name=f"{family.task.name}-{i}")))
    if ways and all(f.task.n_classes < min(ways) for f in families):
        raise DataError(f"Expected a task with at least {min(ways)} classes, got none.")
    return found


def _cut(task: Task, classes: Array | None, rows: int, rng: np.random.Generator) -> Task:
    """Returns a part of a task, with these classes only."""
    if classes is not None:
        task = cut_classes(task, classes)
    if len(task) > rows:
        task = task.take(np.sort(rng.permutation(len(task))[:rows]))
    return task


def cut_classes(task: Task, classes: Array) -> Task:
    """Returns the rows of some classes, as a task of its own.

    Args:
        task: A classification.
        classes: Codes of at least two classes, in order.
    """
    task = task.take(np.flatnonzero(np.isin(task.target, classes)))
    kind = TaskKind.BINARY if len(classes) == 2 else TaskKind.MULTICLASS
    labels = tuple(task.classes[int(c)] for c in classes)
    return replace(task, kind=kind, target=np.searchsorted(classes, task.target), classes=labels)


def space_of(text: str | None, tasks: Sequence[Task]) -> Space:
    """Returns the space that g is over.

    Args:
        text: A JSON file that `Space.to_json` made, or names of learners with commas; None: all that fit.
        tasks: The tasks that it is for.

    Raises:
        UsageError: If it is neither, or no learner of it fits a task.
        MissingExtraError: If a learner needs what is not installed.
    """
    if text is not None and text.endswith(".json"):
        space = _read_space(Path(text))
    else:
        space = _joined(_named(text) if text is not None else _fitting(tasks), tasks)
    root = space.parameters.get("learner")
    if not isinstance(root, Categorical):
        raise UsageError("Expected a space of strategies, with a choice of 'learner' at its root, got none.")
    _check_fit([get_learner(str(name)) for name in root.choices], tasks)
    return space


def _read_space(path: Path) -> Space:
    try:
        return Space.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, *DAMAGED) as error:
        raise UsageError(f"Expected a space as JSON in {path}, but {error}.") from error


def _named(text: str) -> dict[str, AbstractLearner]:
    return {name: get_learner(name) for part in text.split(",") if (name := part.strip())}


def _fitting(tasks: Sequence[Task]) -> dict[str, AbstractLearner]:
    found: dict[str, AbstractLearner] = {}
    for form, kind in sorted({(task.form, task.kind) for task in tasks}):
        found |= available_learners(form, kind)
    found.pop("constant", None)
    return found


def _joined(learners: Mapping[str, AbstractLearner], tasks: Sequence[Task]) -> Space:
    """Joins learners with the schedules and the choices of rows that make sense for some task."""
    tree = strategy_space(
        {name: learner.space for name, learner in learners.items()},
        scheduled=frozenset(name for name, learner in learners.items() if learner.has_schedule),
        paced=frozenset(name for name, learner in learners.items() if learner.handles_pace),
    )
    kinds = [kind for task in tasks for kind in selections_for(task.kind, task.order is not None)]
    return restrict(tree, "selection.kind", tuple(kinds))


def _check_fit(learners: Sequence[AbstractLearner], tasks: Sequence[Task]) -> None:
    for task in tasks:
        if not any(task.form in learner.forms and task.kind in learner.kinds for learner in learners):
            names = ", ".join(learner.name for learner in learners)
            raise UsageError(
                f"Expected a learner for {task.name} ({task.form}, {task.kind}), but the space has {names}."
            )
