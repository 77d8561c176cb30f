"""Does g learn which network, schedule and rows suit which task? Meta-training on small real tasks.

    python benchmarks/meta_collect.py DATA                           # trains the models; see there
    python benchmarks/meta_training.py learn [--seeds 5]             # meta-training, and what came of it
    python benchmarks/meta_training.py ways [--seeds 5]              # the same for schedules and rows alone
    python benchmarks/meta_training.py live DATA --budget 3m         # how busy two cores are, and whether memory grows

`learn` also draws docs/meta_training.png. DATA holds images/, sequences/ and tasks/ with manifest.csv.
Learning reads the recorded trials, so that it takes minutes and repeats; every recorded trial was a model
that was trained.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
from meta_learning import SETUPS, Setup, learned, ways_learned
from meta_table import Table, drawn, halving, interval, mean_of, read_rows
from meta_tasks import read_families

from gstar.distribution import TreeDistribution
from gstar.executors import Limits, ProcessExecutor
from gstar.metatraining import default_settings, space_of
from gstar.outer import run_outer
from gstar.plots import draw_trace
from gstar.settings import read_duration_s
from gstar.trial import Trial
from gstar.worlds.live import LiveTask, LiveWorld

RESULTS = Path(__file__).parent / "results"
REPEATS = 100
"""Draws of a search on a task, whose regrets are averaged."""
INNER_FOLDS = 2
"""Parts of the families to learn from, each left out once to choose a setup."""
TRIES = 3
CHOICE = 80
"""Iterations of a meta-training by which a setup is chosen."""
CLOSE = 0.01
"""A family of learners is right on a task if the regret of its best strategy is below this."""
FAMILIES = {
    "cnn": "convolutional",
    "rnn": "recurrent",
    "mlp": "dense network",
    "linear": "linear",
    "lightgbm": "trees",
    "extra_trees": "trees",
    "kernel": "kernel",
}
"""The family of each learner; one of places (``flat_...``) is of the family of what it is made of."""


def learn(seeds: int, iterations: int, folds: int, file: Path | None) -> None:
    """Meta-trains on the families outside of each fold, measures on those in it, and prints what came of it."""
    table = Table.of(read_rows(RESULTS))
    forms = {form: int((table.forms == form).sum()) for form in dict.fromkeys(table.forms.tolist())}
    print(f"{table.n_trials} trials: {len(table.tasks)} tasks {forms}, {len(table.strategies)} strategies")
    found = Found(**np.load(file)) if file is not None and file.exists() else _learned(table, seeds, iterations, folds)
    if file is not None:
        np.savez(file, **vars(found))
    rng = np.random.default_rng(0)
    for form in forms:
        rows = np.flatnonzero(table.forms == form)
        print(f"\n{form}: {len(rows)} tasks, {len(table.open(rows[0]))} strategies")
        _print_families(table, found, rows, rng)
        _print_regrets(table, found, rows, rng)


def _learned(table: Table, seeds: int, iterations: int, folds: int) -> Found:
    """Returns what g does on the tasks of each fold, learned from the others."""
    fold_of, found = table.folds(folds), Found.empty(seeds, table)
    for fold in range(folds):
        seen, new = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        setup = _chosen(table, seen, CHOICE)
        print(f"fold {fold}: learned from {len(seen)} tasks, {len(new)} new ones; chosen: {setup}", flush=True)
        for seed in range(seeds):
            lines: list[dict] = []
            found.keep(table, new, learned(table, seen, setup, seed, iterations=iterations, lines=lines), seed)
            if fold == seed == 0 and lines:
                picture = Path(__file__).parents[1] / "docs" / "meta_training.png"
                draw_trace(lines, picture, title="Meta-training on recorded trials")
    return found


class Found:
    """Is what g did on the tasks that it had not seen.

    Args:
        log_probs: ``(S, T, P)`` of each seed, before anything was tried.
        after: ``(S, T, P)`` after three trials.
        tried: ``(S, T, 3)`` the strategies tried, in their order.
    """

    def __init__(self, log_probs: np.ndarray, after: np.ndarray, tried: np.ndarray) -> None:
        self.log_probs, self.after, self.tried = log_probs, after, tried

    @staticmethod
    def empty(seeds: int, table: Table) -> Found:
        """Returns room for so many seeds."""
        shape = (seeds, *table.rewards.shape)
        return Found(np.zeros(shape), np.zeros(shape), np.zeros((*shape[:2], TRIES), int))

    def keep(self, table: Table, new: np.ndarray, g: Callable, seed: int) -> None:
        """Tries three strategies on each new task, the most probable one first, given what came before."""
        for i in new:
            tried: list[int] = []
            for k in range(TRIES + 1):
                log_probs = g(i, tried)
                if k == 0:
                    self.log_probs[seed, i] = log_probs
                if k == TRIES:
                    self.after[seed, i] = log_probs
                    break
                tried.append(_next(table, i, log_probs, tried))
            self.tried[seed, i] = tried


def _next(table: Table, task: int, log_probs: np.ndarray, tried: Sequence[int]) -> int:
    """Returns the most probable strategy that was not tried."""
    left = [j for j in table.open(task) if j not in tried]
    return int(left[int(np.argmax(log_probs[left]))])


def _chosen(table: Table, rows: np.ndarray, iterations: int) -> Setup:
    """Returns the setup whose g does best on families that it has not seen, among the tasks to learn from."""
    fold_of, regrets = table.folds(INNER_FOLDS)[rows], []
    for setup in SETUPS:
        found = Found.empty(1, table)
        for fold in range(INNER_FOLDS):
            seen, new = rows[fold_of != fold], rows[fold_of == fold]
            found.keep(table, new, learned(table, seen, setup, 0, iterations=iterations), 0)
        by_form = [
            np.mean([table.regret(i, found.tried[0, i]) for i in rows if table.forms[i] == form])
            for form in dict.fromkeys(table.forms.tolist())
        ]
        regrets.append(np.mean(by_form))
        print(f"  {setup}: regret {regrets[-1]:.4f} on families left out of those to learn from", file=sys.stderr)
    return SETUPS[int(np.argmin(regrets))]


def family_of(learner: str) -> str:
    """Returns the family of a learner."""
    return FAMILIES[learner.removeprefix("flat_")]


def _print_families(table: Table, found: Found, rows: np.ndarray, rng: np.random.Generator) -> None:
    """Prints how probable g makes each family of learners, and the right ones."""
    families = np.array([family_of(name) for name in table.learners])
    right = [
        {f for f in set(families[table.open(i)]) if table.best[i] - np.nanmax(table.rewards[i, families == f]) < CLOSE}
        for i in rows
    ]
    n_families = len(set(families[table.open(rows[0])]))
    print(f"  right families per task: {np.mean([len(r) for r in right]):.2f} of {n_families}")
    for what, log_probs in (("before a trial", found.log_probs), ("after 3 trials", found.after)):
        shares = np.exp(log_probs[:, rows]).mean(axis=0)
        for name in dict.fromkeys(families[table.open(rows[0])].tolist()):
            print(f"  g on {name:14s} {what}: {interval(shares[:, families == name].sum(axis=1), rng)}")
        mass = [shares[k, np.isin(families, list(right[k]))].sum() for k in range(len(rows))]
        print(f"  g on the right family {what}: {interval(np.array(mass), rng)}")
    uniform = [np.isin(families[table.open(i)], list(r)).mean() for i, r in zip(rows, right, strict=True)]
    print(f"  all strategies alike: {interval(np.array(uniform), rng)}")


def _print_regrets(table: Table, found: Found, rows: np.ndarray, rng: np.random.Generator) -> None:
    """Prints mean regrets: of g, of every fixed strategy, of random search and successive halving."""
    columns, flat = table.open(rows[0]), np.zeros(len(table.strategies))

    def mean(chosen: Callable[[int, np.random.Generator], np.ndarray]) -> np.ndarray:
        return np.array([mean_of(lambda r, i=i: table.regret(i, chosen(i, r)), REPEATS, 0) for i in rows])

    def by_g(n: int) -> np.ndarray:
        return np.array([np.mean([table.regret(i, tried[i, :n]) for tried in found.tried]) for i in rows])

    ours = by_g(TRIES)
    others = {f"g, {n} trials": by_g(n) for n in (1, 2, 3)}
    others["g, 3 trials, drawn and not adapted"] = mean(
        lambda i, r: drawn(found.log_probs[r.integers(len(found.log_probs)), i], columns, TRIES, r)
    )
    others |= {f"random, {n} trials": mean(lambda i, r, n=n: drawn(flat, columns, n, r)) for n in (3, 8, 15)}
    if np.isfinite(table.short_costs[rows][:, columns]).all():
        others["halving, cost of 3 trials of g"] = mean(
            lambda i, r: halving(table, i, _cost(table, found.tried[r.integers(len(found.tried)), i], i), r)
        )
    fixed = table.best[rows, None] - table.rewards[rows][:, columns]
    order = np.argsort(fixed.mean(axis=0))
    for k in order[:3]:
        strategy = table.strategies[columns[k]]
        others[f"fixed: {strategy.learner} {strategy.hash[:6]}"] = fixed[:, k]
    for name, values in others.items():
        print(f"  regret {name:34s} {interval(values, rng)}   g, 3 trials, less this: {interval(ours - values, rng)}")
    below = int((fixed.mean(axis=0) > ours.mean()).sum())
    print(f"  below {below} of {len(columns)} fixed strategies; the worst {fixed.mean(axis=0).max():.3f}")


def _cost(table: Table, chosen: np.ndarray, task: int) -> float:
    return float(table.costs[task, chosen].sum())


def ways(seeds: int, folds: int) -> None:
    """Prints what learned schedules and rows bring for the same configurations, over two default ways."""
    table, rng = Table.of(read_rows(RESULTS)), np.random.default_rng(0)
    gains = {seed: ways_learned(table, table.folds(folds), folds, INNER_FOLDS, seed) for seed in range(seeds)}
    print("schedule and rows of networks, for the same configurations:")
    for name in ("the package's default", "constant rate, all rows"):
        for by in ("drawn", "most probable", "at random", "best on the other families"):
            values = np.mean([gains[seed][name, by] for seed in range(seeds)], axis=0)
            told = np.flatnonzero(np.isfinite(values))
            parts = {c: told[[c in table.tasks[i] for i in told]] for c in ("plain", "noisy", "lopsided")}
            text = ", ".join(f"{c} {interval(values[r], rng)} ({len(r)})" for c, r in parts.items() if len(r))
            print(f"  over {name:24s} {by:26s} {interval(values[told], rng)} ({len(told)} tasks)  {text}")
    used = [name for name in dict.fromkeys(table.forms.tolist()) if np.isfinite(values[table.forms == name]).any()]
    print(f"  on {', '.join(used)}")


def live(data: Path, budget_s: float) -> None:
    """Meta-trains on models that are trained now, and prints how busy two cores were and whether memory grew."""
    tasks = [LiveTask.of(family.task, family=family.family) for family in read_families(data)]
    space = space_of(None, [task.task for task in tasks])
    trials: list[tuple[float, float]] = []
    memory: list[tuple[int, float]] = []

    def remember(new: Sequence[Trial]) -> None:
        trials.extend((trial.extra.get("cpu_s", 0.0), trial.cost_s if trial.completed else 0.0) for trial in new)
        memory.append((len(trials), psutil.Process().memory_info().rss / 2**20))

    settings = replace(default_settings(), budget_s=budget_s)
    with (
        ProcessExecutor(2) as executor,
        LiveWorld(tasks, executor, Limits(time_s=60.0), remember=remember) as world,
    ):
        begin, before = time.monotonic(), _children_s()
        run_outer(TreeDistribution(space, context_size=world.context_size), world, settings)
        wall_s, spent_s = time.monotonic() - begin, _children_s() - before
    cpu_s, busy_s = (sum(times) for times in zip(*trials, strict=True))
    print(f"{len(trials)} trials in {wall_s:.0f} s, load average {psutil.getloadavg()[0]:.1f}")
    print(
        f"processor time of training / (2 x wall): {cpu_s / (2 * wall_s):.2f}; of workers: {spent_s / (2 * wall_s):.2f}"
    )
    print(f"time of completed trainings / (2 x wall), also while others had the cores: {busy_s / (2 * wall_s):.2f}")
    print("memory (MiB) after trials: " + ", ".join(f"{n}: {mb:.0f}" for n, mb in memory[:: max(1, len(memory) // 8)]))


def _children_s() -> float:
    """Returns the processor time of all processes that this one started, also of those that have ended."""
    found = psutil.Process().children(recursive=True)
    times = [process.cpu_times() for process in found if process.is_running()]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("learn", "ways", "live"))
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--budget", default="3m", help="of live")
    parser.add_argument("--seeds", type=int, default=5, help="of learn and ways")
    parser.add_argument("--iterations", type=int, default=240, help="of learn")
    parser.add_argument("--folds", type=int, default=4, help="of learn: into so many parts families are split")
    parser.add_argument("--found", type=Path, help="of learn: where what g did is kept, and read if it is there")
    given = parser.parse_args()
    if given.what == "live":
        live(given.data, read_duration_s(given.budget))
    elif given.what == "ways":
        ways(given.seeds, given.folds)
    else:
        learn(given.seeds, given.iterations, given.folds, given.found)


if __name__ == "__main__":
    main()
