"""Measures policies by replaying recorded tasks, families held out.

    python benchmarks/policies.py                     # synthetic tables of clustered tasks, and shipped experience
    python benchmarks/policies.py experience.db       # and the recorded experience, all kinds
    python benchmarks/policies.py OPENML-WEKA-2017    # and a folder of ASlib (accuracy is maximised)

Each family fold is played by policies that know only the other folds. Printed is the mean
normalised regret (1 middling, 0 the best recorded strategy of the task) after k trials, with
a 95 % bootstrap interval over families; then, where costs are known, the mean over log time
of the regret within a budget in seconds; then the time of one `ask`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from gstar.cost import LearnerFacts
from gstar.metric import TaskKind
from gstar.policies.gaussian import GaussianPolicy
from gstar.policies.gradient import GradientPolicy
from gstar.policies.portfolio import PortfolioPolicy
from gstar.policies.random import RandomPolicy
from gstar.policy import AbstractPolicy, Context
from gstar.records import Records
from gstar.space import Categorical, Real, Scalar, Space
from gstar.strategy import Strategy
from gstar.trial import Proposal, Status, Trial

CHECKPOINTS = (1, 2, 4, 8, 16)
N_FOLDS = 5
N_BOOTSTRAP = 2000


@dataclass(frozen=True)
class Named:
    """A learner that is only a name, a space and a price."""

    space: Space
    seconds: float = 1.0
    has_schedule: bool = False
    is_anytime: bool = False
    handles_pace: bool = False
    handles_initial: bool = False
    default_schedule: Mapping[str, Scalar] = field(default_factory=dict)

    def has_same_body(self, a: Mapping[str, Scalar], b: Mapping[str, Scalar]) -> bool:
        return False

    def with_body(self, configuration: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
        return configuration

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        return self.seconds * rows / 1000


@dataclass(frozen=True)
class World:
    """Records to replay, and the learners that they name."""

    name: str
    records: Records
    learners: Mapping[str, LearnerFacts] | None


def synthetic(*, n_tasks: int, n_clusters: int, noise: float, seed: int, holes: float = 0.0) -> World:
    """Clusters of tasks: each likes other learners and other places in their spaces; meta-features are a noisy hint."""
    rng = np.random.default_rng(seed)
    space = Space({"a": Real(0, 1), "b": Real(0, 1), "c": Categorical(("x", "y"))})
    learners = {f"learner{i}": Named(space, 0.2 * 2.0**i) for i in range(6)}
    strategies = tuple(Strategy(name, space.sample(rng)) for name in learners for _ in range(20))
    where = np.array(
        [[s.configuration["a"], s.configuration["b"], s.configuration["c"] == "x"] for s in strategies], float
    )
    which = np.repeat(np.arange(6), 20)
    taste, centre = rng.normal(0, 0.5, (n_clusters, 6)), rng.random((n_clusters, 6, 3))
    cluster = rng.integers(0, n_clusters, n_tasks)
    own = taste[cluster] + rng.normal(0, 0.25, (n_tasks, 6))
    best = centre[cluster] + rng.normal(0, 0.15, (n_tasks, 6, 3))
    quality = own[:, which] - np.sum((where - best[:, which]) ** 2, axis=2) + rng.normal(0, noise, (n_tasks, 120))
    meta = np.eye(n_clusters)[cluster] @ rng.normal(size=(n_clusters, 10)) + rng.normal(0, 1.0, (n_tasks, 10))
    location, scale = rng.uniform(0.6, 0.95, (n_tasks, 1)), rng.lognormal(-3.5, 0.7, (n_tasks, 1))
    scores = location + scale * quality
    rows = rng.integers(500, 20_000, n_tasks)
    price = np.array([learners[s.learner].seconds for s in strategies])
    costs = rows[:, None] / 1000 * price * rng.lognormal(0, 0.3, scores.shape)
    known = rng.random(scores.shape) >= holes
    records = Records(
        TaskKind.BINARY,
        tuple(f"{i:032x}" for i in range(n_tasks)),
        tuple(f"family{i}" for i in range(n_tasks)),
        np.c_[rows, np.full(n_tasks, 20), np.full(n_tasks, 2)].astype(float),
        meta,
        strategies,
        np.where(known, scores, np.nan),
        np.where(known, costs, np.nan),
        known.astype(float),
        np.zeros(scores.shape),
    )
    name = f"synthetic: {n_tasks} tasks, {n_clusters} clusters, noise {noise:g}, holes {holes:.0%}"
    return World(name, records, learners)


def aslib(folder: Path) -> World:
    """A scenario of ASlib whose measure is a score; every algorithm is a learner without parameters."""
    runs = [line.split(",") for line in _data_lines(folder / "algorithm_runs.arff")]
    tasks, names = sorted({r[0] for r in runs}), sorted({r[2] for r in runs})
    scores = np.full((len(tasks), len(names)), np.nan)
    for task, _, name, score, status in runs:
        if status == "ok" and score != "?":
            scores[tasks.index(task), names.index(name)] = float(score)
    features = [line.split(",") for line in _data_lines(folder / "feature_values.arff")]
    values = {row[0]: [np.nan if v == "?" else float(v) for v in row[2:]] for row in features}
    meta = np.array([values[t] for t in tasks])
    meta = np.sign(meta) * np.log1p(np.abs(meta))
    meta = np.where(np.isfinite(meta), meta, np.nanmedian(meta, axis=0))
    meta = np.nan_to_num(meta)
    records = Records(
        TaskKind.MULTICLASS,
        tuple(tasks),
        tuple(tasks),
        np.tile([1000.0, 10.0, 2.0], (len(tasks), 1)),
        meta,
        tuple(Strategy(name) for name in names),
        scores,
        np.full(scores.shape, np.nan),
        np.isfinite(scores).astype(float),
        np.isnan(scores).astype(float),
    )
    return World(folder.name, records, {name: Named(Space({})) for name in names})


def _data_lines(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().upper() == "@DATA")
    return [line for line in lines[start + 1 :] if line.strip() and not line.startswith("%")]


def experience(path: Path) -> list[World]:
    """The recorded experience, one world per kind of task."""
    from gstar.experience import Experience

    with Experience.open(path, mode="frozen", shipped=False) as opened:
        found = {kind: opened.records(kind) for kind in TaskKind}
    return [World(f"{path.name}: {kind}", records, None) for kind, records in found.items() if len(records) >= N_FOLDS]


def shipped() -> list[World]:
    """The experience that comes with the package, one world per kind of task."""
    from gstar.experience import Experience

    metrics = {TaskKind.BINARY: "roc_auc", TaskKind.MULTICLASS: "log_loss", TaskKind.REGRESSION: "rmse"}
    with Experience.open(mode="off", shipped=True) as opened:
        return [World(f"shipped: {kind}", opened.knowledge(kind, metric), None) for kind, metric in metrics.items()]


def play(
    policy: AbstractPolicy, world: World, row: int, *, trials: int, budget_s: float | None, seed: int
) -> tuple[list[float], list[float]]:
    """One task: the score and the cost of each trial, in order.

    A strategy that was never tried on the task is set aside, as if it ran for ever, and is not counted.
    """
    records = world.records
    place = {s: j for j, s in enumerate(records.strategies)}
    rng = np.random.default_rng([seed, row])
    context = _context(records, row)
    scores: list[float] = []
    costs: list[float] = []
    while len(scores) < trials:
        left = None if budget_s is None else budget_s - sum(costs)
        context = replace(context, budget_left_s=left, trials_left=trials - len(scores) if left is None else None)
        (proposal,) = policy.ask([context], rng)
        if proposal is None:
            break
        column = place[proposal.strategy]
        score, cost = float(records.scores[row, column]), float(records.costs[row, column])
        if np.isnan(score) and not records.failures[row, column]:
            context = replace(context, pending=(*context.pending, proposal.strategy))
            continue
        cost = cost if np.isfinite(cost) else 0.1
        if left is not None and cost > left:
            break
        trial = _trial(proposal, score, cost)
        context = replace(context, history=(*context.history, trial))
        scores.append(score if trial.completed else -np.inf)
        costs.append(cost)
    return scores, costs


def _context(records: Records, row: int) -> Context:
    rows, features, classes = (int(v) for v in records.shapes[row])
    return Context(
        task="new",
        kind=records.kind,
        form="table",
        metric="",
        n_rows=rows,
        n_features=features,
        n_classes=classes,
        meta_features=records.meta_features[row],
        learners=tuple(sorted({s.learner for s in records.strategies})),
        has_order=True,
    )


def _trial(proposal: Proposal, score: float, cost_s: float) -> Trial:
    status, known = (Status.COMPLETED, score) if np.isfinite(score) else (Status.FAILED, None)
    return Trial(proposal, "new", status, "holdout", 0, "", score=known, cost_s=cost_s)


def regret(records: Records, row: int, scores: Sequence[float]) -> list[float]:
    """Normalised regret of the best so far after each trial; at most 2."""
    known = records.scores[row][np.isfinite(records.scores[row])]
    span = max(float(known.max() - np.median(known)), 1e-12)
    best = np.maximum.accumulate(scores) if len(scores) else np.empty(0)
    return [float(v) for v in np.minimum((known.max() - best) / span, 2.0)]


def interval(values: np.ndarray, families: Sequence[str]) -> str:
    """Mean over tasks, and a 95 % bootstrap interval over families."""
    groups = [np.flatnonzero([f == g for f in families]) for g in dict.fromkeys(families)]
    rng = np.random.default_rng(0)
    sums, sizes = np.array([values[g].sum() for g in groups]), np.array([len(g) for g in groups])
    draws = rng.integers(0, len(groups), (N_BOOTSTRAP, len(groups)))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.3f} [{low:.3f} {high:.3f}]"


def evaluate(world: World, policies: Mapping[str, Callable[[Records], AbstractPolicy]], *, seeds: int) -> None:
    """Prints the table of one world."""
    records = world.records
    print(f"\n{world.name}: {len(records)} tasks x {len(records.strategies)} strategies")
    names = sorted(set(records.families))
    order = np.random.default_rng(0).permutation(len(names))
    fold_of = {names[i]: int(k) % N_FOLDS for k, i in enumerate(order)}
    has_costs = bool(np.isfinite(records.costs).any())
    print(
        f"{'':12s}" + "".join(f"{f'after {k}':>24s}" for k in CHECKPOINTS) + ("   over log time" if has_costs else "")
    )
    for label, make in policies.items():
        n_seeds = seeds if label == "random" else 1
        curves = np.full((len(records), max(CHECKPOINTS)), np.nan)
        timed = np.full(len(records), np.nan)
        seconds, asks = 0.0, 0
        for fold in range(N_FOLDS):
            held_out = frozenset(f for f in names if fold_of[f] == fold)
            policy = make(records.without(families=held_out))
            for row in (i for i, f in enumerate(records.families) if f in held_out):
                curve, over_time = [], []
                for seed in range(n_seeds):
                    began = time.perf_counter()
                    scores, _ = play(policy, world, row, trials=max(CHECKPOINTS), budget_s=None, seed=seed)
                    seconds, asks = seconds + time.perf_counter() - began, asks + len(scores)
                    path = regret(records, row, scores)
                    curve.append(path + [path[-1]] * (max(CHECKPOINTS) - len(path)))
                    if has_costs:
                        over_time.append(_over_log_time(policy, world, row, seed))
                curves[row] = np.mean(curve, axis=0)
                timed[row] = np.mean(over_time) if over_time else np.nan
        cells = [interval(curves[:, k - 1], records.families) for k in CHECKPOINTS]
        tail = f"   {interval(timed, records.families)}" if has_costs else ""
        print(
            f"{label:12s}"
            + "".join(f"{c:>24s}" for c in cells)
            + tail
            + f"   ask {1000 * seconds / max(asks, 1):.1f} ms"
        )


def _over_log_time(policy: AbstractPolicy, world: World, row: int, seed: int) -> float:
    """Mean regret over log time, from 1/50 of the budget to the budget: 8 typical trials."""
    records = world.records
    budget_s = 8 * float(np.nanmean(records.costs[row]))
    scores, costs = play(policy, world, row, trials=100, budget_s=budget_s, seed=seed)
    path, ends = regret(records, row, scores), np.cumsum(costs)
    times = np.geomspace(budget_s / 50, budget_s, 60)
    return float(np.mean([min([2.0, *(r for r, end in zip(path, ends, strict=True) if end <= t)]) for t in times]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, help="an experience file or a folder of ASlib")
    parser.add_argument("--seeds", type=int, default=5, help="how often random search is played")
    arguments = parser.parse_args()
    worlds = [
        synthetic(n_tasks=100, n_clusters=4, noise=0.05, seed=0),
        synthetic(n_tasks=100, n_clusters=4, noise=0.2, seed=1, holes=0.3),
        synthetic(n_tasks=20, n_clusters=3, noise=0.1, seed=2),
    ]
    worlds += shipped()
    for path in arguments.paths:
        worlds += [aslib(path)] if path.is_dir() else experience(path)
    for world in worlds:
        given = world.learners
        evaluate(
            world,
            {
                "random": lambda r, given=given: RandomPolicy(r, learners=given, closed=True),
                "portfolio": lambda r, given=given: PortfolioPolicy(r, learners=given, closed=True),
                "gaussian": lambda r, given=given: GaussianPolicy(r, learners=given, closed=True),
                "gradient": lambda r, given=given: GradientPolicy(r, learners=given, closed=True),
            },
            seeds=arguments.seeds,
        )


if __name__ == "__main__":
    main()
