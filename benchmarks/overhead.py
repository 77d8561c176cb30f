"""What gstar itself costs: memory of the parent, and seconds per trial when training is free.

    python benchmarks/overhead.py            # some minutes on two quiet cores

The cost of a trial is the slope between a search of few and one of many trials, one at a
time, so that what happens once per search does not count. *Own* is the wall time without
the seconds that the trials themselves report for reading, encoding, training and scoring.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from quick import AllRows, Quick

from gstar.experience import Experience
from gstar.policies import get_policy
from gstar.reading import make_task
from gstar.search import search
from gstar.task import Task

FEW, MANY = 48, 148
"""More than take part in an ensemble, so that its cost is the same for both."""


def table(rows: int, features: int) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(rows, features)), columns=[f"x{i}" for i in range(features)])
    return X, np.where(X["x0"] + X["x1"] * X["x2"] + rng.normal(size=rows) > 0, "yes", "no")


def parent_memory() -> None:
    X, y = table(50_000, 30)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.monotonic()
    with Experience.open(mode="off") as experience:
        result = search(make_task(X, y), budget_s=30.0, seed=0, experience=experience, started=start)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"parent on 50,000 x 30, 30 s, {len(result.trials)} trials: peak {peak_mb:.0f} MB ({before_mb:.0f} before)")


def quick_search(task: Task, policy: str, trials: int) -> tuple[int, float, float]:
    """Returns how many trials were made, the wall seconds, and those that the trials say they took."""
    with tempfile.TemporaryDirectory() as home, Experience.open(Path(home) / "experience.db") as experience:
        chooser = AllRows(get_policy(policy, experience.knowledge(task.kind, task.metric.name)))
        start = time.perf_counter()
        result = search(
            task,
            budget_s=None,
            trials=trials,
            policy=chooser,
            experience=experience,
            workers=1,
            learners=[Quick()],
        )
        return len(result.trials), time.perf_counter() - start, sum(trial.cost_s for trial in result.trials)


def trial_costs() -> None:
    for rows in (1_000, 50_000):
        task = make_task(*table(rows, 30))
        for policy in ("random", "portfolio", "gaussian"):
            few, many = (np.array(quick_search(task, policy, trials)) for trials in (FEW, MANY))
            trials, wall_s, inside_s = many - few
            own_ms, wall_ms = 1000 * (wall_s - inside_s) / trials, 1000 * wall_s / trials
            print(f"{rows:>6,} x 30, {policy:<9}: {own_ms:5.1f} ms per trial are gstar's own, of {wall_ms:.1f} ms")


if __name__ == "__main__":
    parent_memory()
    trial_costs()
