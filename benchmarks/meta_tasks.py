"""Tasks and strategies for `meta_training.py`: small tasks of all forms, and a list of strategies per form.

A family is five classes of an image collection, a source of sequences, or a table and those like it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gstar.families import Family, episodes_of
from gstar.learner import AbstractLearner
from gstar.metric import METRICS
from gstar.reading import make_task
from gstar.strategy import Strategy
from gstar.task import Task

Array = np.ndarray
ROWS = 300
"""Of a task: 135 to train on, 45 to validate, 120 that only the reward is measured on."""
LONGEST = 64
"""Longer sequences are averaged over blocks of steps."""


def read_families(data: Path, rows: int = ROWS) -> Iterator[Family]:
    """Yields all tasks of at most so many rows, with the metrics log-loss and RMSE."""
    for source in (_images, _sequences, _tables):
        for family in source(data, rows):
            metric = METRICS["log_loss"] if family.task.kind.is_classification else family.task.metric
            yield replace(family, task=replace(family.task, metric=metric))


def image_sources(data: Path) -> tuple[tuple[str, Array, Callable[[Array], Array]], ...]:
    """Returns image collections: name, labels, and what gives the pixels of rows."""
    from PIL import Image

    mnist = np.load(data / "images" / "mnist_10k.npz")
    cifar = np.load(data / "images" / "cifar10_train.npz")
    content, ends = cifar["jpeg"], cifar["ptr"]

    def cifar_pixels(rows: np.ndarray) -> np.ndarray:
        files = (io.BytesIO(content[ends[i] : ends[i + 1]].tobytes()) for i in rows)
        return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]).transpose(0, 3, 1, 2)

    return (("mnist", mnist["y"], lambda rows: mnist["x"][rows][:, None]), ("cifar", cifar["y"], cifar_pixels))


def _images(data: Path, n_rows: int) -> Iterator[Family]:
    """Yields two binary tasks and one with five classes from each half of the classes of each collection."""
    for name, labels, pixels in image_sources(data):
        for half, classes in enumerate((np.arange(5), np.arange(5, 10))):
            rng = np.random.default_rng([len(name), half])
            for k, ways in enumerate((2, 2, 5)):
                chosen = rng.choice(classes, ways, replace=False)
                rows = rng.permutation(np.flatnonzero(np.isin(labels, chosen)))[:n_rows]
                task = make_task(pixels(rows), labels[rows].astype(str), name=f"{name}-{half}-{k}")
                yield Family(task, f"{name}-{half}")


def _sequences(data: Path, n_rows: int) -> Iterator[Family]:
    """Yields the sequence tasks; of five classes or more, five of them."""
    with (data / "sequences" / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        family = Family(read_sequence(data, row), row["family"] or row["name"])
        yield from episodes_of([family], ways=(5,) if family.task.n_classes >= 5 else (), rows=n_rows)


def read_sequence(data: Path, row: dict[str, str]) -> Task:
    """Returns the task of a row of the manifest of sequences."""
    arrays = np.load(data / "sequences" / row["file"], allow_pickle=False)
    steps = np.asarray(arrays["x"], np.float32)
    steps = steps[:, :, None] if steps.ndim == 2 else steps
    lengths = np.asarray(arrays["lengths"]) if "lengths" in arrays else np.full(len(steps), steps.shape[1])
    block = stride(int(lengths.max()))
    chosen = np.random.default_rng(0).permutation(len(steps))[:3000]
    inputs = [averaged(steps[i, : lengths[i]], block) for i in chosen]
    target = arrays["y"][chosen]
    return make_task(inputs, target if row["task"] == "regression" else target.astype(str), name=row["name"])


def stride(longest: int) -> int:
    """Returns how many steps are averaged to one."""
    return -(-longest // LONGEST)


def averaged(steps: np.ndarray, block: int) -> np.ndarray:
    """Returns ``(T / block, D)`` means of blocks of steps."""
    return np.add.reduceat(steps, np.arange(0, len(steps), block)) / block


def _tables(data: Path, n_rows: int) -> Iterator[Family]:
    """Yields twelve small tables."""
    with (data / "manifest.csv").open(encoding="utf-8") as file:
        rows = [
            row for row in csv.DictReader(file) if 200 <= int(row["n_rows"]) <= 1000 and int(row["n_features"]) < 60
        ]
    by_family = {row["family"] or row["name"]: row for row in rows}
    names = sorted(by_family)
    for name in (names[j] for j in np.linspace(0, len(names) - 1, 12).astype(int)):
        row = by_family[name]
        task = make_task(data / "tasks" / Path(row["file"]).name, target=row["target"], name=row["name"])
        yield from episodes_of([Family(task, name)], rows=n_rows)


def short(learner: AbstractLearner, given: dict[str, object]) -> dict[str, object]:
    """Returns the configuration with few epochs and a narrow network, as there are many small tasks."""
    if "epochs" in learner.space.parameters:
        width = min(int(given.get("width", learner.space.default()["width"])), 32)
        given = {**given, "width": width, "epochs": 15}
    return given


def quarter(strategy: Strategy) -> Strategy | None:
    """Returns the strategy with a fourth of the epochs, for successive halving; None if it has none."""
    epochs = strategy.configuration.get("epochs")
    if epochs is None:
        return None
    return replace(strategy, configuration={**strategy.configuration, "epochs": max(5, int(epochs) // 4)})
