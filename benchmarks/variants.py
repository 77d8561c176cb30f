"""What a fit owes to its policy, and to how many models of a kind may join its ensemble.

    python benchmarks/variants.py [TABLE ...] [--budget 10] [--data FOLDER]

Of each table 30 % query rows are kept back, as in quality.py; the shipped knowledge leaves out
the fold with the table's family. One search per policy; its trials are combined once per cap.
Prints the score on the query rows, then the mean over tables of the score normalised between
the worst and the best variant of the table.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from quality import DATA, KNOWLEDGE, WORK
from tables import Table, read_tables, split

from gstar import combining
from gstar import search as main_job
from gstar.experience import Experience
from gstar.model import Model
from gstar.policies import get_policy
from gstar.reading import make_task

POLICIES = {
    "portfolio": ("portfolio", {}),
    "gaussian after 6": ("gaussian", {"opening": 6}),
    "gaussian after 12": ("gaussian", {"opening": 12}),
}
CAPS = (1, 2, 3, 99)
TABLES = [
    "attrition",
    "autompg",
    "bank32nh",
    "baseball_hitter",
    "baseball_pitcher",
    "bodyfat",
    "boston_housing",
    "breast_cancer",
    "bupa",
    "cells",
    "chapman_heart",
    "cmc",
    "colleges_aaup",
    "column2c",
    "iris",
    "machine_cpu",
]


def end_once_per_cap() -> dict[int, Model]:
    """Makes each search end once per cap; returns where the models of the last search are kept."""
    models: dict[int, Model] = {}
    finish_once = main_job._Desk.finish

    def finish(desk: main_job._Desk, reason: str) -> main_job.SearchResult:
        for cap in CAPS:
            combining.PER_LEARNER = cap
            result = finish_once(desk, reason)
            models[cap] = result.model
        return result

    main_job._Desk.finish = finish
    return models


def score(model: Model, table: Table, query: pd.DataFrame, answer: pd.Series, metric) -> float:
    if not table.kind.is_classification:
        return metric.score(answer.to_numpy(float), model.predict(query))
    code_of = {label: code for code, label in enumerate(model.classes)}
    return metric.score(np.array([code_of[label] for label in answer]), model.predict_proba(query))


def run(table: Table, budget_s: float, by_cap: dict[int, Model]) -> dict[str, float]:
    parts = split(table, WORK / "split")
    support, query = pd.read_parquet(parts.support), pd.read_parquet(parts.query)
    answer = pd.read_parquet(parts.answer)[table.target]
    os.environ["GSTAR_SHIPPED"] = str(KNOWLEDGE / f"fold{table.fold}.jsonl.gz")
    found = {}
    for label, (name, options) in POLICIES.items():
        started = time.monotonic()
        task = make_task(support, target=table.target, kind=table.kind, name=table.name)
        with Experience.open(mode="off") as experience:
            policy = get_policy(name, experience.knowledge(task.kind, task.metric.name), **options)
            main_job.search(task, budget_s=budget_s, policy=policy, experience=experience, started=started)
        for cap, model in by_cap.items():
            found[f"{label}, cap {cap}"] = score(model, table, query, answer, task.metric)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", default=TABLES)
    parser.add_argument("--budget", type=float, default=10.0)
    parser.add_argument("--data", type=Path, default=DATA)
    args = parser.parse_args()
    by_cap = end_once_per_cap()
    normalised = defaultdict(list)
    for table in read_tables(args.data):
        if table.name in args.tables:
            found = run(table, args.budget, by_cap)
            worst, best = min(found.values()), max(found.values())
            for label, value in found.items():
                print(f"{table.name:24s} {label:26s} {value:.5g}", flush=True)
                normalised[label].append((value - worst) / (best - worst) if best > worst else 1.0)
    print("\nmean normalised score")
    for label, values in sorted(normalised.items(), key=lambda item: -np.mean(item[1])):
        print(f"{label:26s} {np.mean(values):.3f}  ({len(values)} tables)")


if __name__ == "__main__":
    main()
