"""Does g learn which network, schedule and rows suit which task? Meta-training on small real tasks.

    python benchmarks/meta_training.py collect DATA --budget 25m    # the same strategies on all tasks; resumes
    python benchmarks/meta_training.py learn                         # meta-training, and what came of it
    python benchmarks/meta_training.py live DATA --budget 3m         # how busy two cores are, and whether memory grows

`learn` also draws docs/meta_training.png. DATA holds images/, sequences/ and tasks/ with manifest.csv.
Learning reads the recorded trials, so that it takes seconds and repeats; every recorded trial was a model
that was trained.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil
from meta_table import Table, drawn, halving, interval, mean_of
from meta_tasks import quarter, read_families, strategies_for

from gstar.contexts import NAMES
from gstar.distribution import CandidateDistribution, TreeDistribution
from gstar.executors import Limits, ProcessExecutor
from gstar.metatraining import default_settings, space_of
from gstar.outer import OuterSettings, Progress, run_outer
from gstar.plots import draw_trace
from gstar.settings import read_duration_s
from gstar.strategy import Strategy
from gstar.trial import Proposal, Trial
from gstar.worlds.live import LiveTask, LiveWorld
from gstar.worlds.recorded import RecordedWorld

TRIALS = Path(__file__).parent / "results" / "meta_training_trials.jsonl"
TRIAL_S = 1800.0
"""After so long a trial is killed; far more than any takes; what it costs is counted in seconds of the processor."""
REPEATS = 200
"""Draws of a search on a task, whose regrets are averaged."""
SETTINGS = OuterSettings(
    "leave_one_out",
    tasks=16,
    strategies=8,
    natural=False,
    rate=0.02,
    entropy=0.05,
    entropy_halving=150,
    convergence=None,
)


@dataclass(frozen=True)
class Setup:
    """Is what may be chosen about how g learns.

    Args:
        about: In a word.
        sees: Names of the values in a context that g sees.
        entropy: Weight of the entropy at the start.
    """

    about: str
    sees: tuple[str, ...] = field(repr=False)
    entropy: float


KINDS = tuple(name for name in NAMES if name.startswith("is_"))
SETUPS = [
    Setup(about, sees, entropy)
    for about, sees in (("form and kind", KINDS), ("whole context", NAMES))
    for entropy in (0.1, 0.3, 1.0)
]
FOLDS = 3
ROUND = 5
"""Strategies that are tried on all tasks before the next ones are."""


def collect(data: Path, budget_s: float) -> None:
    """Tries every strategy on every task of its form; what is in the file already is not tried again."""
    end = time.monotonic() + budget_s
    tried = {(row["task"], row["strategy"]) for row in read_rows(TRIALS)}
    live = [LiveTask.of(family.task, family=family.family) for family in read_families(data)]
    lists = {form: _rounds(strategies_for(form)) for form in ("images", "sequences", "table")}
    with ProcessExecutor(2) as executor, TRIALS.open("a", encoding="utf-8") as file:
        for i in range(max(map(len, lists.values()))):
            for task in live:
                strategies = lists[task.task.form][i] if i < len(lists[task.task.form]) else []
                todo = [s for s in strategies if (task.task.name, s.hash) not in tried]
                if not todo:
                    continue
                if time.monotonic() > end:
                    return
                trials = _tried(task, todo, executor)
                for trial in trials:
                    file.write(json.dumps(_row(trial, task)) + "\n")
                file.flush()
                cpu_s, failed = (
                    sum(t.extra.get("cpu_s", 0.0) for t in trials),
                    sum(t.query_score is None for t in trials),
                )
                print(
                    f"{i} {task.task.name}: {len(trials)} trials, {failed} failed, {cpu_s:.1f} CPU s", file=sys.stderr
                )


def _rounds(strategies: list[Strategy]) -> list[list[Strategy]]:
    """Returns the strategies in rounds, then those with a quarter of the epochs, each once."""
    short = [q for s in strategies if (q := quarter(s)) is not None and q not in strategies]
    every = [*strategies, *dict.fromkeys(short)]
    return [every[i : i + ROUND] for i in range(0, len(every), ROUND)]


def _tried(task: LiveTask, strategies: list[Strategy], executor: ProcessExecutor) -> list[Trial]:
    n = len(strategies)
    with LiveWorld([task], executor, Limits(time_s=TRIAL_S)) as world:
        return world.trials([0] * n, [Proposal(s, 0.0, "given") for s in strategies], [0] * n)


def _row(trial: Trial, task: LiveTask) -> dict[str, object]:
    return {
        "task": task.task.name,
        "form": task.task.form,
        "kind": task.task.kind,
        "family": task.family,
        "strategy": trial.strategy.hash,
        "point": trial.strategy.to_json(),
        "reward": _worth(task, trial.query_score),
        "valid": _worth(task, trial.score),
        "cpu_s": round(trial.extra.get("cpu_s", 0.0), 3),
        "status": trial.status,
        "error": trial.error[:200],
        "context": [round(float(x), 5) for x in task.context],
    }


def _worth(task: LiveTask, score: float | None) -> float | None:
    return None if score is None else round(float(task.scale.reward(np.array(score))), 5)


def read_rows(file: Path) -> Iterable[dict]:
    """Yields the recorded trials; a last line that a kill cut off is left out."""
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def learn(seeds: int, iterations: int, folds: int) -> None:
    """Meta-trains on the families outside of each fold, measures on those in it, and prints what came of it."""
    table = Table.of(read_rows(TRIALS))
    forms = {form: int((table.forms == form).sum()) for form in dict.fromkeys(table.forms.tolist())}
    n_trials, n_strategies = np.isfinite(table.rewards).sum(), len(table.strategies)
    print(f"{n_trials} trials: {len(table.tasks)} tasks {forms}, {n_strategies} strategies")
    fold_of, g_of = table.folds(folds), np.zeros((seeds, *table.rewards.shape))
    for fold in range(folds):
        seen, new = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        setup = _chosen(table, seen, iterations)
        print(f"fold {fold}: learned from {len(seen)} tasks, {len(new)} new ones; chosen: {setup}")
        for seed in range(seeds):
            lines: list[dict] = []
            g_of[seed, new] = _learn(table, seen, setup, seed, iterations=iterations, lines=lines)(new)
            if fold == seed == 0:
                draw_trace(
                    lines,
                    Path(__file__).parents[1] / "docs" / "meta_training.png",
                    title="Meta-training on recorded trials",
                )
    rng = np.random.default_rng(0)
    for form in forms:
        rows = np.flatnonzero(table.forms == form)
        print(f"\n{form}: {len(rows)} tasks, {len(table.open(rows[0]))} strategies")
        _print_families(table, g_of, rows, rng)
        _print_regrets(table, g_of, rows, rng)
        _print_twins(table, g_of, rows, rng)


def _chosen(table: Table, rows: np.ndarray, iterations: int) -> Setup:
    """Returns the setup whose g does best on families that it has not seen, among the tasks to learn from."""
    fold_of = table.folds(FOLDS)[rows]
    regrets = []
    for setup in SETUPS:
        found = []
        for fold in range(FOLDS):
            is_new = fold_of == fold
            log_probs = _learn(table, rows[~is_new], setup, 0, iterations=iterations)(rows[is_new])
            for i, task in enumerate(rows[is_new]):
                found.append(mean_of(partial(_try_three, table, task, log_probs[i]), 50, 0))
        regrets.append(np.mean(found))
        print(f"  {setup}: regret {regrets[-1]:.4f} on families left out of those to learn from", file=sys.stderr)
    return SETUPS[int(np.argmin(regrets))]


def _try_three(table: Table, task: int, log_probs: np.ndarray, rng: np.random.Generator) -> float:
    return table.regret(task, drawn(log_probs, table.open(task), 3, rng))


def _learn(
    table: Table, rows: np.ndarray, setup: Setup, seed: int, *, iterations: int, lines: list[dict] | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Meta-trains g on some tasks; returns what gives the log-probabilities ``(T, P)`` for others."""
    contexts = table.contexts * np.isin(NAMES, setup.sees)
    rewards = table.rewards[rows]
    low, high = np.nanmedian(rewards, axis=1), np.nanmax(rewards, axis=1)
    world = RecordedWorld(contexts[rows], table.strategies, rewards, table.costs[rows], low, high)
    g = world.distribution()

    def listener(progress: Progress) -> None:
        if lines is not None and progress.iteration % 5 == 0:
            lines.append(_line(progress, g, table, contexts))

    settings = replace(SETTINGS, seed=seed, iterations=iterations, entropy=setup.entropy)
    meta = run_outer(g, world, settings, listener=listener).meta
    return lambda new: np.asarray(g.log_probs(meta, contexts[new]))


def _line(progress: Progress, g: CandidateDistribution, table: Table, contexts: np.ndarray) -> dict:
    """Returns what `draw_trace` needs of an iteration: where g stands on tasks of each form."""
    chances = {}
    for form in dict.fromkeys(table.forms.tolist()):
        shares = np.exp(g.log_probs(progress.meta, contexts[table.forms == form])).mean(axis=0)
        chances[form] = {n: float(shares[table.learners == n].sum()) for n in dict.fromkeys(table.learners.tolist())}
    return {
        "iteration": progress.iteration,
        "reward": progress.reward,
        "entropy": progress.entropy,
        "trials": progress.n_trainings,
        "failed": progress.n_failed,
        "chances": chances,
    }


def _print_families(table: Table, g_of: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> None:
    """Prints how probable g makes each learner, and the one that is best on the task."""
    shares = np.exp(g_of[:, rows]).mean(axis=0)
    for name in dict.fromkeys(table.learners[table.open(rows[0])].tolist()):
        print(f"  g on {name:14s} {interval(shares[:, table.learners == name].sum(axis=1), rng)}")
    best = [str(table.learners[np.nanargmax(table.rewards[i])]) for i in rows]
    right = [shares[k, table.learners == best[k]].sum() for k in range(len(rows))]
    print(f"  g on the learner that is best there {interval(np.array(right), rng)}  {dict(Counter(best))}")


def _print_regrets(table: Table, g_of: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> None:
    """Prints mean regrets: of g, of every fixed strategy, of random search and successive halving."""
    columns, flat = table.open(rows[0]), np.zeros(len(table.strategies))

    def mean(chosen: Callable[[int, np.random.Generator], np.ndarray]) -> np.ndarray:
        return np.array([mean_of(lambda r, i=i: table.regret(i, chosen(i, r)), REPEATS, 0) for i in rows])

    def by_g(n: int) -> Callable[[int, np.random.Generator], np.ndarray]:
        return lambda i, r: drawn(g_of[r.integers(len(g_of)), i], columns, n, r)

    ours = mean(by_g(3))
    found = {"g, 1 trial": mean(by_g(1)), "g, 3 trials": ours}
    found |= {f"random, {n} trials": mean(lambda i, r, n=n: drawn(flat, columns, n, r)) for n in (3, 8, 15)}
    if np.isfinite(table.short_costs[rows][:, columns]).all():
        found["halving, cost of 3 trials of g"] = mean(
            lambda i, r: halving(table, i, _cost(table, by_g(3)(i, r), i), r)
        )
    fixed = table.best[rows, None] - table.rewards[rows][:, columns]
    order = np.argsort(fixed.mean(axis=0))
    for k in order[:3]:
        strategy = table.strategies[columns[k]]
        found[f"fixed: {strategy.learner} {strategy.hash[:6]}"] = fixed[:, k]
    for name, values in found.items():
        print(f"  regret {name:32s} {interval(values, rng)}   g, 3 trials, less this: {interval(ours - values, rng)}")
    print(f"  the worst fixed strategy {fixed.mean(axis=0).max():.3f}; a tuned choice per task 0")


def _cost(table: Table, chosen: np.ndarray, task: int) -> float:
    return float(table.costs[task, chosen].sum())


def _print_twins(table: Table, g_of: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> None:
    """Prints what g's choice of schedule and rows brings over the default ones, for the same configurations."""
    networks = np.array([j for j in table.open(rows[0]) if quarter(table.strategies[j]) is not None])
    twins = np.where(table.twins[networks] < 0, networks, table.twins[networks])
    if (twins == networks).all():
        return
    weights = np.exp(g_of[:, rows][:, :, networks])
    weights /= weights.sum(axis=2, keepdims=True)
    gains = table.rewards[rows][:, networks] - table.rewards[rows][:, twins]
    learned = (weights * gains).sum(axis=2).mean(axis=0)
    uniform = gains[:, twins != networks].mean(axis=1)
    moved = weights[:, :, twins != networks].sum(axis=2).mean()
    print(f"  networks: g puts {moved:.2f} on other schedules or rows than the default ones")
    print(f"  gain over default schedule and rows: g {interval(learned, rng)}, at random {interval(uniform, rng)}")


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
    parser.add_argument("what", choices=("collect", "learn", "live"))
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--budget", default="25m", help="of collect and live")
    parser.add_argument("--seeds", type=int, default=5, help="of learn")
    parser.add_argument("--iterations", type=int, default=300, help="of learn")
    parser.add_argument("--folds", type=int, default=4, help="of learn: into so many parts families are split")
    given = parser.parse_args()
    if given.what == "collect":
        collect(given.data, read_duration_s(given.budget))
    elif given.what == "live":
        live(given.data, read_duration_s(given.budget))
    else:
        learn(given.seeds, given.iterations, given.folds)


if __name__ == "__main__":
    main()
