"""Speed of an experience of a million trials: how long it takes to add, to recall, to open.

    python benchmarks/experience.py [TRIALS] [FOLDER]

Builds the store through the public interface (2,000 tasks x 500 strategies, every cell tried
once), then measures single appends, `records` in a new and in a warm process, `status`, and what
`gstar recommend` asks: the knowledge, a policy that has learned from it, the ranking. A store that is in
FOLDER already is used again.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from gstar.experience import Experience
from gstar.inputs import Table
from gstar.learner import get_learner
from gstar.metafeatures import NAMES
from gstar.metric import TaskKind, get_metric
from gstar.policies.sampling import Draw
from gstar.strategy import Strategy, strategy_space
from gstar.task import Task
from gstar.trial import Proposal, Status, Trial

N_STRATEGIES = 500
LEARNERS = ("extra_trees", "kernel", "lightgbm", "linear", "neighbors", "random_forest")
KIND = TaskKind.BINARY

COLD = """
import sys, time
from gstar.experience import Experience
from gstar.metric import TaskKind
begin = time.perf_counter()
experience = Experience.open(sys.argv[1])
opened = time.perf_counter()
for _ in range(2):
    experience.records(TaskKind.BINARY)
    print((time.perf_counter() - opened) * 1e3, end=" ")
    opened = time.perf_counter()
"""

RECOMMEND = """
import sys, time
start = time.perf_counter()
from gstar.advice import recommend
import gstar
from pathlib import Path
from gstar.experience import Experience
from gstar.reading import make_task
task = make_task(Path(gstar.__file__).parent / "demo" / "penguins.csv", target="sex")
begin = time.perf_counter()
with Experience.open(sys.argv[1]) as experience:
    for _ in range(2):
        experience.knowledge(task.kind, task.metric.name)
        print((time.perf_counter() - begin) * 1e3, end=" ")
        begin = time.perf_counter()
        assert len(recommend(task, experience)) == 10
        print((time.perf_counter() - begin) * 1e3, end=" ")
        begin = time.perf_counter()
"""


def make_strategies(rng: np.random.Generator) -> list[Strategy]:
    learners = {name: get_learner(name) for name in LEARNERS}
    tree = strategy_space(
        {name: one.space for name, one in learners.items()},
        scheduled=frozenset(name for name, one in learners.items() if one.has_schedule),
    )
    found: dict[Strategy, None] = {}
    while len(found) < N_STRATEGIES:
        found[Draw(tree).sample(rng)] = None
    return list(found)


def make_task(i: int, rng: np.random.Generator) -> Task:
    inputs = Table.of(rng.normal(size=(4, 2)))
    return Task(f"task {i}", KIND, get_metric(None, KIND), inputs, np.array([0, 1, 0, 1]), ("no", "yes"))


def make_trial(task: str, run: str, number: int, strategy: Strategy, rng: np.random.Generator) -> Trial:
    failed = rng.random() < 0.05
    return Trial(
        Proposal(strategy, -1.5, "gaussian"),
        task,
        Status.FAILED if failed else Status.COMPLETED,
        "5-fold",
        number,
        "roc_auc",
        score=None if failed else float(rng.random()),
        cost_s=float(rng.exponential()),
        cost_steps=100,
        memory_mb=200.0,
        error="ValueError: did not converge" if failed else "",
        number=number,
        run=run,
        versions={"gstar": "0.1.0", "scikit-learn": "1.9.1"},
    )


def build(experience: Experience, n_trials: int, strategies: list[Strategy], rng: np.random.Generator) -> None:
    for i in range(max(1, n_trials // N_STRATEGIES)):
        task = make_task(i, rng)
        experience.add_task(task, rng.normal(size=len(NAMES)))
        run = experience.start_run(task.fingerprint, {"budget_s": 60.0, "seed": i})
        experience.append([make_trial(task.fingerprint, run, n, s, rng) for n, s in enumerate(strategies)])
        experience.finish_run(run, status="completed", score=0.9, seconds=60.0, summary={})


def appends_ms(experience: Experience, strategies: list[Strategy], rng: np.random.Generator) -> list[float]:
    """Single trials on tasks that are known, so that full cells are rewritten."""
    times = []
    tasks = experience.records(KIND).tasks
    for task in rng.choice(tasks, 20, replace=False):
        run = experience.start_run(str(task), {})
        for n in range(50):
            trial = make_trial(str(task), run, n, strategies[int(rng.integers(N_STRATEGIES))], rng)
            begin = time.perf_counter()
            experience.append([trial])
            times.append((time.perf_counter() - begin) * 1e3)
    return times


def timed_ms(work) -> float:
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1e3


def processes_ms(code: str, path: Path) -> list[float]:
    """Returns the medians over 5 new processes of the milliseconds that they print."""
    command = [sys.executable, "-c", code, str(path)]
    said = [[float(x) for x in subprocess.check_output(command, text=True).split()] for _ in range(5)]
    return [float(np.median(column)) for column in zip(*said, strict=True)]


def main(n_trials: int, folder: Path) -> None:
    rng = np.random.default_rng(0)
    path = folder / "experience.db"
    strategies, built_s, there = make_strategies(rng), 0.0, path.exists()
    with Experience.open(path, shipped=False) as experience:
        if not there:
            built_s = timed_ms(lambda: build(experience, n_trials, strategies, rng)) / 1e3
        times = appends_ms(experience, strategies, rng)
        status_ms = timed_ms(experience.status)
        state = experience.status()
        task = experience.records(KIND).tasks[0]
        history_ms = timed_ms(lambda: experience.history(task, "roc_auc"))
        recount_ms = timed_ms(lambda: experience.records(KIND))
    print(
        f"SQLite {sqlite3.sqlite_version}, journal {state.journal_mode}, {state.trials:,} trials, {state.tasks:,} tasks"
    )
    print(f"file                      {state.size_bytes / 1e6:8.1f} MB")
    print(f"built in                  {built_s:8.1f} s")
    print(f"append one trial p50      {np.percentile(times, 50):8.2f} ms")
    print(f"append one trial p99      {np.percentile(times, 99):8.2f} ms")
    print(f"append one trial worst    {max(times):8.2f} ms")
    cold, again = processes_ms(COLD, path)
    print(f"records, new process      {cold:8.1f} ms")
    print(f"records, again            {again:8.2f} ms")
    print(f"records, unchanged        {recount_ms:8.2f} ms")
    print(f"history of one task       {history_ms:8.1f} ms")
    print(f"status                    {status_ms:8.1f} ms")
    known, first, known_again, second = processes_ms(RECOMMEND, path)
    print(f"knowledge, new process    {known:8.1f} ms")
    print(f"recommend, first          {first:8.1f} ms")
    print(f"both, again               {known_again + second:8.1f} ms")


if __name__ == "__main__":
    n_trials = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        main(n_trials, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(n_trials, Path(folder))
