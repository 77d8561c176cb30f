"""Does g learn which network, schedule and rows suit which task? Meta-training on small real tasks.

    python benchmarks/meta_training.py collect DATA --budget 25m    # the same strategies on all tasks; resumes
    python benchmarks/meta_training.py learn                         # meta-training, and what came of it

DATA holds images/, sequences/ and tasks/ with manifest.csv. Learning reads the recorded trials, so that it
takes seconds and repeats; every recorded trial was a model that was trained.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from meta_tasks import quarter, read_families, strategies_for

from gstar.executors import Limits, ProcessExecutor
from gstar.settings import read_duration_s
from gstar.strategy import Strategy
from gstar.trial import Proposal, Trial
from gstar.worlds.live import LiveTask, LiveWorld

TRIALS = Path(__file__).parent / "results" / "meta_training_trials.jsonl"
TRIAL_S = 1800.0
"""After so long a trial is killed; far more than any takes; what it costs is counted in seconds of the processor."""
ROUND = 5
"""Strategies that are tried on all tasks before the next ones are."""


def collect(data: Path, budget_s: float) -> None:
    """Tries every strategy on every task of its form; what is in the file already is not tried again."""
    end = time.monotonic() + budget_s
    tried = {(row["task"], row["strategy"]) for row in read_rows(TRIALS)}
    live = [(LiveTask.of(f.task, family=f.family), half) for f, half in read_families(data)]
    lists = {form: _rounds(strategies_for(form)) for form in ("images", "sequences", "table")}
    with ProcessExecutor(2) as executor, TRIALS.open("a", encoding="utf-8") as file:
        for i in range(max(map(len, lists.values()))):
            for task, half in live:
                strategies = lists[task.task.form][i] if i < len(lists[task.task.form]) else []
                todo = [s for s in strategies if (task.task.name, s.hash) not in tried]
                if not todo:
                    continue
                if time.monotonic() > end:
                    return
                trials = _tried(task, todo, executor)
                for trial in trials:
                    file.write(json.dumps(_row(trial, task, half)) + "\n")
                file.flush()
                cpu_s, failed = sum(t.extra["cpu_s"] for t in trials), sum(t.query_score is None for t in trials)
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


def _row(trial: Trial, task: LiveTask, half: int) -> dict[str, object]:
    return {
        "task": task.task.name,
        "form": task.task.form,
        "kind": task.task.kind,
        "family": task.family,
        "half": half,
        "strategy": trial.strategy.hash,
        "point": trial.strategy.to_json(),
        "reward": _worth(task, trial.query_score),
        "valid": _worth(task, trial.score),
        "cpu_s": round(trial.extra["cpu_s"], 3),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("collect", "learn"))
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--budget", default="25m")
    given = parser.parse_args()
    if given.what == "collect":
        collect(given.data, read_duration_s(given.budget))


if __name__ == "__main__":
    main()
