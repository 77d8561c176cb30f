"""The tasks of `meta_training.py`: few rows to learn from, as they are, with wrong labels, or lopsided.

A family is five classes of an image collection, an alphabet, a source of sequences, or a table and those like it; all
its tasks, of whatever form, are on one side of every split.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from meta_tasks import averaged, image_sources, read_sequence, stride

from gstar.families import cut_classes
from gstar.metric import METRICS
from gstar.reading import make_task
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


def read_live(data: Path, forms: Collection[str]) -> Iterator[LiveTask]:
    """Yields all tasks of some forms."""
    sources = {
        "table": (_tables, _large_tables),
        "sequences": (_sequences, _strokes, _image_rows),
        "images": (_images, _letters),
    }
    for form in forms:
        for source in sources[form]:
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


def _large_tables(data: Path) -> Iterator[LiveTask]:
    """Yields few rows of larger tables, one of each family that has no small one."""
    with (data / "manifest.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if int(r["n_features"]) < 60]
    small = {row["family"] or row["name"] for row in rows if 200 <= int(row["n_rows"]) <= 1500}
    by_family = {row["family"] or row["name"]: row for row in rows if int(row["n_rows"]) > 1500}
    for i, (family, row) in enumerate(sorted(by_family.items())):
        if family not in small:
            rng = np.random.default_rng([6, i])
            task = make_task(data / "tasks" / Path(row["file"]).name, target=row["target"], name=row["name"])
            yield _under("plain", _few_of_each(task, rng), family, rng)


def _few_of_each(task: Task, rng: np.random.Generator) -> Task:
    """Returns at most twice as many rows as are needed, of at most five classes."""
    if task.n_classes > 5:
        task = cut_classes(task, _some(task, 5, rng))
    return task.take(np.sort(rng.permutation(len(task))[: 2 * (SUPPORT + QUERY)]))


def _letters(data: Path) -> Iterator[LiveTask]:
    """Yields drawings of five letters of each alphabet."""
    for name, drawings in _alphabets(data, "images"):
        labels, pixels = drawings["character"], drawings["images28"]
        rng = np.random.default_rng([7, len(name), len(labels)])
        rows = np.flatnonzero(np.isin(labels, rng.choice(np.unique(labels), 5, replace=False)))
        task = make_task(pixels[rows][:, None], labels[rows].astype(str), name=f"letters-{name}")
        yield _under("plain", task, f"letters-{name}", rng)


def _strokes(data: Path) -> Iterator[LiveTask]:
    """Yields how five, and ten, letters of each alphabet were drawn: place of the pen, and whether a stroke begins."""
    for name, drawings in _alphabets(data, "strokes"):
        labels, rng = drawings["character"], np.random.default_rng([8, len(name), len(drawings["character"])])
        for ways in (5, 10):
            rows = np.flatnonzero(np.isin(labels, rng.choice(np.unique(labels), ways, replace=False)))
            paths = [_path(drawings, i) for i in rows]
            block = stride(max(len(path) for path in paths))
            inputs = [averaged(path, block) for path in paths]
            task = make_task(inputs, labels[rows].astype(str), name=f"strokes-{name}")
            yield _under("plain", task, f"letters-{name}", rng)


def _path(drawings: dict[str, Array], i: int) -> Array:
    first, last = drawings["drawing_ptr"][i : i + 2]
    ends = drawings["stroke_ptr"][first : last + 1]
    points = drawings["points"][ends[0] : ends[-1], :2] / 105
    begins = np.zeros((len(points), 1), np.float32)
    begins[ends[:-1] - ends[0]] = 1.0
    return np.concatenate([points, begins], axis=1).astype(np.float32)


def _alphabets(data: Path, what: str) -> Iterator[tuple[str, dict[str, Array]]]:
    """Yields each alphabet once, with its arrays; those with a row per drawing are cut to its own."""
    seen: set[str] = set()
    for part in ("small1", "small2"):
        arrays = dict(np.load(data / "omniglot" / f"{what}_background_{part}.npz"))
        for k, name in enumerate(arrays["alphabet_names"].tolist()):
            if name in seen:
                continue
            seen.add(name)
            rows = np.flatnonzero(arrays["alphabet"] == k)
            own = {key: array[rows] for key, array in arrays.items() if len(array) == len(arrays["alphabet"])}
            if what == "strokes":  # the drawings of an alphabet lie one after the other
                own |= {key: arrays[key] for key in ("points", "stroke_ptr")}
                own["drawing_ptr"] = arrays["drawing_ptr"][rows[0] : rows[-1] + 2]
            yield name, own


def _image_rows(data: Path) -> Iterator[LiveTask]:
    """Yields digits as sequences of their rows; a family is that of the digits as images."""
    name, labels, pixels = image_sources(data)[0]
    for half, classes in enumerate((np.arange(5), np.arange(5, 10))):
        rng = np.random.default_rng([len(name), half, 9])
        for condition, ways in (("plain", 2), ("plain", 5), ("noisy", 2)):
            rows = rng.permutation(np.flatnonzero(np.isin(labels, rng.choice(classes, ways, replace=False))))
            rows = rows[: 4 * (SUPPORT + QUERY)]
            steps = list(pixels(rows)[:, 0].astype(np.float32) / 255)
            task = make_task(steps, labels[rows].astype(str), name=f"{name}-rows-{half}")
            yield _under(condition, task, f"{name}-{half}", rng)


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
