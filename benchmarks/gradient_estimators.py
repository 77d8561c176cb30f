"""The ablation: expected reward against number of inner trainings, for every estimator of the policy gradient.

    python benchmarks/gradient_estimators.py linear shipped weka live ahead speed

linear    the linear world; the expected reward in closed form, as a share of the way from the start to the optimum
shipped   the shipped experience, families of tasks held out; the exact expected reward on the held-out tasks
weka      a scenario of ASlib in the folder $DATA, tasks held out, ten principal components of its features as
          context; the same
live      models that are trained now, on small tables; the mean reward of the last trials
ahead     what g loses for the same number of trainings if iterations are begun ahead, on the first three
speed     policy update for 1,000 trials, simulated episodes a second, memory

All estimators take plain (Adam) steps here, but `natural`, which is leave-one-out with steps of equal
divergence, gstar's default where g is small. Each is shown at the rate that was best for it in the last column.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import numpy as np

from gstar.distribution import AbstractDistribution, TreeDistribution
from gstar.errors import DataError
from gstar.gradients import GRADIENTS
from gstar.outer import OuterSettings, run_outer
from gstar.records import Records
from gstar.world import AbstractWorld, DrawnTasks, Outcomes
from gstar.worlds.recorded import RecordedWorld

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "examples"), str(Path(__file__).parent)]

RATES = {"plain": (0.03, 0.1), "natural": (0.1, 0.3)}
CHECKPOINTS = {
    "linear": (2_000, 8_000, 32_000),
    "shipped": (500, 2_000, 8_000, 32_000),
    "weka": (500, 2_000, 8_000, 32_000),
    "live": (40, 80, 160),
}
SIZES = {"linear": (32, 8), "shipped": (16, 8), "weka": (16, 8), "live": (5, 4)}
"""Tasks and strategies per iteration."""
DATA = Path(os.environ.get("DATA", "data"))
N_COMPONENTS = 10
STARTS = 20
"""The live world's reward is the mean over so many trials before a checkpoint."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Is where g learns, and what it is worth at some meta-parameters.

    Args:
        g: The distribution.
        world: The world.
        start: Meta-parameters to begin with.
        value: What meta-parameters are worth; None: look at the rewards.
        trainings: Models that are trained for one reward.
    """

    g: AbstractDistribution
    world: AbstractWorld
    start: np.ndarray
    value: Callable[[np.ndarray], float] | None
    trainings: int = 1


@cache
def linear() -> Problem:
    from linear_world import MIRRORED, LinearWorld, World, bad_start

    world = World()
    g = TreeDistribution(LinearWorld.space)
    start = g.start(np.random.default_rng(0), at={"lambda": bad_start(world)}, spread=0.1)
    cells, sizes = replace(g, cells=500).enumerate()
    losses = world.expected_loss(np.array([c["lambda"] for c in cells.configurations]))
    best = world.expected_loss(np.array(world.best_lambda))

    def expected(meta: np.ndarray) -> float:
        masses = np.exp(np.asarray(g.log_prob(meta, g.no_context, cells)) + sizes)
        return float(masses @ losses / masses.sum())

    worst = expected(start)
    return Problem(
        g, LinearWorld(world), start, lambda meta: (worst - expected(meta)) / (worst - float(best)), MIRRORED
    )


def _held_out(name: str, records: Records, contexts: np.ndarray, folds: np.ndarray) -> Problem:
    """g learns on the tasks of all folds but the first, and is worth what it expects on those of the first."""
    worlds = []
    for rows in (np.flatnonzero(folds > 0), np.flatnonzero(folds == 0)):
        scores, costs = records.scores[rows], records.costs[rows]
        worlds.append(RecordedWorld.of(replace(records, scores=scores, costs=costs), contexts[rows]))
    world, other = worlds
    g = world.distribution()
    tasks = DrawnTasks(other.contexts, list(range(len(other.contexts))))
    rewards, known = other.rewards(tasks, Outcomes(other.scores, other.costs_s)), np.isfinite(other.scores)

    def value(meta: np.ndarray) -> float:
        shares = np.exp(g.log_probs(meta, other.contexts)) * known
        return float(((shares * rewards).sum(axis=1) / shares.sum(axis=1)).mean())

    single = np.where(known, rewards, np.nan)[:, np.nanargmax(np.nanmean(_rewards(world), axis=0))]
    print(
        f"{name}: {len(world.contexts)} tasks, {len(other.contexts)} held out, {len(records.strategies)} strategies, "
        f"{g.size} meta-parameters; the strategy that is best there is worth {np.nanmean(single):.3f} on these",
        flush=True,
    )
    return Problem(g, world, g.start(np.random.default_rng(0)), value)


def _rewards(world: RecordedWorld) -> np.ndarray:
    """Returns ``(T, P)`` rewards, NaN where a strategy was never tried."""
    return world.reward(DrawnTasks(world.contexts, list(range(len(world.contexts)))), world.scores)


@cache
def shipped() -> Problem:
    from families import family_fold

    from gstar.contexts import context_vector
    from gstar.experience import Experience
    from gstar.metric import TaskKind
    from gstar.policy import Context

    with Experience.open(mode="off", shipped=True) as opened:
        records = opened.knowledge(TaskKind.BINARY)
    columns = np.flatnonzero(np.isfinite(records.scores).mean(axis=0) >= 0.5)
    records = replace(
        records,
        strategies=tuple(records.strategies[j] for j in columns),
        scores=records.scores[:, columns],
        costs=records.costs[:, columns],
    )
    seen = [
        Context(t, records.kind, "table", "", *(int(v) for v in shape), meta_features=m, learners=(), history=())
        for t, shape, m in zip(records.tasks, records.shapes, records.meta_features, strict=True)
    ]
    folds = np.array([family_fold(f) for f in records.families])
    return _held_out("shipped experience, binary", records, np.stack([context_vector(c) for c in seen]), folds)


@cache
def weka() -> Problem:
    from policies import aslib

    records = aslib(DATA / "aslib" / "OPENML-WEKA-2017").records
    folds = np.random.default_rng(0).permutation(len(records)) % 5
    known = records.meta_features[folds > 0]
    scaled = (records.meta_features - known.mean(axis=0)) / np.maximum(known.std(axis=0), 1e-9)
    axes = np.linalg.svd(scaled[folds > 0], full_matrices=False)[2][:N_COMPONENTS]
    contexts = scaled @ axes.T
    contexts = np.clip(contexts / contexts[folds > 0].std(axis=0), -3, 3)
    return _held_out("ASlib OPENML-WEKA-2017", records, contexts, folds)


@cache
def live() -> Problem:
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

    from gstar.executors.serial import SerialExecutor
    from gstar.inputs import Table
    from gstar.learner import get_learner
    from gstar.metric import TaskKind, get_metric
    from gstar.strategy import strategy_space
    from gstar.task import Task
    from gstar.worlds.live import LiveTask, LiveWorld

    tasks = []
    for load in (load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine):
        x, y = load(return_X_y=True)
        rows = np.random.default_rng(0).permutation(len(x))[:150]
        classes = tuple(np.unique(y)) if load is not load_diabetes else ()
        kind = {0: TaskKind.REGRESSION, 2: TaskKind.BINARY}.get(len(classes), TaskKind.MULTICLASS)
        target = np.searchsorted(classes, y[rows]).astype(np.int64) if classes else y[rows].astype(float)
        task = Task(load.__name__, kind, get_metric(None, kind), Table.of(x[rows]), target, classes)
        try:
            tasks.append(LiveTask.of(task))
        except DataError as error:
            print(error)
    space = strategy_space({name: get_learner(name).space for name in ("constant", "linear", "neighbors")})
    world = LiveWorld(tasks, SerialExecutor())
    g = TreeDistribution(space, context_size=world.context_size)
    return Problem(g, world, g.start(np.random.default_rng(0)), None)


PROBLEMS = {"linear": linear, "shipped": shipped, "weka": weka, "live": live}


def curve(name: str, estimator: str, rate: float, seed: int, ahead: int = 0) -> list[float]:
    """Returns what g is worth after each checkpoint."""
    problem, checkpoints = PROBLEMS[name](), CHECKPOINTS[name]
    tasks, strategies = SIZES[name]
    rewards: list[float] = []
    found: list[float] = []

    def listener(progress) -> None:
        rewards.append(progress.reward)
        while len(found) < len(checkpoints) and problem.trainings * progress.n_trainings >= checkpoints[len(found)]:
            recent = rewards[-max(1, STARTS // tasks) :]
            found.append(problem.value(progress.meta) if problem.value else float(np.mean(recent)))
        if len(found) == len(checkpoints):
            raise KeyboardInterrupt

    settings = OuterSettings(
        estimator,
        tasks=tasks,
        strategies=strategies,
        natural=None if estimator == "natural" else False,
        rate=rate,
        ahead=ahead,
        iterations=10**6,
        seed=seed,
        convergence=None,
    )
    run_outer(problem.g, problem.world, settings, start=problem.start, listener=listener)
    return found


def ablation(name: str, *, seeds: int, workers: int) -> None:
    """Prints the table of one world."""
    problem = PROBLEMS[name]()
    _print_head(name, seeds)
    with ProcessPoolExecutor(workers) as pool:
        for estimator in GRADIENTS:
            if estimator == "natural" and problem.g.size > 100:
                print(f"{estimator:16}g has {problem.g.size} meta-parameters: too many")
                continue
            if estimator == "exact" and name == "live":
                print(f"{estimator:16}would train all strategies there are")
                continue
            _print_row(pool, name, estimator, seeds)


def ahead(*, seeds: int, workers: int) -> None:
    """Prints what the default estimator reaches when none, one or two iterations are begun ahead."""
    with ProcessPoolExecutor(workers) as pool:
        for name in ("linear", "shipped", "weka"):
            _print_head(name, seeds)
            for n in range(3):
                _print_row(pool, name, "leave_one_out", seeds, ahead=n)


def _print_head(name: str, seeds: int) -> None:
    problem = PROBLEMS[name]()
    print(f"\n{name}: median [quartiles] over {seeds} seeds after so many trainings", flush=True)
    print(f"{'':24}{'rate':>6}" + "".join(f"{c:>22,d}" for c in CHECKPOINTS[name]))
    if problem.value:
        print(f"{'start':30}{problem.value(problem.start):22.3f}")


def _print_row(pool: ProcessPoolExecutor, name: str, estimator: str, seeds: int, *, ahead: int = 0) -> None:
    """Prints what an estimator reaches at its best rate."""
    rates = RATES["natural" if estimator == "natural" else "plain"]
    rates = rates if name != "live" else rates[1:2]
    jobs = {r: [pool.submit(curve, name, estimator, r, seed, ahead) for seed in range(seeds)] for r in rates}
    curves = {r: np.array([job.result() for job in found]) for r, found in jobs.items()}
    best = max(rates, key=lambda r: float(np.median(curves[r][:, -1])))
    quartiles = np.quantile(curves[best], [0.5, 0.25, 0.75], axis=0).T
    cells = "".join(f"{m:8.3f} [{a:5.3f} {b:5.3f}]" for m, a, b in quartiles)
    print(f"{estimator + (f', {ahead} ahead' if ahead else ''):24}{best:6g}{cells}", flush=True)


def speed() -> None:
    """Prints CPU seconds (process time), so that a loaded machine does not count."""
    from gstar.learner import available_learners
    from gstar.metric import TaskKind
    from gstar.outer.loop import _updated
    from gstar.outer.state import OuterState
    from gstar.strategy import strategy_space

    learners = available_learners("table", TaskKind.BINARY)
    space = strategy_space(
        {n: each.space for n, each in learners.items()},
        scheduled=frozenset(n for n, each in learners.items() if each.has_schedule),
        paced=frozenset(n for n, each in learners.items() if each.handles_pace),
    )
    for text, g in (
        (
            f"all {len(space.parameters)} parameters of {len(learners)} learners, context",
            TreeDistribution(space, 21, 16),
        ),
        ("the linear world", linear().g),
    ):
        for estimator, pull in (
            ("leave_one_out", {}),
            ("leave_one_out", {"entropy": 0.01}),
            ("leave_one_out", {"kl": 0.01}),
            ("leave_one_out", {"entropy": 0.01, "kl": 0.01}),
            ("ppo", {}),
            ("reinforce", {}),
        ):
            settings, rng = OuterSettings(estimator, tasks=125, strategies=8, **pull), np.random.default_rng(0)
            gradient, meta = settings.gradient(g.size), g.start(rng)
            contexts = rng.standard_normal((125, g.context_size))
            draws = gradient.draw(g, meta, contexts, 8, rng=rng)
            state, times = OuterState.begin(meta, gradient), []
            for _ in range(10):
                begin = time.process_time()
                _updated(state, gradient, g, draws, rng.random((125, 8)), settings=settings, rng=rng)
                times.append(time.process_time() - begin)
            named = " + ".join([estimator, *pull])
            print(f"update for 1,000 trials, {named}, {text}: median {1000 * np.median(times):.1f} ms", flush=True)
    problem = weka()
    for estimator, natural in (("leave_one_out", False), ("exact", False)):
        settings = OuterSettings(estimator, tasks=256, strategies=8, natural=natural, iterations=20, convergence=None)
        begin = time.process_time()
        result = run_outer(problem.g, problem.world, settings, start=problem.start)
        rate = result.n_trainings / (time.process_time() - begin)
        print(f"recorded trials, {estimator}, one core: {rate:,.0f} simulated episodes per CPU second", flush=True)
    peaks = []
    for iterations in (20, 60):
        tracemalloc.start()
        run_outer(
            problem.g, problem.world, OuterSettings(tasks=16, iterations=iterations, natural=False), start=problem.start
        )
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
    print(f"peak of Python's memory: {peaks[0]:.1f} MB after 20 iterations, {peaks[1]:.1f} MB after 60")
    print(f"resident at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=[*PROBLEMS, "ahead", "speed"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    for part in given.parts:
        if part == "speed":
            speed()
        elif part == "ahead":
            ahead(seeds=given.seeds, workers=given.workers)
        else:
            ablation(part, seeds=given.seeds, workers=given.workers)


if __name__ == "__main__":
    main()
