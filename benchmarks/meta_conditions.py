"""The tasks and strategies of `meta_training.py`: few rows to learn from, as they are, with wrong labels, or lopsided.

A family is five classes of an image collection, a source of sequences, or a table and those like it; all its tasks
are on one side of every split.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from meta_tasks import image_sources, read_sequence, short

from gstar.learner import get_learner
from gstar.metatraining import cut_classes
from gstar.metric import METRICS
from gstar.policies.candidates import make_strategy
from gstar.reading import make_task
from gstar.strategy import SCHEDULE_SPACE, Strategy
from gstar.task import Task
from gstar.validation import plan_folds
from gstar.worlds.live import QUERY_FRACTION, LiveTask

Array = np.ndarray

SUPPORT = 240
"""Rows to train on and to validate on, at most."""
QUERY = 400
"""Rows that only the reward is measured on, at most."""
WRONG = 0.3
"""Share of wrong labels among the support rows of a noisy task."""
RATIO = 10
"""Rows of the large class for one of the small class, in the support rows of a lopsided task."""
PLAIN_FLAT = {"flat_linear": ({}, {"strength": 1.0}), "flat_lightgbm": ({}, {"leaves": 8, "rate": 0.05})}
OTHERS = {
    "images": {"flat_mlp": ({},), **PLAIN_FLAT},
    "sequences": PLAIN_FLAT,
    "table": {
        "linear": ({}, {"strength": 1.0}, {"numbers": "spline", "strength": 0.1}),
        "lightgbm": ({}, {"leaves": 8, "rate": 0.05}, {"extra": True, "leaves": 64, "rate": 0.03}),
        "extra_trees": ({}, {"max_features": 1.0, "min_leaf": 2}),
        "kernel": ({}, {"reach": 0.3, "strength": 0.01}),
    },
}
"""Learners that are no networks of the form's own kind: what differs from their defaults."""
NETWORKS = {
    "images": {"cnn": ({}, {"depth": 2, "learning_rate": 0.015}, {"augment": "none"}, {"augment": "mirror"})},
    "sequences": {
        "cnn": ({}, {"depth": 2, "augment": "none"}),
        "rnn": ({}, {"cell": "gru", "width": 16, "learning_rate": 0.01}),
    },
    "table": {"mlp": ({}, {"embedding": "periodic", "numbers": "standard", "norm": "layer", "learning_rate": 0.005})},
}
"""Networks: the first configuration is tried in all ways, the others in a few."""
SCHEDULES = {
    "one_cycle": {"kind": "one_cycle", "one_cycle_rise": 0.3},
    "constant": {"kind": "constant"},
    "cosine": {"kind": "cosine", "warm_up": 0.0},
    "warm_up": {"kind": "cosine", "warm_up": 0.25},
    "step": {"kind": "step", "step_factor": 0.3, "step_drops": 2, "warm_up": 0.0},
}
ROWS = {
    "all": {"kind": "all", "pace": "shuffled"},
    "balanced": {"kind": "balanced", "pace": "shuffled"},
    "clean": {"kind": "clean", "clean_fraction": 0.75, "pace": "shuffled"},
    "easy_first": {"kind": "all", "pace": "easy_first"},
    "hard_first": {"kind": "all", "pace": "hard_first"},
    "small_loss": {"kind": "all", "pace": "small_loss", "drop_share": 0.25},
}
WAYS = (
    ("one_cycle", "all"),
    ("constant", "all"),
    ("constant", "clean"),
    ("constant", "small_loss"),
    ("one_cycle", "clean"),
    ("constant", "balanced"),
    ("cosine", "all"),
    ("one_cycle", "easy_first"),
    ("one_cycle", "small_loss"),
    ("one_cycle", "balanced"),
    ("step", "all"),
    ("one_cycle", "hard_first"),
    ("warm_up", "all"),
)
"""Schedule and rows; the first is the default of all networks."""
FEW_WAYS = 2
"""Ways of all configurations but the first."""


def read_live(data: Path, forms: Collection[str]) -> Iterator[LiveTask]:
    """Yields all tasks of some forms."""
    for form, source in (("table", _tables), ("sequences", _sequences), ("images", _images)):
        if form in forms:
            yield from source(data)


def _images(data: Path) -> Iterator[LiveTask]:
    """Yields five tasks from each half of the classes of each collection."""
    for name, labels, pixels in image_sources(data):
        for half, classes in enumerate((np.arange(5), np.arange(5, 10))):
            rng = np.random.default_rng([len(name), half, 2])
            for condition, ways in (("plain", 2), ("plain", 5), ("noisy", 2), ("noisy", 5), ("lopsided", 2)):
                chosen = rng.choice(classes, ways, replace=False)
                rows = rng.permutation(np.flatnonzero(np.isin(labels, chosen)))[: 4 * (SUPPORT + QUERY)]
                task = make_task(pixels(rows), labels[rows].astype(str), name=f"{name}-{half}")
                yield _under(condition, task, f"{name}-{half}", rng)


def _sequences(data: Path) -> Iterator[LiveTask]:
    """Yields tasks of each source: as it is, with wrong labels, and of two of its classes."""
    with (data / "sequences" / "manifest.csv").open(encoding="utf-8") as file:
        sources = list(csv.DictReader(file))
    for i, row in enumerate(sources):
        whole, family, rng = read_sequence(data, row), row["family"] or row["name"], np.random.default_rng([3, i])
        first = cut_classes(whole, _some(whole, 5, rng)) if whole.n_classes > 5 else whole
        yield _under("plain", first, family, rng)
        if len(whole) >= 150:
            yield _under("noisy", first, family, rng)
        if whole.n_classes > 2 and len(whole) >= 400:
            yield _under("plain", cut_classes(whole, _some(whole, 2, rng)), family, rng)
        if whole.n_classes >= 2 and len(whole) >= 1000:
            yield _under("lopsided", cut_classes(whole, _some(whole, 2, rng)), family, rng)


def _tables(data: Path) -> Iterator[LiveTask]:
    """Yields small tables, one of each family; half of them also with wrong labels, some lopsided."""
    with (data / "manifest.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if 200 <= int(r["n_rows"]) <= 1500 and int(r["n_features"]) < 60]
    by_family = {row["family"] or row["name"]: row for row in rows}
    for i, (family, row) in enumerate(sorted(by_family.items())):
        task = make_task(data / "tasks" / Path(row["file"]).name, target=row["target"], name=row["name"])
        rng = np.random.default_rng([5, i])
        yield _under("plain", task, family, rng)
        if i % 2 == 0:
            yield _under("noisy", task, family, rng)
        if task.n_classes == 2 and np.bincount(task.target.astype(int)).min() > 120:
            yield _under("lopsided", task, family, rng)


def _some(task: Task, n: int, rng: np.random.Generator) -> Array:
    """Returns n of the classes, those with the most rows more likely."""
    counts = np.bincount(task.target.astype(int), minlength=task.n_classes)
    return np.sort(rng.choice(task.n_classes, n, replace=False, p=counts / counts.sum()))


def _under(condition: str, task: Task, family: str, rng: np.random.Generator) -> LiveTask:
    """Returns the task under a condition: log-loss or RMSE, of a lopsided one balanced accuracy."""
    name = f"{task.name}-{condition}-{task.n_classes}"
    metric = METRICS["log_loss"] if task.kind.is_classification else METRICS["rmse"]
    task = replace(task, name=name, metric=METRICS["balanced_accuracy"] if condition == "lopsided" else metric)
    support, query = _lopsided(task, rng) if condition == "lopsided" else _split(task, rng)
    if condition == "noisy":
        task = replace(task, target=_wronged(task, support, rng))
    return LiveTask.of(task, family=family, split=(support, query))


def _split(task: Task, rng: np.random.Generator) -> tuple[Array, Array]:
    support, query = plan_folds(task, folds=1, fraction=QUERY_FRACTION, seed=int(rng.integers(2**31)))[0]
    rest = rng.permutation(support)
    return np.sort(rest[:SUPPORT]), np.sort(np.r_[rng.permutation(query), rest[SUPPORT:]][:QUERY])


def _lopsided(task: Task, rng: np.random.Generator) -> tuple[Array, Array]:
    """Returns support rows of which one in eleven is of the smaller class, and query rows, half of each class."""
    classes = [rng.permutation(np.flatnonzero(task.target == c)) for c in (0, 1)]
    large, small = sorted(classes, key=len, reverse=True)
    n_large = min(SUPPORT * RATIO // (RATIO + 1), RATIO * len(small) // 3, len(large) // 2)
    n_small = round(n_large / RATIO)
    n_query = min(QUERY // 2, len(small) - n_small, len(large) - n_large)
    support = np.r_[large[:n_large], small[:n_small]]
    return np.sort(support), np.sort(np.r_[large[n_large:][:n_query], small[n_small:][:n_query]])


def _wronged(task: Task, support: Array, rng: np.random.Generator) -> Array:
    """Returns the target with other classes, or the values of other rows, in a share of the support rows."""
    target, rows = task.target.copy(), rng.permutation(support)[: round(WRONG * len(support))]
    if task.kind.is_classification:
        target[rows] = (target[rows] + rng.integers(1, task.n_classes, len(rows))) % task.n_classes
    else:
        target[rows] = np.roll(target[rows], 1)
    return target


def strategies_for(form: str) -> list[Strategy]:
    """Returns what is tried on every task of a form, what tells most first."""
    found: list[tuple[int, Strategy]] = []
    for name, changes in OTHERS[form].items():
        for i, change in enumerate(changes):
            learner = get_learner(name)
            given = short(learner, change)
            found.append((3 * i, make_strategy(name, learner, given)))
    for name, changes in NETWORKS[form].items():
        for i, change in enumerate(changes):
            ways = WAYS if i == 0 else WAYS[:FEW_WAYS]
            found += [(2 * i + j, way_of(name, change, *way)) for j, way in enumerate(ways)]
    return list(dict.fromkeys(strategy for _, strategy in sorted(found, key=lambda item: item[0])))


def way_of(name: str, change: dict, schedule: str, rows: str) -> Strategy:
    """Returns a network's configuration with this schedule and these rows."""
    learner = get_learner(name)
    strategy = make_strategy(name, learner, short(learner, change))
    return replace(strategy, schedule=SCHEDULE_SPACE.complete(SCHEDULES[schedule]), selection=dict(ROWS[rows]))
