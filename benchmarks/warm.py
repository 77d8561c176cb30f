"""Does the next fit start warmer? The same team's next table, and the same table again.

    python benchmarks/warm.py DATA [--tables stratified24] [--trials 40] [--out FILE]

The support rows of a table are cut in two halves that share no row. On the first, a search of
some trials is remembered. On the second, a search of a few trials is made three times:
*cold*, with the shipped experience without the table's family; *warm*, with what was
remembered of the first half too; *again*, with what an earlier search on the very same half
left. After 1, 3, 5, ... trials the best so far by validation is compared: its regret is the
distance to the best score of all these searches on that half, as a share of the distance from
there to the middle one. All on the same folds; nothing depends on the clock.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from quality import KNOWLEDGE, RESULTS, WORK
from tables import Table, choose, read_tables, split

from gstar.experience import Experience
from gstar.reading import make_task
from gstar.search import search
from gstar.task import Task

LEARNERS = ("linear", "neighbors", "kernel", "random_forest", "extra_trees", "lightgbm")
"""Those of the base install."""
AFTER = (1, 3, 5, 10)
MOST_ROWS = 1500
SEED = 0


def halves(table: Table) -> tuple[Task, Task]:
    """Returns two tasks that share no row, each with its share of every class."""
    support = pd.read_parquet(split(table, WORK / "splits").support)
    order = np.random.default_rng(SEED).permutation(len(support))
    if table.kind.is_classification:
        order = order[np.argsort(support[table.target].astype(str).to_numpy()[order], kind="stable")]
    parts = (support.iloc[np.sort(order[i::2])].reset_index(drop=True) for i in (0, 1))
    first, second = (make_task(part, target=table.target, kind=table.kind, name=table.name) for part in parts)
    return first, second


def scores(task: Task, experience: Experience, trials: int) -> list[float]:
    """Returns the validation scores of a search in the order of its trials, -inf for one that failed."""
    result = search(task, budget_s=None, trials=trials, seed=SEED, experience=experience, learners=LEARNERS)
    return [-np.inf if t.score is None else float(t.score) for t in result.trials][1:]


def measure(table: Table, trials: int) -> dict[str, list[float]]:
    """Runs the four searches on one table; returns the scores on the second half by the state of experience."""
    first, second = halves(table)
    found = {}
    with tempfile.TemporaryDirectory() as home, Experience.open(Path(home) / "experience.db") as experience:
        experience.shipped = KNOWLEDGE / f"fold{table.fold}.jsonl.gz"
        with Experience.open(mode="off") as nothing:
            nothing.shipped = experience.shipped
            found["cold"] = scores(second, nothing, max(AFTER))
        scores(first, experience, trials)
        found["warm"] = scores(second, experience, max(AFTER))
    with tempfile.TemporaryDirectory() as home, Experience.open(Path(home) / "experience.db") as experience:
        experience.shipped = KNOWLEDGE / f"fold{table.fold}.jsonl.gz"
        found["long"] = scores(second, experience, trials)
        found["again"] = scores(second, experience, max(AFTER))
    return found


def report(rows: list[dict[str, list[float]]]) -> None:
    """Prints mean regrets, and how much warm and again are below cold, with intervals over tables."""
    regrets = {state: np.empty((len(rows), len(AFTER))) for state in ("cold", "warm", "again")}
    for i, row in enumerate(rows):
        every = np.concatenate([np.array(values) for values in row.values()])
        every = every[np.isfinite(every)]
        best, middle = every.max(), np.median(every)
        for state, regret in regrets.items():
            reached = np.maximum.accumulate(row[state])[np.array(AFTER) - 1]
            regret[i] = np.clip((best - reached) / max(best - middle, 1e-12), 0.0, 2.0)
    rng = np.random.default_rng(0)
    some = rng.integers(len(rows), size=(4000, len(rows)))
    print(f"{len(rows)} tables; regret after so many trials, mean and 95 % of the difference to cold")
    for state, regret in regrets.items():
        apart = np.percentile((regret - regrets["cold"])[some].mean(axis=1), [2.5, 97.5], axis=0)
        cells = (
            f"{n:>3}: {m:.3f} [{low:+.3f}, {high:+.3f}]"
            for n, m, (low, high) in zip(AFTER, regret.mean(axis=0), apart.T, strict=True)
        )
        print(f"{state:6}", "  ".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tables", nargs="+", default=["stratified24"])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--out", type=Path, default=RESULTS.with_name("warm.jsonl"))
    given = parser.parse_args()
    lines = given.out.read_text().splitlines() if given.out.exists() else []
    known = {row.pop("table"): row for row in map(json.loads, lines)}
    for table in choose(read_tables(given.data), given.tables):
        if table.name in known or pd.read_parquet(split(table, WORK / "splits").support).shape[0] > MOST_ROWS:
            continue
        known[table.name] = measure(table, given.trials)
        with given.out.open("a") as file:
            file.write(json.dumps({"table": table.name, **known[table.name]}) + "\n")
        print(table.name, {state: round(max(values), 5) for state, values in known[table.name].items()}, flush=True)
    report(list(known.values()))


if __name__ == "__main__":
    main()
