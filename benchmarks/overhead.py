"""What gstar itself costs: starting up, memory of the parent, and seconds per trial when training is free.

python benchmarks/overhead.py            # about two minutes on two quiet cores
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from quick import Quick

from gstar.experience import Experience
from gstar.reading import make_task
from gstar.search import search

STARTS = {
    "python -c pass": ["-c", "pass"],
    "import gstar": ["-c", "import gstar"],
    "gstar --help": ["-m", "gstar", "--help"],
}
HEAVY = ("catboost", "lightgbm", "xgboost", "ray", "torch", "sklearn", "pandas", "numpy")
FEW, MANY = 8, 108


def table(rows: int, features: int) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(rows, features)), columns=[f"x{i}" for i in range(features)])
    return X, np.where(X["x0"] + X["x1"] * X["x2"] + rng.normal(size=rows) > 0, "yes", "no")


def wall_s(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def startup() -> None:
    for name, arguments in STARTS.items():
        times = sorted(wall_s([sys.executable, *arguments]) for _ in range(7))
        print(f"{name}: {times[0]:.3f} s best, {times[3]:.3f} s median of 7")
    listing = "import sys, gstar, gstar.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", listing], check=True, capture_output=True, text=True).stdout.split()
    print(f"of {', '.join(HEAVY)}, loaded by gstar.cli: {[name for name in HEAVY if name in loaded]}")


def parent_memory() -> None:
    X, y = table(50_000, 30)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = search(make_task(X, y), budget_s=30.0, seed=0, started=time.monotonic())
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"parent on 50,000 x 30, 30 s, {len(result.trials)} trials: peak {peak_mb:.0f} MB ({before_mb:.0f} before)")


def trial_costs() -> None:
    for rows in (1_000, 50_000):
        task = make_task(*table(rows, 30))
        for policy in ("random", "portfolio", "gaussian"):
            for workers in (1, 2):
                seconds = {}
                for trials in (FEW, MANY):
                    with tempfile.TemporaryDirectory() as home, Experience.open(Path(home) / "e.db") as experience:
                        start = time.perf_counter()
                        result = search(
                            task,
                            budget_s=None,
                            trials=trials,
                            policy=policy,
                            experience=experience,
                            workers=workers,
                            learners=[Quick()],
                        )
                        seconds[len(result.trials)] = time.perf_counter() - start
                (few, first_s), (many, last_s) = min(seconds.items()), max(seconds.items())
                cost_ms = 1000 * (last_s - first_s) / max(1, many - few)
                print(
                    f"{rows:>6,} x 30, {policy}, {workers} workers: {cost_ms:.1f} ms per trial "
                    f"({few} trials {first_s:.2f} s, {many} trials {last_s:.2f} s)"
                )


if __name__ == "__main__":
    parent_memory()
    startup()
    trial_costs()
