"""When does it help to begin with the weights of another task? And does g learn when?

    python benchmarks/transfer.py collect DATA --budget 20m    # trains; goes on where it stood
    python benchmarks/transfer.py learn                        # 5 seeds of meta-training, and what came of it

DATA holds images/, omniglot/, sequences/ and tasks/. Networks are trained on a few large source tasks; then, on each of
many small target tasks, from scratch, fine-tuned and frozen from each source. Support rows are few, query rows
are used for the reward alone (0: constant, 1: perfect in log loss; below -1 counts as -1). Rows of sources and
targets are disjoint. Learning leaves one family of targets out at a time and is measured on that family.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gstar.distribution import TreeDistribution
from gstar.inner import fit_one
from gstar.learner import TrainingSpec, get_learner
from gstar.look import distance, look
from gstar.metric import METRICS
from gstar.outer import OuterSettings, run_outer
from gstar.policies.candidates import make_strategy
from gstar.reading import make_task
from gstar.settings import read_duration_s
from gstar.strategy import INIT_SPACE, Strategy
from gstar.task import Task
from gstar.validation import plan_folds
from gstar.weights import Weights, read
from gstar.worlds.recorded import RecordedWorld
from gstar.worlds.rewards import RewardScale

FILE = Path(__file__).parent / "results" / "transfer.jsonl"
SOURCE_ROWS = 1500
QUERY_ROWS = 400
NETWORKS = {
    "images": ("cnn", {"width": 16, "depth": 2, "epochs": 20}),
    "sequences": ("cnn", {"width": 16, "depth": 2, "epochs": 20}),
    "table": ("mlp", {"epochs": 20}),
}
INITS = ("scratch", "fine_tuned", "frozen")
"""In the order in which `TreeDistribution(INIT_SPACE).enumerate()` walks."""


@dataclass(frozen=True, eq=False)
class Target:
    """Is a small task: which of its rows are support is drawn by seed; the others are query.

    Args:
        task: All its rows.
        family: What is left out together.
        rows: Support rows.
        sources: Names of what it may begin with.
    """

    task: Task
    family: str
    rows: int
    sources: tuple[str, ...]


# --- the tasks


def load_images(data: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns pixels ``(N, 1, H, W)`` and labels by collection; photos are made grey, so that all have one channel."""
    from PIL import Image

    mnist = np.load(data / "images" / "mnist_10k.npz")
    cifar = np.load(data / "images" / "cifar10_train.npz")
    rows = np.random.default_rng(0).permutation(50_000)[:8000]
    content, ends = cifar["jpeg"].tobytes(), cifar["ptr"]
    photos = np.stack([np.asarray(Image.open(io.BytesIO(content[ends[i] : ends[i + 1]])).convert("L")) for i in rows])
    found = {"digits": (mnist["x"][:, None], mnist["y"]), "photos": (photos[:, None], cifar["y"][rows])}
    for part in (1, 2):
        drawn = np.load(data / "omniglot" / f"images_background_small{part}.npz")
        for i, name in enumerate(drawn["alphabet_names"]):
            mine = drawn["alphabet"] == i
            found[str(name)] = (drawn["images28"][mine][:, None], drawn["character"][mine])
    return found


def corrupted(x: np.ndarray, how: str) -> np.ndarray:
    if how == "inverted":
        return 255 - x
    if how == "noise":
        return np.clip(x + np.random.default_rng(1).normal(0, 80, x.shape), 0, 255).astype(np.uint8)
    blurred = x.astype(float)
    for axis in (2, 3, 2, 3):
        blurred = (np.roll(blurred, 1, axis) + blurred + np.roll(blurred, -1, axis)) / 3
    return blurred.astype(np.uint8)


LETTERS = ("Balinese", "Early_Aramaic", "Korean")
ALPHABETS = ("Greek", "Latin", "Sanskrit", "Tagalog", "Japanese")


def sources(data: Path) -> Iterator[Task]:
    """Yields the large tasks."""
    images = load_images(data)
    x, y = images["digits"]
    yield task_of(x[:SOURCE_ROWS], y[:SOURCE_ROWS], "digits")
    low = np.flatnonzero(y[:5000] < 5)[:SOURCE_ROWS]
    yield task_of(x[low], y[low], "digits 0-4")
    x, y = images["photos"]
    low = np.flatnonzero(y < 5)[:SOURCE_ROWS]
    yield task_of(x[low], y[low], "photos 0-4")
    drawn = [images[_near(images, name)] for name in LETTERS]
    x = np.concatenate([part[0] for part in drawn])
    y = np.concatenate([part[1] + 100 * i for i, part in enumerate(drawn)])
    yield task_of(x, y, "letters")
    for name in ("italy_power_demand", "osu_leaf", "plaid"):
        yield sequences(data, name)
    for name in ("phoneme", "page_blocks"):
        yield table(data, name)


def targets(data: Path) -> Iterator[Target]:
    """Yields the small tasks."""
    images = load_images(data)
    x, y = images["digits"]
    for how in ("noise", "inverted", "blurred"):
        task = task_of(corrupted(x[6000:7000], how), y[6000:7000], how)
        yield from (Target(task, "digits", n, ("digits", "letters", "photos 0-4")) for n in (50, 150, 300))
    high = np.flatnonzero(y[6000:] >= 5)[:1000] + 6000
    task = task_of(x[high], y[high], "digits 5-9")
    yield from (Target(task, "digits", n, ("digits 0-4", "letters", "photos 0-4")) for n in (50, 150, 300))
    for name in ALPHABETS:
        x, y = images[_near(images, name)]
        few = y <= 10
        task = task_of(x[few], y[few], name)
        yield from (Target(task, "letters", n, ("digits", "letters", "photos 0-4")) for n in (50, 100))
    x, y = images["photos"]
    for classes in ((5, 6, 7, 8, 9), (5, 8), (6, 7, 9)):
        mine = np.flatnonzero(np.isin(y, classes))[:1000]
        task = task_of(x[mine], y[mine], "photos " + " ".join(map(str, classes)))
        yield from (Target(task, "photos", n, ("digits", "letters", "photos 0-4")) for n in (50, 150, 300))
    for name in ("gun_point", "coffee", "acsf1"):
        yield Target(sequences(data, name), "series", 30, ("italy_power_demand", "osu_leaf", "plaid"))
    for name in ("gun_point", "acsf1"):
        yield Target(sequences(data, name), "series", 100, ("italy_power_demand", "osu_leaf", "plaid"))
    for name in ("banana", "vehicle", "segment", "wine"):
        yield from (Target(table(data, name), "tables", n, ("phoneme", "page_blocks")) for n in (50, 100))


def task_of(x: np.ndarray, y: np.ndarray, name: str) -> Task:
    return make_task(x, np.asarray(y).astype(str), name=name, metric="log_loss")


def sequences(data: Path, name: str) -> Task:
    arrays = np.load(data / "sequences" / f"{name}.npz")
    x, y = np.asarray(arrays["x"], np.float32), arrays["y"]
    x = x[:, :, None] if x.ndim == 2 else x
    lengths = arrays["lengths"] if "lengths" in arrays else np.full(len(x), x.shape[1])
    rows = np.random.default_rng(0).permutation(len(x))[:SOURCE_ROWS]
    return make_task([x[i, : lengths[i]] for i in rows], y[rows].astype(str), name=name, metric="log_loss")


def table(data: Path, name: str) -> Task:
    import csv

    with (data / "manifest.csv").open(encoding="utf-8") as lines:
        target = next(row["target"] for row in csv.DictReader(lines) if row["name"] == name)
    task = make_task(data / "tasks" / f"{name}.parquet", target=target, name=name, metric="log_loss")
    rows = np.random.default_rng(0).permutation(len(task))[:SOURCE_ROWS]
    return task.take(rows)


def _near(images: dict[str, object], name: str) -> str:
    return next(key for key in images if key.startswith(name))


# --- training


def strategy_for(form: str, init: str) -> Strategy:
    name, configuration = NETWORKS[form]
    plain = make_strategy(name, get_learner(name), configuration)
    chosen = {} if init == "scratch" else {"kind": "remembered", "body": init}
    return Strategy(plain.learner, plain.configuration, plain.selection, plain.schedule, chosen)


def train(task: Task, support: np.ndarray, strategy: Strategy, initial: dict[str, bytes] | None, seed: int):
    """Returns a network that was trained on three quarters of the support rows and stopped by the others."""
    learner = get_learner(strategy.learner)
    fit, valid = plan_folds(task.take(support), folds=1, fraction=0.25, seed=seed)[0]
    fit, valid = support[fit], support[valid]
    spec = TrainingSpec(
        task.kind,
        task.n_classes,
        strategy.configuration,
        strategy.schedule,
        seed=seed,
        validation=(task.inputs.take(valid), task.target[valid]),
        initial=initial,
        frozen=strategy.init.get("body") == "frozen",
    )
    state, _ = fit_one(learner, task.inputs.take(fit), task.target[fit], spec, loss="log_loss", deadline=None)
    return learner, state


def source_parts(data: Path, folder: Path) -> dict[str, tuple[Task, dict[str, bytes], float]]:
    """Trains the sources, or takes them from the folder of an earlier call; returns task, parts and accuracy."""
    store, found = Weights(folder, quota_mb=100.0), {}
    known = {source.task: source for source in store}
    for task in sources(data):
        if task.fingerprint in known:
            found[task.name] = (task, read(known[task.fingerprint].path))
            continue
        begin = time.monotonic()
        strategy = strategy_for(task.form, "scratch")
        learner, state = train(task, np.arange(len(task)), strategy, None, 0)
        parts = learner.save(state)
        kept = store.keep(task, strategy, parts, run="")
        found[task.name] = (task, parts if kept is None else read(kept.path))
        say(f"source {task.name}: {len(task)} rows, {task.n_classes} classes, {time.monotonic() - begin:.0f} s")
    return found


def collect(data: Path, budget_s: float, seeds: range) -> None:
    """Trains what is not in the file yet, until the budget is spent."""
    end = time.monotonic() + budget_s
    done = {(r["task"], r["rows"], r["source"], r["init"], r["seed"]) for r in records()}
    have = source_parts(data, Path(tempfile.gettempdir()) / "gstar-transfer-sources")
    todo = list(targets(data))
    order = np.random.default_rng(0).permutation(len(todo))  # so that a part of it is of all families
    with FILE.open("a", encoding="utf-8") as out:
        for seed, i in itertools.product(seeds, order):
            target = todo[i]
            for source, init in [("", "scratch"), *itertools.product(target.sources, INITS[1:])]:
                if (target.task.name, target.rows, source, init, seed) in done:
                    continue
                if time.monotonic() > end:
                    return
                out.write(json.dumps(measured(target, source, init, seed, have)) + "\n")
                out.flush()


def measured(target: Target, source: str, init: str, seed: int, have) -> dict:
    """Trains one network and returns what is to be remembered of it."""
    task, begin = target.task, time.process_time()
    share = 1 - target.rows / len(task)
    support, query = plan_folds(task, folds=1, fraction=share, seed=seed)[0]
    query = query[:QUERY_ROWS]
    from_task, parts = have[source] if source else (None, None)
    learner, state = train(task, support, strategy_for(task.form, init), parts, seed)
    predicted, truth = learner.predict(state, task.inputs.take(query)), task.target[query]
    score = METRICS["log_loss"].score(truth, predicted)
    reward = float(RewardScale.of_task(task, support, query).reward(np.array(score)))
    apart = distance(look(task.inputs.take(support)), look(from_task.inputs)) if from_task else 0.0
    return {
        "family": target.family,
        "task": task.name,
        "rows": target.rows,
        "classes": task.n_classes,
        "source": source,
        "source_rows": len(from_task) if from_task else 0,
        "source_classes": from_task.n_classes if from_task else 0,
        "distance": round(apart, 4),
        "init": init,
        "seed": seed,
        "reward": round(max(reward, -1.0), 5),
        "accuracy": round(float((predicted.argmax(axis=1) == truth).mean()), 4),
        "seconds": round(time.process_time() - begin, 2),
    }


def records() -> list[dict]:
    if not FILE.exists():
        return []
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- learning


@dataclass(frozen=True, eq=False)
class Cases:
    """Is all pairs of a target and a source.

    Args:
        contexts: ``(T, X)`` what g sees.
        rewards: ``(T, 3)`` of `INITS`.
        families: ``(T,)`` names.
        groups: ``(T,)`` names of the targets: what is drawn together in a bootstrap.
        nearest: ``(T,)`` whether the source is the most similar one.
    """

    contexts: np.ndarray
    rewards: np.ndarray
    families: np.ndarray
    groups: np.ndarray
    nearest: np.ndarray


def cases() -> Cases:
    """Returns the pairs of which all three rewards are there."""
    rewards = {(r["task"], r["rows"], r["seed"], r["source"], r["init"]): r["reward"] for r in records()}
    found = []
    for r in records():
        target = (r["task"], r["rows"], r["seed"])
        three = [rewards.get((*target, "" if init == "scratch" else r["source"], init)) for init in INITS]
        if r["init"] == "fine_tuned" and None not in three:
            found.append((r, target, context_of(r), three))
    least: dict[tuple, float] = {}
    for r, target, _, _ in found:
        least[target] = min(r["distance"], least.get(target, np.inf))
    return Cases(
        np.array([c for _, _, c, _ in found]),
        np.array([t for _, _, _, t in found]),
        np.array([r["family"] for r, _, _, _ in found]),
        np.array([r["task"] for r, _, _, _ in found]),
        np.array([r["distance"] == least[target] for r, target, _, _ in found]),
    )


def context_of(r: dict) -> list[float]:
    """Returns what g sees of a target and a source, centred and scaled by constants."""
    return [
        min(r["distance"], 2.0) - 0.5,
        2 * (np.log10(r["rows"]) - 2),
        2 * (np.log10(r["rows"] / r["classes"]) - 1),
    ]


def learned(known: Cases, rows: np.ndarray, seed: int) -> tuple[TreeDistribution, np.ndarray]:
    """Returns g and its meta-parameters after the exact policy gradient on these pairs."""
    g = TreeDistribution(INIT_SPACE, context_size=known.contexts.shape[1])
    strategies = [Strategy.from_point({"learner": "cnn", **init_of(i)}) for i in INITS]
    ones = np.ones(len(rows))
    world = RecordedWorld(
        known.contexts[rows], strategies, known.rewards[rows], np.zeros((len(rows), 3)), 0 * ones, ones
    )
    settings = OuterSettings(
        "exact", tasks=min(64, len(rows)), iterations=300, entropy=0.003, natural=False, convergence=None, seed=seed
    )
    return g, run_outer(g, world, settings, start=g.start(np.random.default_rng(seed))).meta


def picks(known: Cases, train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Returns what g picks for the pairs of `test` after it has learned on those of `train`."""
    g, meta = learned(known, train, seed)
    return chances(g, meta, known.contexts[test]).argmax(axis=1)


def accepted_picks(known: Cases, train: np.ndarray, own: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Returns what is picked if g is used only where it beat the best fixed rule when families were left out.

    Args:
        known: All pairs.
        train: Those that may be learned from.
        own: What g picks for `test` after it has learned from all of them.
        test: Those that are picked for.
        seed: Seed of g.
    """
    gains = []
    for family in np.unique(known.families[train]):
        inner, left = train[known.families[train] != family], train[known.families[train] == family]
        fixed = known.rewards[inner].mean(axis=0).argmax()
        chosen = picks(known, inner, left, seed)
        gains.append((known.rewards[left, chosen] - known.rewards[left, fixed]).mean())
    return own if np.mean(gains) > 0 else np.full(len(test), known.rewards[train].mean(axis=0).argmax())


def init_of(name: str) -> dict[str, str]:
    return {"init.kind": "scratch"} if name == "scratch" else {"init.kind": "remembered", "init.body": name}


def chances(g: TreeDistribution, meta: np.ndarray, contexts: np.ndarray) -> np.ndarray:
    """Returns ``(T, 3)`` probabilities of `INITS`."""
    points, _ = g.enumerate()
    every = points.take(np.tile(np.arange(3), len(contexts)))
    return np.exp(np.asarray(g.log_prob(meta, contexts, every))).reshape(-1, 3)


def learn(seeds: int) -> None:
    """Leaves each family out in turn, lets g learn on the others, and prints what came of it."""
    known = cases()
    free, guarded = np.zeros((2, seeds, len(known.rewards)), int)
    for seed, family in itertools.product(range(seeds), np.unique(known.families)):
        others, own = np.flatnonzero(known.families != family), np.flatnonzero(known.families == family)
        drawn = np.random.default_rng(seed).choice(others, len(others))  # each seed learns from other pairs
        free[seed, own] = picks(known, drawn, own, seed)
        guarded[seed, own] = accepted_picks(known, drawn, free[seed, own], own, seed)
    n_targets = len(np.unique(known.groups))
    print(f"{len(known.rewards)} pairs of {n_targets} targets and a source; mean reward\n")
    print("| family left out | source | pairs | scratch | fine-tuned | frozen | g | oracle | g picks | best is |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for family, (name, near) in itertools.product(np.unique(known.families), (("nearest", True), ("others", False))):
        rows = np.flatnonzero((known.families == family) & (known.nearest == near))
        if len(rows):
            print(f"| {family} | {name} | {len(rows)} | " + line(known.rewards, free, rows) + " |")
    images = ~np.isin(known.families, ["series", "tables"])
    for who, picked in (("g", free), ("g where accepted, else the best fixed rule of the other families", guarded)):
        for name, rows in (
            ("all pairs", np.arange(len(known.rewards))),
            ("nearest source only", np.flatnonzero(known.nearest)),
            ("images, nearest source only", np.flatnonzero(known.nearest & images)),
        ):
            print(f"\nReward of {who}, less that of another rule; {name}; mean over targets [95 %]")
            own = np.mean([known.rewards[rows, picked[s, rows]] for s in range(seeds)], axis=0)
            for i, init in enumerate((*INITS, "oracle")):
                other = known.rewards[rows].max(axis=1) if init == "oracle" else known.rewards[rows, i]
                mean, low, high = interval(own - other, known.groups[rows])
                print(f"  {'always ' if init != 'oracle' else ''}{init}: {mean:+.3f} [{low:+.3f}, {high:+.3f}]")


def line(rewards: np.ndarray, picked: np.ndarray, rows: np.ndarray) -> str:
    own = np.mean([rewards[rows, choice[rows]] for choice in picked])
    shares = np.bincount(picked[:, rows].ravel(), minlength=3) / picked[:, rows].size
    means = [*rewards[rows].mean(axis=0), own, rewards[rows].max(axis=1).mean()]
    best = np.bincount(rewards[rows].argmax(axis=1), minlength=3) / len(rows)
    return " | ".join([*(f"{m:.3f}" for m in means), *(" ".join(f"{s:.0%}" for s in part) for part in (shares, best))])


def interval(values: np.ndarray, groups: np.ndarray) -> tuple[float, float, float]:
    """Returns the mean over groups of the means within, with a 95 % bootstrap interval over groups."""
    means = np.array([values[groups == group].mean() for group in np.unique(groups)])
    rng = np.random.default_rng(0)
    drawn = rng.choice(means, (4000, len(means))).mean(axis=1)
    return float(means.mean()), *(float(q) for q in np.quantile(drawn, [0.025, 0.975]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("collect", "learn"))
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--budget", default="20m")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=2, help="of the rows and the training; for learn: of g")
    given = parser.parse_args()
    if given.what == "collect":
        seeds = range(given.first_seed, given.first_seed + given.seeds)
        collect(given.data, read_duration_s(given.budget), seeds)
    else:
        learn(given.seeds)


if __name__ == "__main__":
    main()
