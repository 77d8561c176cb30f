"""Trains the models that `meta_training.py` learns from, and keeps what came of them.

    python benchmarks/meta_collect.py DATA --budget 40m [--forms table] [--workers 2]

It goes on where it stood; tasks are described anew each time.

Every line of the file is one of three things: a task, a strategy, or a trial that names both.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from meta_conditions import read_live
from meta_strategies import drawn_for, strategies_for
from meta_tasks import quarter
from pool import spread

from gstar.executors import Limits, SerialExecutor
from gstar.machine import cores
from gstar.settings import read_duration_s
from gstar.strategy import Strategy
from gstar.trial import Proposal, Trial
from gstar.worlds.live import LiveTask, LiveWorld

TRIALS = Path(__file__).parent / "results" / "meta_training_trials.jsonl.gz"
ROUND = 4
"""Strategies that are tried on all tasks of a form before the next ones are."""
FORMS = ("table", "sequences", "images")


def collect(data: Path, budget_s: float, workers: int, forms: tuple[str, ...], file: Path) -> None:
    """Tries every strategy on every task of its form; what is in the file already is not tried again."""
    warnings.simplefilter("ignore")
    live = list(read_live(data, forms))
    tried = {(row["task"], row["strategy"]) for row in read_lines(file) if "reward" in row}
    plan = ((task, [s for s in some if (task.task.name, s.hash) not in tried]) for task, some in _plan(live))
    jobs = [(task, todo) for task, todo in plan if todo]
    print(f"{len(live)} tasks, {sum(len(todo) for _, todo in jobs)} trials to make", file=sys.stderr, flush=True)
    with gzip.open(file, "at", encoding="utf-8") as out:
        out.write("".join(json.dumps(_about(task)) + "\n" for task in live))
        for lines in spread(_lines, jobs, workers, budget_s):
            out.write("".join(json.dumps(line) + "\n" for line in lines))
            out.flush()


def _lines(job: tuple[LiveTask, list[Strategy]]) -> list[dict]:
    task, strategies = job
    trials = _tried(task, strategies)
    return [*({"hash": s.hash, "point": s.to_json()} for s in strategies), *(_row(trial, task) for trial in trials)]


def _plan(live: list[LiveTask]) -> Iterator[tuple[LiveTask, list[Strategy]]]:
    """Yields tasks with a few strategies each: all once before any comes again."""
    lists = {form: _rounds(strategies_for(form), drawn_for(form)) for form in FORMS}
    for k, form in sorted((k, name) for name in FORMS for k in range(len(lists[name]))):
        yield from ((task, lists[form][k]) for task in live if task.task.form == form)


def _rounds(strategies: list[Strategy], drawn: list[Strategy]) -> list[list[Strategy]]:
    """Returns the strategies in rounds, each with those cut to a quarter of the epochs that halving asks for."""
    rounds = [strategies[i : i + ROUND] for i in range(0, len(strategies), ROUND)]
    return [[*some, *(q for s in some if s in drawn and (q := quarter(s)) is not None)] for some in rounds]


def _tried(task: LiveTask, strategies: list[Strategy]) -> list[Trial]:
    n = len(strategies)
    with LiveWorld([task], SerialExecutor(), Limits()) as world:
        return world.trials([0] * n, [Proposal(s, 0.0, "given") for s in strategies], [0] * n)


def _about(task: LiveTask) -> dict[str, object]:
    about = {"name": task.task.name, "form": task.task.form, "family": task.family}
    return {**about, "context": [round(float(x), 5) for x in task.context]}


def _row(trial: Trial, task: LiveTask) -> dict[str, object]:
    row = {
        "task": task.task.name,
        "strategy": trial.strategy.hash,
        "reward": _worth(task, trial.query_score),
        "valid": _worth(task, trial.score),
        "cpu_s": round(trial.extra.get("cpu_s", 0.0), 3),
    }
    return row | ({"error": trial.error[:200]} if trial.error else {})


def _worth(task: LiveTask, score: float | None) -> float | None:
    return None if score is None else round(float(task.scale.reward(np.array(score))), 5)


def read_lines(file: Path) -> Iterator[dict]:
    """Yields the lines; what a kill cut off is left out."""
    if not file.exists():
        return
    with gzip.open(file, "rt", encoding="utf-8") as lines, contextlib.suppress(EOFError, ValueError):
        for line in lines:
            yield json.loads(line)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--budget", default="40m")
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--file", type=Path, default=TRIALS)
    given = parser.parse_args()
    collect(given.data, read_duration_s(given.budget), given.workers, tuple(given.forms.split(",")), given.file)


if __name__ == "__main__":
    main()
