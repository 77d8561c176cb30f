"""Does a controller that decides during training pay, and where?

    python benchmarks/controller.py collect DATA --budget 15m    # tables of branches on meta-train tasks; resumes
    python benchmarks/controller.py learn                         # the controller, from the table
    python benchmarks/controller.py compare DATA --budget 10m    # on meta-test tasks, 5 seeds; resumes
    python benchmarks/controller.py report                        # what came of it, with intervals over tasks

DATA holds images/, sequences/ and tasks/ with manifest.csv. Tasks of one family are on one side of the split only.
Each task comes in four conditions: clean; 20, 30 or 40 % wrong labels on support and validation rows; 50 rows of
the other classes for each of the rarest; a third of the epochs. Query rows keep true labels and all their classes.
Rewards are shares of the way from a constant prediction (0) to a perfect one (1), in the task's own metric.
"""

from __future__ import annotations

import argparse
import csv
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from meta_tasks import read_families
from pool import spread

from gstar import control
from gstar.branching import Branches, ControlSettings, branch, by_family, learn_controller, worth
from gstar.control import DECISIONS, GO_ON, POINTS, Controller, Observation
from gstar.fitting import Fitting
from gstar.learner import TrainingSpec, get_learner
from gstar.machine import cores
from gstar.metric import TaskKind
from gstar.policies.candidates import make_strategy
from gstar.reading import make_task
from gstar.settings import read_duration_s
from gstar.strategy import SCHEDULE_SPACE
from gstar.task import Task

RESULTS = Path(__file__).parent / "results"
TABLE, RUNS = (RESULTS / f"controller_{name}.jsonl" for name in ("table", "runs"))
CONTROLLER = Path(control.__file__).parent / "shipped" / control.SHIPPED
"""`learn` writes the one in the package."""
CONDITIONS = ("clean", "noise", "imbalance", "short")
NETWORKS = {
    "table": ("mlp", {"width": 32, "depth": 1, "embedding": "none", "epochs": 18, "learning_rate": 5e-3}),
    "images": ("cnn", {"width": 8, "depth": 2, "epochs": 15}),
    "sequences": ("cnn", {"width": 8, "depth": 2, "epochs": 15}),
}
BASES = ("one_cycle", "constant")
"""The schedules that a controller learns to act on, in turns."""
SCHEDULES = ("constant", "cosine", "one_cycle", "step")
SUPPORT, VALID, QUERY = 300, 100, 400
LARGE = 1600
"""Rows of images and sequences, so that enough are left where few are of one class."""
STEP_PRICE = 0.01
"""What the steps of a whole training cost, in units of the reward."""
PATIENCE = 0.2
"""Share of the planned steps without gain after which early stopping stops."""
N_SEEDS = 5


@dataclass(frozen=True)
class Source:
    """Is a task of one side of the split."""

    task: Task
    family: str
    side: str


def sources(data: Path) -> Iterator[Source]:
    """Yields small tables, and the images and sequences of `meta_training.py`."""
    yield from (Source(*item) for item in table_tasks(data))
    others = [item for item in read_families(data, rows=LARGE) if item.task.form != "table"]
    families = sorted({(item.task.form, item.family) for item in others})
    for item in others:
        side = ("train", "test")[families.index((item.task.form, item.family)) % 2]
        yield Source(item.task, item.family, side)


def table_tasks(data: Path) -> Iterator[tuple[Task, str, str]]:
    """Yields small tables, one of each family, families on alternate sides; one of four is of values."""
    with (data / "manifest.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if 300 <= int(r["n_rows"]) <= 10_000 and int(r["n_features"]) <= 40]
    found = {row["family"] or row["name"]: row for row in rows}
    classes = [name for name in sorted(found) if found[name]["task"] != "regression"]
    values = [name for name in sorted(found) if found[name]["task"] == "regression"]
    for names, n in ((classes, 32), (values, 10)):
        for i, name in enumerate(names[:: max(1, len(names) // n)][:n]):
            row = found[name]
            task = make_task(data / "tasks" / Path(row["file"]).name, target=row["target"], name=row["name"])
            yield task, name, ("train", "test")[i % 2]


@dataclass(frozen=True)
class Episode:
    """Is a task in a condition, with a seed for rows and network: what is trained on, and what a training is worth."""

    source: Source
    condition: str
    seed: int
    parts: tuple
    target: np.ndarray
    epochs: int

    @staticmethod
    def of(source: Source, condition: str, seed: int) -> Episode | None:
        """Makes an episode; None where the condition makes no sense for the task."""
        task = source.task
        rng = np.random.default_rng([zlib.crc32(task.name.encode()), CONDITIONS.index(condition), seed])
        rows, target = rng.permutation(len(task)), task.target.copy()
        n_query = min(QUERY, len(rows) // 3)
        query, rest = rows[:n_query], rows[n_query:]
        rest = _imbalanced(rest, task, rng) if condition == "imbalance" else rest
        if rest is None:
            return None
        n_valid = min(VALID, len(rest) // 4)
        valid, support = _stratified(rest, target, task.kind, n_valid, min(SUPPORT, len(rest) - n_valid))
        if condition == "noise":
            wrong = np.concatenate([support, valid])
            wrong = rng.permutation(wrong)[: round((0.2, 0.3, 0.4)[seed % 3] * len(wrong))]
            target[wrong] = _wrong(target[wrong], task, rng)
        if task.kind.is_classification and len(np.unique(target[support])) < 2:
            return None
        epochs = int(NETWORKS[task.form][1]["epochs"]) // (3 if condition == "short" else 1)
        return Episode(source, condition, seed, (support, valid, query), target, epochs)

    def start(self, kind: str) -> Fitting:
        """Prepares a training under a schedule."""
        task, (support, valid, _) = self.source.task, self.parts
        name, changes = NETWORKS[task.form]
        learner = get_learner(name)
        strategy = make_strategy(name, learner, {**changes, "epochs": self.epochs})
        spec = TrainingSpec(
            task.kind,
            task.n_classes,
            strategy.configuration,
            SCHEDULE_SPACE.complete({"kind": kind}),
            seed=self.seed,
            validation=(task.inputs.take(valid), self.target[valid]),
        )
        loss = "log_loss" if task.kind.is_classification else "rmse"
        return Fitting.start(learner, task.inputs.take(support), self.target[support], spec, loss=loss)

    def reward(self, fitting: Fitting, *, price: float = STEP_PRICE) -> float:
        """Returns what a training is worth: its best state on the query rows, less the price of its steps."""
        task, (support, _, query) = self.source.task, self.parts
        metric, truth = task.metric, task.target[query]
        if task.kind.is_classification:
            constant = np.tile(
                np.bincount(task.target[support], minlength=task.n_classes) / len(support), (len(query), 1)
            )
        else:
            constant = np.full(len(query), task.target[support].mean())
        zero = metric.score(truth, constant)
        score = metric.score(truth, fitting.learner.predict(fitting.best.state, task.inputs.take(query)))
        return float(np.clip((score - zero) / (metric.best - zero), -1, 1)) - price * fitting.progress


def _imbalanced(rows: np.ndarray, task: Task, rng: np.random.Generator) -> np.ndarray | None:
    """Returns rows of which one in 51 is of the rarest class, at least six of it; None if there are too few."""
    if not task.kind.is_classification:
        return None
    target = task.target
    found, counts = np.unique(target[rows], return_counts=True)
    few = found[np.argmin(counts)]
    others = rows[target[rows] != few][: SUPPORT + VALID]
    n = max(6, round(len(others) / 50))
    mine = rows[target[rows] == few][:n]
    return None if len(others) < 200 or len(mine) < 6 else rng.permutation(np.concatenate([others, mine]))


def _wrong(target: np.ndarray, task: Task, rng: np.random.Generator) -> np.ndarray:
    """Returns other classes; values change places."""
    if not task.kind.is_classification:
        return rng.permutation(target)
    return (target + rng.integers(1, task.n_classes, len(target))) % task.n_classes


def _stratified(rows, target, kind: TaskKind, n_valid: int, n_support: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts rows in two parts with about the same share of each class."""
    order = rows if not kind.is_classification else rows[np.argsort(target[rows], kind="stable")]
    every = np.zeros(len(order), bool)
    every[np.linspace(0, len(order) - 1, n_valid).round().astype(int)] = True
    rest = order[~every]
    return order[every], rest[np.linspace(0, len(rest) - 1, n_support).round().astype(int)]


def collect(data: Path, budget_s: float, workers: int) -> None:
    """Branches trainings of meta-train tasks; what is in the file already is not done again."""
    done = {tuple(r["run"]) for r in read(TABLE)}
    tasks, jobs = [s for s in sources(data) if s.side == "train"], []
    for seed in range(N_SEEDS):
        for i, source in enumerate(_quick_first(tasks)):
            for j, condition in enumerate(CONDITIONS):
                base = BASES[(seed + i + j) % len(BASES)]
                if (source.task.name, condition, seed, base) not in done:
                    jobs.append((source, condition, seed, base))
    with TABLE.open("a", encoding="utf-8") as out:
        for lines in spread(_branched, jobs, workers, budget_s):
            out.write("".join(json.dumps(line) + "\n" for line in lines))
            out.flush()


def _branched(job: tuple[Source, str, int, str]) -> list[dict]:
    """Returns the states of a training, and what each decision there led to."""
    source, condition, seed, base = job
    episode = Episode.of(source, condition, seed)
    if episode is None:
        return []
    try:
        rows = branch(episode.start(base), episode.reward, rng=np.random.default_rng(seed))
    except FloatingPointError:
        return []
    about = {"run": (source.task.name, condition, seed, base), "family": source.family}
    return [
        about
        | {
            "seen": {k: round(v, 5) for k, v in row.observation.to_json().items()},
            "rewards": [round(v, 5) for v in row.rewards],
            "before": row.before,
        }
        for row in rows
    ]


def _quick_first(tasks: list[Source]) -> list[Source]:
    """Returns the tasks, those that train quickest first: narrow tables, wide ones, images, sequences."""
    return sorted(tasks, key=lambda s: (list(NETWORKS).index(s.task.form), s.task.inputs.n_features, s.task.name))


def read(file: Path) -> list[dict]:
    if not file.exists():
        return []
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def table() -> tuple[list[Branches], list[dict]]:
    lines = read(TABLE)
    rows = [Branches(Observation.of_json(r["seen"]), tuple(r["rewards"]), tuple(r["before"])) for r in lines]
    return rows, lines


KLS = (0.002, 0.004, 0.006, 0.01, 0.02)
N_FOLDS = 10
UNEVEN = 0.3
"""Imbalance from which a rule that was written by hand, after a look at the table, weighs two classes evenly."""


def learn(kl: float | None) -> None:
    """Chooses the weight of the divergence by families held out, learns from all of the table, says what to expect.

    The mean gain over families decides. Beside the controller stands the best blind rule: at each point the decision
    that was best on the families not held out, whatever is seen; and a rule that was written by hand.
    """
    rows, lines = table()
    families, conditions = [r["family"] for r in lines], [r["run"][1] for r in lines]
    rewards = np.array([r.rewards for r in rows])
    gains = {f"controller, kl {kl}": np.zeros(len(rows)) for kl in KLS} | {"blind rule": np.zeros(len(rows))}
    for fit, held in by_family(families, N_FOLDS):
        for weight in KLS:
            controller = learn_controller([rows[i] for i in fit], ControlSettings(kl=weight))
            gains[f"controller, kl {weight}"][held] = worth(controller, [rows[i] for i in held])
        number = np.array([len(r.before) for r in rows])
        for k in range(len(POINTS)):
            best = int(rewards[fit][number[fit] == k].mean(axis=0).argmax())
            mine = held[number[held] == k]
            gains["blind rule"][mine] = rewards[mine, best] - rewards[mine, 0]
    best_kl = kl or max(KLS, key=lambda weight: _by_family(gains[f"controller, kl {weight}"], families).mean())
    gains |= {f"always {d.name}": rewards[:, j] - rewards[:, 0] for j, d in enumerate(DECISIONS) if d is not GO_ON}
    two_uneven = np.array([r.observation.is_binary and r.observation.imbalance > UNEVEN for r in rows])
    gains["balance two uneven classes"] = gains["always balance"] * two_uneven
    gains["best, known afterwards"] = rewards.max(axis=1) - rewards[:, 0]
    print(f"{len(rows)} states of {len({tuple(r['run']) for r in lines})} trainings, {len(set(families))} families")
    print("| gain over going on | all | " + " | ".join(CONDITIONS) + " |\n|" + "---|" * (2 + len(CONDITIONS)))
    for name, values in gains.items():
        cells = [_interval(values, families)]
        for condition in CONDITIONS:
            mine = [i for i, c in enumerate(conditions) if c == condition]
            cells.append(_interval(values[mine], [families[i] for i in mine]))
        print(f"| {name} | " + " | ".join(cells) + " |")
    controller = learn_controller(rows, ControlSettings(kl=best_kl, about={"families": len(set(families))}))
    controller.save(CONTROLLER)
    chosen = [controller.decide(r.observation)[0].name for r in rows]
    print(f"kl {best_kl} decides: { ({d.name: chosen.count(d.name) for d in DECISIONS}) }")


def _by_family(values: np.ndarray, families: list[str]) -> np.ndarray:
    """Returns the mean of each family, by name."""
    return np.array([values[[f == name for f in families]].mean() for name in sorted(set(families))])


def _interval(values: np.ndarray, families: list[str]) -> str:
    """Returns the mean over families with a 95 % bootstrap interval over them."""
    by_name = _by_family(values, families)
    rng = np.random.default_rng(0)
    means = np.array([rng.choice(by_name, len(by_name)).mean() for _ in range(2000)])
    return f"{np.mean(by_name):+.4f} ({np.quantile(means, 0.025):+.4f} to {np.quantile(means, 0.975):+.4f})"


def _train(episode: Episode, kind: str, controller: Controller | None = None) -> dict[str, dict]:
    """Trains once; returns rewards without the price of steps, and shares of the planned steps.

    Under a constant rate it says as well what early stopping would have left.
    """
    fitting, found, taken = episode.start(kind), {}, []
    while not fitting.ended:
        fitting.look()
        if controller is not None and fitting.is_due:
            taken.append(controller.decide(fitting.observe())[0])
            fitting.decide(taken[-1])
        waited = fitting.progress - fitting.best.progress
        if kind == "constant" and controller is None and "early_stopping" not in found and waited > PATIENCE:
            found["early_stopping"] = {"reward": episode.reward(fitting, price=0.0), "steps": fitting.progress}
    end = {"reward": episode.reward(fitting, price=0.0), "steps": fitting.progress}
    if kind == "constant" and controller is None:
        found.setdefault("early_stopping", end)
    name = kind if controller is None else f"{kind}+control"
    return found | {name: end | ({"decided": [d.name for d in taken]} if controller else {})}


def compare(data: Path, budget_s: float, workers: int, which: str) -> None:
    """Trains meta-test tasks by every method on the same rows and from the same weights; meta-train tasks by schedules.

    The controller takes part once it has been learned.
    """
    methods = {kind: (kind, None) for kind in SCHEDULES if which != "control"}
    if CONTROLLER.exists() and which != "fixed":
        controller = Controller.load(CONTROLLER)
        methods |= {f"{base}+control": (base, controller) for base in BASES}
    done = {(r["task"], r["condition"], r["seed"], r["method"]) for r in read(RUNS)}
    jobs = []
    for seed in range(N_SEEDS):
        for source in _quick_first(list(sources(data))):
            for condition in CONDITIONS:
                todo = {m: v for m, v in methods.items() if (source.task.name, condition, seed, m) not in done}
                if source.side == "train":
                    todo = {m: v for m, v in todo.items() if v[1] is None and seed == 0}
                if todo:
                    jobs.append((source, condition, seed, list(todo.values())))
    with RUNS.open("a", encoding="utf-8") as out:
        for lines in spread(_compared, jobs, workers, budget_s):
            out.write("".join(json.dumps(line) + "\n" for line in lines))
            out.flush()


def _compared(job: tuple[Source, str, int, list[tuple[str, Controller | None]]]) -> list[dict]:
    source, condition, seed, todo = job
    episode = Episode.of(source, condition, seed)
    if episode is None:
        return []
    about = {"task": source.task.name, "form": source.task.form, "family": source.family, "side": source.side}
    about |= {"condition": condition, "seed": seed}
    trained = (item for kind, controller in todo for item in _train(episode, kind, controller).items())
    return [about | {"method": method} | result for method, result in trained]


def report() -> None:
    """Prints the table of methods, and the controller's gains with intervals over families."""
    methods = [*SCHEDULES, "early_stopping", *(f"{base}+control" for base in BASES)]
    found: dict[tuple, dict[str, dict]] = {}
    for r in read(RUNS):
        found.setdefault((r["side"], r["condition"], r["task"], r["seed"]), {})[r["method"]] = r
    chosen = max(SCHEDULES, key=lambda m: _mean(found, "train", CONDITIONS, m))
    by_condition = {c: max(SCHEDULES, key=lambda m: _mean(found, "train", (c,), m)) for c in CONDITIONS}
    print(f"best fixed schedule of the meta-train tasks: {chosen}; by condition: {by_condition}\n")
    whole = {c: [v for k, v in found.items() if k[:2] == ("test", c) and set(methods) <= set(v)] for c in CONDITIONS}
    print("| condition | mean over | " + " | ".join(methods) + " |\n|" + "---|" * (len(methods) + 2))
    for c, runs in whole.items():
        rewards, families = _rewards(runs, methods), _families(runs)
        counts = f"{len({v[chosen]['task'] for v in runs})} tasks, {len(runs)} runs", f"{len(set(families))} families"
        print(f"| {c} | {counts[0]} | " + " | ".join(f"{r.mean():.4f}" for r in rewards) + " |")
        print(f"| | {counts[1]} | " + " | ".join(f"{_by_family(r, families).mean():.4f}" for r in rewards) + " |")
    print("\n| condition | controller | less best fixed | less cosine | less early stopping | less its base | steps |")
    print("|---|---|---|---|---|---|---|")
    for c, runs in whole.items():
        for base in BASES:
            mine, *others = _rewards(runs, [f"{base}+control", chosen, "cosine", "early_stopping", base])
            cells = [_interval(mine - other, _families(runs)) for other in others]
            steps = np.mean([v[f"{base}+control"]["steps"] for v in runs])
            print(f"| {c} | {base}+control | " + " | ".join(cells) + f" | {steps:.2f} |")
    print(f"\n{chosen}+control less {chosen}, by form and by family\n")
    print("| condition | form | families | gain | families with the least and the most |\n|---|---|---|---|---|")
    for c, runs in whole.items():
        for form in NETWORKS:
            some = [v for v in runs if v[chosen]["form"] == form]
            if some:
                mine, other = _rewards(some, [f"{chosen}+control", chosen])
                names, gains = sorted(set(_families(some))), _by_family(mine - other, _families(some))
                ends = ", ".join(f"{names[i]} {gains[i]:+.3f}" for i in (gains.argmin(), gains.argmax()))
                print(f"| {c} | {form} | {len(names)} | {_interval(mine - other, _families(some))} | {ends} |")


def _rewards(runs: list[dict[str, dict]], methods: list[str]) -> np.ndarray:
    return np.array([[v[m]["reward"] for v in runs] for m in methods])


def _families(runs: list[dict[str, dict]]) -> list[str]:
    return [next(iter(v.values()))["family"] for v in runs]


def _mean(found: dict[tuple, dict[str, dict]], side: str, conditions: tuple[str, ...], method: str) -> float:
    return float(
        np.mean([v[method]["reward"] for k, v in found.items() if k[0] == side and k[1] in conditions and method in v])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("collect", "learn", "compare", "report"))
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--budget", default="15m")
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--methods", choices=("all", "fixed", "control"), default="all", help="what `compare` trains")
    parser.add_argument("--kl", type=float, help="weight of the divergence; `learn` chooses it if not given")
    given = parser.parse_args()
    if given.what == "collect":
        collect(given.data, read_duration_s(given.budget), given.workers)
    elif given.what == "learn":
        learn(given.kl)
    elif given.what == "compare":
        compare(given.data, read_duration_s(given.budget), given.workers, given.methods)
    else:
        report()


if __name__ == "__main__":
    main()
