"""Prints how long the meta-features of tables of several shapes take, and which cost most.

OMP_NUM_THREADS=1 python benchmarks/metafeatures.py
"""

from __future__ import annotations

import time

import numpy as np

from gstar.metafeatures import NAMES, compute
from gstar.metafeatures.support import REGISTRY, Support
from gstar.reading import make_task
from gstar.task import Task

SHAPES = [(500, 20, 0), (50_000, 60, 40), (50_000, 100, 0), (1_000_000, 3, 0), (50, 20_000, 0), (5_000, 0, 30)]


def table(rows: int, numbers: int, categories: int, classes: int) -> Task:
    rng = np.random.default_rng(0)
    columns = {f"n{j}": rng.normal(size=rows) for j in range(numbers)}
    columns |= {f"c{j}": rng.integers(0, 5 + j, rows).astype(str).astype(object) + "x" for j in range(categories)}
    y = rng.integers(0, classes, rows) if classes else rng.normal(size=rows)
    return make_task(columns, y)


def seconds(function: object, argument: object) -> float:
    start = time.perf_counter()
    function(argument)  # type: ignore[operator]
    return time.perf_counter() - start


def main() -> None:
    print(f"{len(NAMES)} meta-features")
    for rows, numbers, categories in SHAPES:
        for classes in (0, 2, 20):
            task = table(rows, numbers, categories, classes)
            best = min(seconds(compute, task) for _ in range(3))
            print(f"{rows:>9,} x {numbers + categories:<6} {task.kind.value:<10} C={classes:<2} {best:.3f} s")
    support = Support(table(50_000, 60, 40, 20))
    costs = sorted(((seconds(REGISTRY[name], support), name) for name in NAMES), reverse=True)
    print("dearest at 50,000 x 100, C=20:", ", ".join(f"{name} {cost * 1e3:.0f} ms" for cost, name in costs[:6]))


if __name__ == "__main__":
    main()
