"""Tasks and strategies for `meta_training.py`: small tasks of all forms, and a list of strategies per form.

A family is five classes of an image collection, a source of sequences, or a table and those like it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gstar.learner import AbstractLearner, get_learner
from gstar.metatraining import Family, episodes_of
from gstar.metric import METRICS
from gstar.policies.candidates import make_strategy, selection_space
from gstar.reading import make_task
from gstar.strategy import SCHEDULE_SPACE, Strategy
from gstar.task import Task

ROWS = 300
"""Of a task: 135 to train on, 45 to validate, 120 that only the reward is measured on."""
LONGEST = 64
"""Longer sequences are averaged over blocks of steps."""
LEARNERS = {
    "images": {"cnn": (3, 1), "flat_mlp": (1, 1), "flat_linear": (2, 0), "flat_lightgbm": (2, 0)},
    "sequences": {"cnn": (2, 1), "rnn": (2, 1), "flat_mlp": (1, 0), "flat_linear": (2, 0), "flat_lightgbm": (2, 0)},
    "table": {"mlp": (2, 1), "linear": (3, 0), "lightgbm": (3, 0), "extra_trees": (2, 0), "kernel": (2, 0)},
}
"""Per learner: how many configurations, and how many times each with another schedule and other rows."""


def read_families(data: Path) -> Iterator[Family]:
    """Yields all tasks, with the metrics log-loss and RMSE."""
    for source in (_images, _sequences, _tables):
        for family in source(data):
            metric = METRICS["log_loss"] if family.task.kind.is_classification else family.task.metric
            yield replace(family, task=replace(family.task, metric=metric))


def _images(data: Path) -> Iterator[Family]:
    """Yields two binary tasks and one with five classes from each half of the classes of each collection."""
    from PIL import Image

    mnist = np.load(data / "images" / "mnist_10k.npz")
    cifar = np.load(data / "images" / "cifar10_train.npz")
    content, ends = cifar["jpeg"], cifar["ptr"]

    def cifar_pixels(rows: np.ndarray) -> np.ndarray:
        files = (io.BytesIO(content[ends[i] : ends[i + 1]].tobytes()) for i in rows)
        return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]).transpose(0, 3, 1, 2)

    sources = (("mnist", mnist["y"], lambda rows: mnist["x"][rows][:, None]), ("cifar", cifar["y"], cifar_pixels))
    for name, labels, pixels in sources:
        for half, classes in enumerate((np.arange(5), np.arange(5, 10))):
            rng = np.random.default_rng([len(name), half])
            for k, ways in enumerate((2, 2, 5)):
                chosen = rng.choice(classes, ways, replace=False)
                rows = rng.permutation(np.flatnonzero(np.isin(labels, chosen)))[:ROWS]
                task = make_task(pixels(rows), labels[rows].astype(str), name=f"{name}-{half}-{k}")
                yield Family(task, f"{name}-{half}")


def _sequences(data: Path) -> Iterator[Family]:
    """Yields the sequence tasks; of five classes or more, five of them."""
    with (data / "sequences" / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        family = Family(_sequence_task(data, row), row["family"] or row["name"])
        yield from episodes_of([family], ways=(5,) if family.task.n_classes >= 5 else (), rows=ROWS)


def _sequence_task(data: Path, row: dict[str, str]) -> Task:
    arrays = np.load(data / "sequences" / row["file"], allow_pickle=False)
    steps = np.asarray(arrays["x"], np.float32)
    steps = steps[:, :, None] if steps.ndim == 2 else steps
    lengths = np.asarray(arrays["lengths"]) if "lengths" in arrays else np.full(len(steps), steps.shape[1])
    block = -(-int(lengths.max()) // LONGEST)
    chosen = np.random.default_rng(0).permutation(len(steps))[:3000]
    inputs = [_averaged(steps[i, : lengths[i]], block) for i in chosen]
    target = arrays["y"][chosen]
    return make_task(inputs, target if row["task"] == "regression" else target.astype(str), name=row["name"])


def _averaged(steps: np.ndarray, block: int) -> np.ndarray:
    return np.add.reduceat(steps, np.arange(0, len(steps), block)) / block


def _tables(data: Path) -> Iterator[Family]:
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
        yield from episodes_of([Family(task, name)], rows=ROWS)


def strategies_for(form: str) -> list[Strategy]:
    """Returns what is tried on every task of a form: first the default of each learner, then draws.

    A configuration is tried with the default schedule and all rows first, so that what another schedule and
    other rows bring can be told.
    """
    found: list[tuple[int, Strategy]] = []
    for name, (n_configurations, n_twins) in LEARNERS[form].items():
        learner, rng = get_learner(name), np.random.default_rng([7, *name.encode()])
        for i in range(n_configurations):
            plain = make_strategy(name, learner, _configuration(learner, rng) if i else _short(learner, {}))
            twins = [_other_way(plain, learner, rng) for _ in range(n_twins)]
            found += [(10 * i + j, strategy) for j, strategy in enumerate((plain, *twins))]
    return list(dict.fromkeys(strategy for _, strategy in sorted(found, key=lambda item: item[0])))


def _configuration(learner: AbstractLearner, rng: np.random.Generator) -> dict[str, object]:
    """Draws a configuration of which about half is as by default."""
    default, drawn = learner.space.default(), learner.space.sample(rng)
    keeps = {name: rng.random() < 0.5 for name in learner.space.parameters}
    mixed = {name: default[name] if keeps[name] and name in default else drawn.get(name) for name in keeps}
    conditions, given = learner.space.conditions, {name: v for name, v in mixed.items() if v is not None}
    while off := [n for n in given if n in conditions and not conditions[n].holds(given)]:
        given = {name: v for name, v in given.items() if name not in off}
    return _short(learner, given, rng)


def _short(learner, given, rng=None) -> dict[str, object]:
    """Returns the configuration with few epochs and a narrow network, as there are many small tasks."""
    if "epochs" in learner.space.parameters:
        width = min(int(given.get("width", learner.space.default()["width"])), 32)
        given = {**given, "width": width, "epochs": 15 if rng is None else int(rng.choice([10, 15, 25]))}
    return given


def _other_way(strategy: Strategy, learner: AbstractLearner, rng: np.random.Generator) -> Strategy:
    schedule = SCHEDULE_SPACE.sample(rng) if learner.has_schedule else {}
    selection = {"kind": "recent"}
    while selection["kind"] == "recent":
        selection = selection_space(learner).sample(rng)
    if rng.random() < 0.3:
        selection = selection_space(learner).default()
    return replace(strategy, schedule=schedule, selection=selection)


def plain(strategy: Strategy) -> Strategy:
    """Returns the strategy with its learner's default schedule and all rows."""
    return make_strategy(strategy.learner, get_learner(strategy.learner), strategy.configuration)


def quarter(strategy: Strategy) -> Strategy | None:
    """Returns the strategy with a fourth of the epochs, for successive halving; None if it has none."""
    epochs = strategy.configuration.get("epochs")
    if epochs is None:
        return None
    return replace(strategy, configuration={**strategy.configuration, "epochs": max(5, int(epochs) // 4)})
