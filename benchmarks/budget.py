"""Is a fit on time? Wall time of fits at several budgets, also with learners that misbehave.

    python benchmarks/budget.py                                   # about 12 minutes
    python benchmarks/budget.py --budgets 5 --cases all sleeper

A fit counts from the call with a data frame in memory to the model, as a user sees it; the
allowance is the budget and max(2 s, 5 %). Each fit is a process of its own. With an evil
learner, the policy is random and has the choice between it and a linear model.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from measure import pin, run_measured
from tables import read_tables

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TABLES = ("credit_g", "arrhythmia", "portal_species", "diamonds")
EVIL = ("sleeper", "spinner", "hog", "native_hog", "parent")
EVIL_TABLE = "credit_g"
EVIL_MEMORY_MB = 1000.0


def fit(path: Path, target: str, case: str, budget_s: float) -> dict[str, object]:
    """Fits in this process, and tells how long it took and what came of it."""
    import pandas as pd

    from gstar.experience import Experience
    from gstar.reading import make_task
    from gstar.search import search
    from gstar.testing import evil

    frame = pd.read_parquet(path)
    bad = [e() for e in evil.ALL if e.name == case]
    start = time.monotonic()
    result = search(
        make_task(frame, target=target),
        budget_s=budget_s,
        policy="random" if bad else "gaussian",
        learners=["linear", *bad] if bad else None,
        memory_mb=EVIL_MEMORY_MB if bad else None,
        experience=Experience.open(mode="off"),
        started=start,
    )
    seconds = time.monotonic() - start
    statuses = [str(trial.status) for trial in result.trials]
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    return {"seconds": seconds, "trials": counts, "stop": result.stop_reason}


def report(case: str, name: str, budget_s: float, path: Path, target: str) -> str:
    asked = json.dumps([str(path), target, case, budget_s])
    command = [sys.executable, __file__, "--one", asked]
    measured = run_measured(command, timeout_s=20 * budget_s + 120)
    last = measured.output.strip().splitlines()[-1:] or [""]
    if measured.code != 0:
        return f"| {case} | {name} | {budget_s:g} | - | {measured.wall_s:.1f} | FAILED: {last[0][:120]} |"
    row = json.loads(last[0])
    verdict = "yes" if row["seconds"] <= budget_s + max(2.0, 0.05 * budget_s) else "NO"
    trials = ", ".join(f"{n} {status}" for status, n in row["trials"].items())
    cells = (f"{row['seconds']:.2f}", f"{measured.wall_s:.1f}", verdict, f"{measured.peak_mb:.0f}")
    return (
        f"| {case} | {name} | {budget_s:g} | {' | '.join(cells)} | {measured.left_behind} | {trials}; {row['stop']} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with manifest.csv and tasks/")
    parser.add_argument("--budgets", nargs="+", type=float, default=[5.0, 10.0, 30.0, 60.0])
    parser.add_argument("--cases", nargs="+", default=["all", *EVIL], help="'all' learners, or names of evil ones")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        path, target, case, budget_s = json.loads(args.one)
        print(json.dumps(fit(Path(path), target, case, budget_s)))
        return
    pin(2)
    tables = {table.name: table for table in read_tables(args.data)}
    print("| learners | table | budget s | fit s | process s | on time | MB of the tree | left behind | trials |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in args.cases:
        for name in TABLES if case == "all" else (EVIL_TABLE,):
            for budget_s in args.budgets if case == "all" else args.budgets[:2]:
                print(report(case, name, budget_s, tables[name].path, tables[name].target), flush=True)


if __name__ == "__main__":
    main()
