"""Trains the models that `meta_training.py` learns from, and keeps what came of them.

    python benchmarks/meta_collect.py DATA --budget 40m [--forms table] [--part 0 --of 2]

It goes on where it stood; parts may run side by side.

Every line of the file is one of three things: a task, a strategy, or a trial that names both.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from meta_conditions import read_live, strategies_for
from meta_tasks import quarter

from gstar.executors import Limits, SerialExecutor
from gstar.settings import read_duration_s
from gstar.strategy import Strategy
from gstar.trial import Proposal, Trial
from gstar.worlds.live import LiveTask, LiveWorld

TRIALS = Path(__file__).parent / "results" / "meta_training_trials.jsonl"
ROUND = 4
"""Strategies that are tried on all tasks of a form before the next ones are."""
FORMS = ("table", "sequences", "images")


def collect(data: Path, budget_s: float, part: int, parts: int, forms: tuple[str, ...] = FORMS) -> None:
    """Tries every strategy on every task of its form; what is in the file already is not tried again."""
    end = time.monotonic() + budget_s
    warnings.simplefilter("ignore")
    live = [task for i, task in enumerate(read_live(data, forms)) if i % parts == part]
    tried = {(row["task"], row["strategy"]) for row in read_lines(TRIALS) if "reward" in row}
    with TRIALS.open("a", encoding="utf-8") as file:
        for task, strategies in _plan(live):
            todo = [s for s in strategies if (task.task.name, s.hash) not in tried]
            if not todo:
                continue
            if time.monotonic() > end:
                return
            begin = time.process_time()
            trials = _tried(task, todo)
            lines = [_about(task), *({"hash": s.hash, "point": s.to_json()} for s in todo)]
            lines += [_row(trial, task) for trial in trials]
            file.write("".join(json.dumps(line) + "\n" for line in lines))
            file.flush()
            failed = sum(trial.query_score is None for trial in trials)
            cpu_s = time.process_time() - begin
            print(f"{task.task.name}: {len(trials)} trials, {failed} failed, {cpu_s:.1f} CPU s", file=sys.stderr)


def _plan(live: list[LiveTask]) -> Iterator[tuple[LiveTask, list[Strategy]]]:
    """Yields tasks with a few strategies each: all once before any comes again."""
    lists = {form: _rounds(strategies_for(form)) for form in FORMS}
    for i, form in sorted((i, name) for name in FORMS for i in range(len(lists[name]))):
        yield from ((task, lists[form][i]) for task in live if task.task.form == form)


def _rounds(strategies: list[Strategy]) -> list[list[Strategy]]:
    """Returns the strategies in rounds, each with those cut to a quarter of the epochs."""
    rounds = [strategies[i : i + ROUND] for i in range(0, len(strategies), ROUND)]
    return [[*some, *(q for s in some if (q := quarter(s)) is not None and q not in strategies)] for some in rounds]


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
    """Yields the lines; one that a kill cut off is left out."""
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--budget", default="40m")
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    given = parser.parse_args()
    collect(given.data, read_duration_s(given.budget), given.part, given.of, tuple(given.forms.split(",")))


if __name__ == "__main__":
    main()
