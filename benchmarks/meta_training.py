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
from meta_learning import (
    BY,
    DEFAULTS,
    SETUPS,
    Setup,
    learned,
    line_of,
    ways_gained,
    ways_of,
)
from meta_linear import learned_linear, linear
from meta_strategies import drawn_for
from meta_table import Table, drawn, halving, interval, mean_of, read_rows
from meta_tasks import read_families

from gstar.distribution import TreeDistribution
from gstar.executors import Limits, ProcessExecutor
from gstar.families import space_of
from gstar.metatraining import default_settings
from gstar.outer import Progress, run_outer
from gstar.plots import draw_trace
from gstar.settings import read_duration_s
from gstar.trial import Trial
from gstar.worlds.live import LiveTask, LiveWorld

RESULTS = Path(__file__).parent / "results"
GS = ("g", "g, not learned", "g, linear")
REPEATS = 100
"""Draws of a search on a task, whose regrets are averaged."""
INNER_FOLDS = 2
"""Parts of the families to learn from, each left out once to choose a setup."""
TRIES = 3
CLOSE = (0.01, 0.05)
"""A family of learners is right on a task if the regret of its best strategy is below this. The first was fixed before
the first look; differences below the second are within two standard errors of a score on 400 query rows."""
CONDITIONS = ("plain", "noisy", "lopsided")
FAMILIES = {
    "cnn": "convolutional",
    "rocket": "convolutional",
    "rnn": "recurrent",
    "mlp": "dense network",
    "linear": "linear",
    "lightgbm": "trees",
    "extra_trees": "trees",
    "kernel": "kernel",
    "kernel_ridge": "kernel",
}
"""The family of each learner; one of places (``flat_...``) is of the family of what it is made of."""


def learn(seeds: int, folds: int, file: Path | None) -> None:
    """Meta-trains on the families outside of each fold, measures on those in it, and prints what came of it."""
    table = Table.of(read_rows(RESULTS))
    forms = {form: int((table.forms == form).sum()) for form in dict.fromkeys(table.forms.tolist())}
    print(f"{table.n_trials} trials: {len(table.tasks)} tasks {forms}, {len(table.strategies)} strategies")
    if file is not None and file.exists():
        arrays = np.load(file)
        found = {name: Found(arrays[f"{name} log_probs"], arrays[f"{name} tried"]) for name in GS}
    else:
        found = _learned(table, seeds, folds)
    if file is not None:
        np.savez(file, **{f"{name} {key}": array for name, one in found.items() for key, array in vars(one).items()})
    rng = np.random.default_rng(0)
    for form in forms:
        rows = np.flatnonzero(table.forms == form)
        families = len(set(table.families[rows].tolist()))
        print(f"\n{form}: {len(rows)} tasks of {families} families, {len(table.open(rows[0]))} strategies")
        _print_families(table, found["g"], rows, rng)
        _print_regrets(table, found, rows, rng)
    print("\nall forms alike")
    _print_together(table, found, rng)


def _learned(table: Table, seeds: int, folds: int) -> dict[str, Found]:
    """Returns what g, g before it has learned, and a linear g do on the tasks of each fold, learned from the others."""
    fold_of = table.folds(folds)
    found = {name: Found.empty(seeds if name == "g" else 1, table) for name in GS}
    for fold in range(folds):
        seen, new = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        setup = _chosen(table, seen)
        print(f"fold {fold}: learned from {len(seen)} tasks, {len(new)} new ones; chosen: {setup}", flush=True)
        found["g, not learned"].keep(table, new, learned(table, seen, replace(setup, learns=False), 0), 0)
        lines: list[dict] = []
        found["g, linear"].keep(table, new, learned_linear(table, seen, 0, _teller(table, seen, lines)), 0)
        if fold == 0:
            picture = Path(__file__).parents[1] / "docs" / "meta_training.png"
            draw_trace(lines, picture, title="Meta-training on recorded trials")
        for seed in range(seeds):
            found["g"].keep(table, new, learned(table, seen, setup, seed), seed)
    return found


def _teller(table: Table, rows: np.ndarray, lines: list[dict]) -> Callable[[Progress], None]:
    g = linear(table)

    def tell(progress: Progress) -> None:
        if progress.iteration % 5 == 0:
            lines.append(line_of(progress, g, table, rows))

    return tell


class Found:
    """Is what a g did on the tasks that it had not seen.

    Args:
        log_probs: ``(S, T, P)`` of each seed, before anything was tried.
        tried: ``(S, T, 3)`` the strategies tried, in their order.
    """

    def __init__(self, log_probs: np.ndarray, tried: np.ndarray) -> None:
        self.log_probs, self.tried = log_probs, tried

    @staticmethod
    def empty(seeds: int, table: Table) -> Found:
        """Returns room for so many seeds."""
        shape = (seeds, *table.rewards.shape)
        return Found(np.zeros(shape), np.zeros((*shape[:2], TRIES), int))

    def keep(self, table: Table, new: np.ndarray, g: Callable, seed: int) -> None:
        """Tries three strategies on each new task, the most probable one first, given what came before."""
        for i in new:
            tried: list[int] = []
            for _ in range(TRIES):
                log_probs = g(i, tried)
                if not tried:
                    self.log_probs[seed, i] = log_probs
                tried.append(_next(table, i, log_probs, tried))
            self.tried[seed, i] = tried

    def regrets(self, table: Table, rows: np.ndarray, n: int) -> np.ndarray:
        """Returns ``(R,)`` regrets after n trials, averaged over seeds."""
        return np.array([np.mean([table.regret(i, tried[i, :n]) for tried in self.tried]) for i in rows])


def _next(table: Table, task: int, log_probs: np.ndarray, tried: Sequence[int]) -> int:
    """Returns the most probable strategy that was not tried."""
    left = [j for j in table.open(task) if j not in tried]
    return int(left[int(np.argmax(log_probs[left]))])


def _chosen(table: Table, rows: np.ndarray) -> Setup:
    """Returns the setup whose g does best on families that it has not seen, among the tasks to learn from."""
    fold_of, regrets = table.folds(INNER_FOLDS)[rows], []
    for setup in SETUPS:
        found = Found.empty(1, table)
        for fold in range(INNER_FOLDS):
            seen, new = rows[fold_of != fold], rows[fold_of == fold]
            found.keep(table, new, learned(table, seen, setup, 0), 0)
        of = found.regrets(table, rows, TRIES)
        regrets.append(np.mean([of[table.forms[rows] == form].mean() for form in dict.fromkeys(table.forms.tolist())]))
        print(f"  {setup}: regret {regrets[-1]:.4f} on families left out of those to learn from", file=sys.stderr)
    return SETUPS[int(np.argmin(regrets))]


def family_of(learner: str) -> str:
    """Returns the family of a learner."""
    return FAMILIES[learner.removeprefix("flat_")]


def _print_families(table: Table, found: Found, rows: np.ndarray, rng: np.random.Generator) -> None:
    """Prints how probable g makes each family of learners, and the right ones, and how often it keeps a right one."""
    columns = table.open(rows[0])
    families = np.array([family_of(name) for name in table.learners])
    names = list(dict.fromkeys(families[columns].tolist()))
    shares = np.exp(found.log_probs[:, rows]).mean(axis=0)
    for name in names:
        print(f"  g on {name:14s} before a trial: {interval(shares[:, families == name].sum(axis=1), rng)}")
    kept = np.array([[tried[i][np.argmax(table.valid[i, tried[i]])] for i in rows] for tried in found.tried])
    everything = np.array([columns[np.argmax(table.valid[i, columns])] for i in rows])
    for close in CLOSE:
        right = [{n for n in names if table.best[i] - np.nanmax(table.rewards[i, families == n]) < close} for i in rows]
        print(f"  right: within {close} of the best; {np.mean([len(r) for r in right]):.2f} of {len(names)} per task")
        mass = np.array([shares[k, np.isin(families, list(r))].sum() for k, r in enumerate(right)])
        kinds = {c: np.array([f"-{c}-" in name for name in table.tasks[rows]]) for c in CONDITIONS}
        by_kind = ", ".join(
            f"{c} ({some.sum()}) {interval(mass[some], rng)}" for c, some in kinds.items() if some.any()
        )
        print(f"    g on the right family before a trial:  {interval(mass, rng)}; {by_kind}")
        held = np.array([[families[j] in r for j, r in zip(row, right, strict=True)] for row in kept]).mean(axis=0)
        print(f"    family kept after {TRIES} trials is right:    {interval(held, rng)}")
        most = [families[j] in r for j, r in zip(everything, right, strict=True)]
        print(f"    family kept after all {len(columns)} is right:     {interval(np.array(most), rng)}")
        uniform = [np.isin(families[columns], list(r)).mean() for r in right]
        print(f"    all strategies alike:                  {interval(np.array(uniform), rng)}")


def _print_regrets(table: Table, found: dict[str, Found], rows: np.ndarray, rng: np.random.Generator) -> None:
    """Prints mean regrets of g and of others, and how much less that of g is."""
    columns, ours = table.open(rows[0]), found["g"].regrets(table, rows, TRIES)
    others = {f"g, {n} trials": found["g"].regrets(table, rows, n) for n in (1, 2, 3)}
    others |= {f"{name}, {TRIES} trials": one.regrets(table, rows, TRIES) for name, one in found.items() if name != "g"}
    others |= _searches(table, found["g"], rows)
    fixed = table.best[rows, None] - table.rewards[rows][:, columns]
    for k in np.argsort(fixed.mean(axis=0))[:3]:
        strategy = table.strategies[columns[k]]
        others[f"fixed: {strategy.learner} {strategy.hash[:6]}"] = fixed[:, k]
    for name, values in others.items():
        print(f"  regret {name:38s} {interval(values, rng)}   g, 3 trials, less this: {interval(ours - values, rng)}")
    below = int((fixed.mean(axis=0) > ours.mean()).sum())
    print(f"  below {below} of {len(columns)} fixed strategies; the worst {fixed.mean(axis=0).max():.3f}")


def _searches(table: Table, found: Found, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Returns regrets of random search and of successive halving, among strategies drawn from the space."""
    columns, flat, form = table.open(rows[0]), np.zeros(len(table.strategies)), str(table.forms[rows[0]])
    drawn_ones = {strategy.hash for strategy in drawn_for(form)}
    random = np.array([j for j in columns if table.strategies[j].hash in drawn_ones])

    def mean(chosen: Callable[[int, np.random.Generator], np.ndarray]) -> np.ndarray:
        return np.array([mean_of(lambda r, i=i: table.regret(i, chosen(i, r)), REPEATS, 0) for i in rows])

    others = {f"random, {n} trials": mean(lambda i, r, n=n: drawn(flat, random, n, r)) for n in (3, 8, 15)}
    others["random, 15, also hand-picked ones"] = mean(lambda i, r: drawn(flat, columns, 15, r))
    others["halving, cost of 3 trials of g"] = mean(
        lambda i, r: halving(table, i, random, _cost(table, found.tried[r.integers(len(found.tried)), i], i), r)
    )
    return others


def _print_together(table: Table, found: dict[str, Found], rng: np.random.Generator) -> None:
    """Prints what g gains over the others on all tasks, forms alike."""
    forms = list(dict.fromkeys(table.forms.tolist()))
    gains: dict[str, list[np.ndarray]] = {}
    for form in forms:
        rows = np.flatnonzero(table.forms == form)
        ours, columns = found["g"].regrets(table, rows, TRIES), table.open(rows[0])
        fixed = table.best[rows, None] - table.rewards[rows][:, columns]
        others = _searches(table, found["g"], rows) | {"best fixed of the form": fixed[:, fixed.mean(axis=0).argmin()]}
        others |= {name: one.regrets(table, rows, TRIES) for name, one in found.items() if name != "g"}
        for name, values in others.items():
            gains.setdefault(name, []).append(ours - values)
    for name, parts in gains.items():
        means = np.mean([_bootstrap(part, rng) for part in parts], axis=0)
        low, high = np.quantile(means, [0.025, 0.975])
        middle = np.mean([part.mean() for part in parts])
        print(f"  g, 3 trials, less {name:38s} {middle:.3f} [{low:.3f}, {high:.3f}]")


def _bootstrap(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return values[rng.integers(len(values), size=(4000, len(values)))].mean(axis=1)


def _cost(table: Table, chosen: np.ndarray, task: int) -> float:
    return float(table.costs[task, chosen].sum())


def ways(seeds: int, folds: int) -> None:
    """Prints what learned schedules and rows bring for the same configurations, over two default ways."""
    table, rng = Table.of(read_rows(RESULTS)), np.random.default_rng(0)
    told = ways_of(table)
    gains = [ways_gained(table, table.folds(folds), folds, seed) for seed in range(seeds)]
    tasks = np.unique(told.tasks)
    print(f"schedule and rows of {len(told.tasks)} trainings of networks on {len(tasks)} tasks, {len(told.ways)} ways")
    for name in DEFAULTS:
        for by in BY:
            mean = np.mean([gain[name, by] for gain in gains], axis=0)
            values = np.array([mean[told.tasks == task].mean() for task in tasks])
            forms = {form: table.forms[tasks] == form for form in dict.fromkeys(table.forms.tolist())}
            kinds = {c: np.array([f"-{c}-" in name for name in table.tasks[tasks]]) for c in CONDITIONS}
            text = ", ".join(f"{what} {interval(values[some], rng)}" for what, some in (forms | kinds).items())
            print(f"  over {name:24s} {by:26s} {interval(values, rng)}  {text}")


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
    parser.add_argument("--folds", type=int, default=8, help="of learn: into so many parts families are split")
    parser.add_argument("--found", type=Path, help="of learn: where what g did is kept, and read if it is there")
    given = parser.parse_args()
    if given.what == "live":
        live(given.data, read_duration_s(given.budget))
    elif given.what == "ways":
        ways(given.seeds, given.folds)
    else:
        learn(given.seeds, given.folds, given.found)


if __name__ == "__main__":
    main()
