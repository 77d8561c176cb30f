"""Does g learn which network, schedule and rows suit which task? Meta-training on small real tasks.

    python benchmarks/meta_training.py collect DATA --budget 25m    # the same strategies on all tasks; resumes
    python benchmarks/meta_training.py learn                         # 5 seeds of meta-training, and what came of it

DATA holds images/, sequences/ and tasks/ with manifest.csv. Tasks of one family (classes of an image
collection, a source of sequences, a table) are on one side of the split only. Learning reads the recorded
trials, so that it takes seconds and repeats; every recorded trial was a model that was trained.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gstar.executors import Limits, ProcessExecutor
from gstar.gradients import Draws
from gstar.learner import get_learner
from gstar.policies.candidates import make_strategy, selection_space
from gstar.reading import make_task
from gstar.settings import read_duration_s
from gstar.strategy import SCHEDULE_SPACE, Strategy
from gstar.task import Task
from gstar.world import DrawnTasks
from gstar.worlds.live import LiveTask, LiveWorld

RESULTS = Path(__file__).parent / "results"
ROWS = 450
TRIAL_S = 20.0
LEARNERS = {
    "images": {"cnn": 10, "flat_mlp": 5, "flat_linear": 2, "flat_lightgbm": 3},
    "sequences": {"cnn": 6, "rnn": 6, "flat_mlp": 4, "flat_linear": 2, "flat_lightgbm": 2},
    "table": {"mlp": 6, "linear": 3, "lightgbm": 3, "extra_trees": 2, "kernel": 2},
}
"""How many strategies of each learner are tried on tasks of a form: its default, and draws around it."""


def image_tasks(data: Path) -> Iterator[tuple[Task, str, str]]:
    """Yields tasks, families and sides: five classes of a collection to learn from, the others to be measured on."""
    from PIL import Image

    mnist = np.load(data / "images" / "mnist_10k.npz")
    cifar = np.load(data / "images" / "cifar10_train.npz")
    content, ends = cifar["jpeg"].tobytes(), cifar["ptr"]

    def cifar_pixels(rows: np.ndarray) -> np.ndarray:
        pictures = [Image.open(io.BytesIO(content[ends[i] : ends[i + 1]])).convert("RGB") for i in rows]
        return np.stack([np.asarray(p) for p in pictures]).transpose(0, 3, 1, 2)

    sources = (("mnist", mnist["y"], lambda rows: mnist["x"][rows][:, None]), ("cifar", cifar["y"], cifar_pixels))
    for name, labels, pixels in sources:
        for side, classes in (("train", np.arange(5)), ("test", np.arange(5, 10))):
            rng = np.random.default_rng([len(name), side == "test"])
            for k in (0, 1, 4):
                chosen = classes if k == 4 else rng.choice(classes, 2, replace=False)
                rows = rng.permutation(np.flatnonzero(np.isin(labels, chosen)))[:ROWS]
                task = make_task(pixels(rows), labels[rows].astype(str), name=f"{name}-{side}-{k}")
                yield task, f"{name}-{side}", side


def sequence_tasks(data: Path) -> Iterator[tuple[Task, str, str]]:
    """Yields the sequence tasks; families alternate between the sides."""
    with (data / "sequences" / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    families = sorted({row.get("family") or row["name"] for row in rows})
    for row in rows:
        family = row.get("family") or row["name"]
        arrays = np.load(data / "sequences" / row["file"], allow_pickle=False)
        steps, target = np.asarray(arrays["x"], np.float32), arrays["y"]
        steps = steps[:, :, None] if steps.ndim == 2 else steps
        lengths = np.asarray(arrays["lengths"]) if "lengths" in arrays else np.full(len(steps), steps.shape[1])
        chosen = np.random.default_rng(0).permutation(len(steps))[:ROWS]
        inputs = [steps[i, : lengths[i]] for i in chosen]
        labels = target[chosen] if row["task"] == "regression" else target[chosen].astype(str)
        yield make_task(inputs, labels, name=row["name"]), family, ("train", "test")[families.index(family) % 2]


def table_tasks(data: Path) -> Iterator[tuple[Task, str, str]]:
    """Yields sixteen small tables."""
    with (data / "manifest.csv").open(encoding="utf-8") as file:
        rows = [
            row for row in csv.DictReader(file) if 200 <= int(row["n_rows"]) <= 1000 and int(row["n_features"]) < 60
        ]
    by_family = {row["family"] or row["name"]: row for row in rows}
    for i, name in enumerate(sorted(by_family)[:: max(1, len(by_family) // 16)][:16]):
        row = by_family[name]
        task = make_task(data / "tasks" / Path(row["file"]).name, target=row["target"], name=row["name"])
        yield task, name, ("train", "test")[i % 2]


def strategies_for(form: str) -> list[Strategy]:
    """Returns what is tried on every task of a form, the same for all."""
    rng = np.random.default_rng(7)
    found: list[Strategy] = []
    for name, count in LEARNERS[form].items():
        learner = get_learner(name)
        default = make_strategy(name, learner, {})
        drawn = [default]
        while len(drawn) < count:
            configuration = {
                k: v if rng.random() < 0.5 else learner.space.sample(rng).get(k, v)
                for k, v in default.configuration.items()
            }
            if "epochs" in configuration:
                configuration["epochs"] = int(rng.choice([10, 20, 40]))
            schedule = SCHEDULE_SPACE.sample(rng) if learner.has_schedule and rng.random() < 0.7 else default.schedule
            selection = selection_space(learner).sample(rng) if rng.random() < 0.5 else dict(default.selection)
            if selection.get("kind") == "recent":
                continue
            complete = learner.space.complete(
                {k: v for k, v in configuration.items() if _is_on(learner, configuration, k)}
            )
            drawn.append(Strategy(name, complete, selection, schedule))
        found += drawn
    return list(dict.fromkeys(found))


def _is_on(learner, configuration, name) -> bool:
    condition = learner.space.conditions.get(name)
    return condition is None or condition.holds(configuration)


def quarter(strategy: Strategy) -> Strategy | None:
    """Returns the strategy with a fourth of the epochs, for successive halving; None if it has none."""
    epochs = strategy.configuration.get("epochs")
    if epochs is None:
        return None
    configuration = {**strategy.configuration, "epochs": max(5, int(epochs) // 4)}
    return Strategy(strategy.learner, configuration, strategy.selection, strategy.schedule)


def collect(data: Path, budget_s: float) -> None:
    """Tries every strategy on every task of its form; what is in the file already is not tried again."""
    file = RESULTS / "meta_training.jsonl"
    done = {(r["task"], r["strategy"]) for r in _rows(file)}
    end = time.monotonic() + budget_s
    sources = [list(f(data)) for f in (table_tasks, image_tasks, sequence_tasks)]
    with ProcessExecutor(2) as executor, file.open("a", encoding="utf-8") as out:
        for task, family, side in (item for source in sources for item in source):
            todo = strategies_for(task.form)
            todo += [q for s in todo if (q := quarter(s)) is not None]
            todo = [s for s in dict.fromkeys(todo) if (task.name, s.hash) not in done]
            if not todo or time.monotonic() > end:
                continue
            live = LiveTask.of(task, family=family, seconds=TRIAL_S)
            begin = time.monotonic()
            with LiveWorld([live], executor, Limits(time_s=TRIAL_S)) as world:
                trials = []
                world.remember = trials.extend
                _train_all(world, live, todo)
            for trial in trials:
                reward = None if trial.query_score is None else float(live.scale.reward(np.array(trial.query_score)))
                valid = None if trial.score is None else float(live.scale.reward(np.array(trial.score)))
                record = {
                    "task": task.name,
                    "form": task.form,
                    "family": family,
                    "side": side,
                    "kind": task.kind,
                    "strategy": trial.strategy.hash,
                    "point": trial.strategy.to_json(),
                    "reward": reward,
                    "valid": valid,
                    "seconds": trial.cost_s,
                    "status": trial.status,
                    "error": trial.error,
                    "context": live.context.tolist(),
                }
                out.write(json.dumps(record) + "\n")
            out.flush()
            seconds, failed = time.monotonic() - begin, sum(t.query_score is None for t in trials)
            print(f"{task.name}: {len(trials)} trials, {failed} failed, {seconds:.0f} s", file=sys.stderr, flush=True)


def _train_all(world: LiveWorld, live: LiveTask, strategies: list[Strategy]) -> None:
    from gstar.distribution import Points

    points = Points(tuple(s.to_point() for s in strategies), *(np.zeros((len(strategies), 0)) for _ in range(4)))
    draws = Draws(live.context[None], points, np.zeros((1, len(strategies))))
    world.train(DrawnTasks(live.context[None], [0]), draws, seed=0)


def _rows(file: Path) -> list[dict]:
    if not file.exists():
        return []
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("collect", "learn"))
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--budget", default="25m")
    given = parser.parse_args()
    if given.what == "collect":
        collect(given.data, read_duration_s(given.budget))


if __name__ == "__main__":
    main()
