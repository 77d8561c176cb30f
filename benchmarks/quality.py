"""How good are the models, against libraries as they come and AutoML with the same budget?

    python benchmarks/quality.py --tables all --budget 10                 # every peer, every table
    python benchmarks/quality.py --peers gstar_budget flaml_budget --tables stratified40 --budget 60 --quiet
    python benchmarks/quality_report.py --budget 10                       # what came of it

Each table is split once (30 % query rows, seed 0, stratified). A method runs in a process of
its own, in an environment of its own, on two cores; it gets the support rows with their
target and the query rows without, and hands back predictions, which are scored here. One
line of JSON per run goes to ``benchmarks/results/quality.jsonl``; what is there is not run
again, so this can be stopped and started at any time. Tables come one after the other and
all methods in turn, so that a drift of the machine hits all alike.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import envs
import numpy as np
import pandas as pd
from measure import Measured, pin, run_measured
from tables import Split, Table, choose, read_tables, split

from gstar.metric import DEFAULT_METRIC, METRICS

HERE = Path(__file__).parent.resolve()
WORK = HERE / "work"
RESULTS = HERE / "results" / "quality.jsonl"
KNOWLEDGE = WORK / "knowledge"
DATA = HERE.parents[1] / "shared" / "data"
N_CORES = 2
SEED = 0


@dataclass(frozen=True)
class Run:
    """Is one method on one table; `budget_s` is 0 for methods that have none."""

    peer: str
    budget_s: float
    table: str


@dataclass(frozen=True)
class Answer:
    """Is what a method handed back."""

    prediction: np.ndarray
    classes: list[str]
    fit_s: float
    predict_s: float
    about: str
    chosen: str


def measure(run: Run, table: Table, python: Path, *, timeout_s: float, knowledge: str, quiet: bool) -> dict[str, Any]:
    """Runs one method on one table in a folder of its own, and returns the row of results."""
    parts = split(table, WORK / "splits")
    asked = {
        "support": str(parts.support),
        "query": str(parts.query),
        "target": table.target,
        "kind": str(table.kind),
        "budget_s": run.budget_s,
        "n_cores": N_CORES,
        "seed": SEED,
    }
    with tempfile.TemporaryDirectory(dir=WORK, prefix="room-", ignore_cleanup_errors=True) as name:
        room = Path(name)
        (room / "tmp").mkdir()
        (room / "asked.json").write_text(json.dumps(asked | {"out": str(room / "answer.npz")}))
        places = {"TMPDIR": str(room / "tmp"), "GSTAR_HOME": str(room / "home"), "GSTAR_SHIPPED": knowledge}
        # threads that wait by spinning make a shared machine crawl
        manners = {} if quiet else {"OMP_WAIT_POLICY": "passive"}
        measured = run_measured(
            [str(python), str(envs.PEERS / f"{run.peer}.py"), str(room / "asked.json")],
            timeout_s=timeout_s,
            env=envs.clean_environ() | places | manners,
            cwd=room,
        )
        return _row(table, parts, room / "answer.npz", measured, timeout_s)


def _row(table: Table, parts: Split, path: Path, measured: Measured, timeout_s: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": str(table.kind),
        "metric": DEFAULT_METRIC[table.kind],
        "wall_s": round(measured.wall_s, 2),
        "peak_mb": round(measured.peak_mb),
        "left_behind": measured.left_behind,
    }
    if measured.timed_out:
        return row | {"error": f"timeout after {timeout_s:g} s"}
    if measured.code != 0 or not path.exists():
        last = measured.output.strip().splitlines()[-1:] or ["no output"]
        return row | {"error": f"exit {measured.code}: {last[0][:300]}"}
    answer = _read_answer(path)
    row |= {"fit_s": round(answer.fit_s, 3), "predict_s": round(answer.predict_s, 3)}
    row |= {"about": answer.about, "chosen": answer.chosen}
    try:
        scores = _scores(table, parts, answer)
    except ValueError as error:
        return row | {"error": str(error)}
    return row | {"score": scores[row["metric"]], "scores": scores}


def _read_answer(path: Path) -> Answer:
    with np.load(path) as data:
        fit_s, predict_s = (float(s) for s in data["seconds"])
        about, chosen = (str(s) for s in data["about"])
        return Answer(data["prediction"], [str(c) for c in data["classes"]], fit_s, predict_s, about, chosen)


def _scores(table: Table, parts: Split, answer: Answer) -> dict[str, float]:
    """Returns every metric that fits the kind, higher is better, for predictions of the query rows."""
    truth = pd.read_parquet(parts.answer)[table.target]
    n_columns = (len(answer.classes),) if table.kind.is_classification else ()
    if answer.prediction.shape != (len(truth), *n_columns):
        raise ValueError(f"predictions of shape {answer.prediction.shape}, expected {(len(truth), *n_columns)}")
    if not np.isfinite(answer.prediction).all():
        raise ValueError("predictions are not finite")
    y, prediction = truth.to_numpy(), answer.prediction
    if table.kind.is_classification:
        labels = sorted({*truth.astype(str), *answer.classes})
        y = np.searchsorted(labels, truth.astype(str).to_numpy(str))
        prediction = np.zeros((len(y), len(labels)))
        prediction[:, np.searchsorted(labels, answer.classes)] = answer.prediction
    fitting = {name: m for name, m in METRICS.items() if table.kind in m.kinds}
    scores = {name: m.score(y, prediction) for name, m in fitting.items()}
    return {name: float(f"{score:.10g}") for name, score in scores.items() if math.isfinite(score)}


def read_rows(path: Path = RESULTS) -> dict[Run, dict[str, Any]]:
    """Returns the last row of each run."""
    if not path.exists():
        return {}
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {Run(row["peer"], row["budget_s"], row["table"]): row for row in rows}


def plan(peers: Iterable[str], tables: Iterable[Table], budget_s: float) -> Iterable[tuple[Run, Table]]:
    for table in tables:
        for peer in peers:
            yield Run(peer, budget_s if peer.endswith("_budget") else 0, table.name), table


def settled(row: Mapping[str, Any] | None, *, quiet: bool) -> bool:
    """Tells whether a run need not be repeated: it is there, and was timed well enough."""
    return row is not None and (row["quiet"] or not quiet)


def knowledge_for(run: Run, table: Table, *, without: bool) -> str:
    """Returns the file with what gstar may know: nothing of the table's family."""
    if run.peer != "gstar_budget" or without:
        return "off"
    path = KNOWLEDGE / f"fold{table.fold}.jsonl.gz"
    if not path.exists():
        raise SystemExit(f"{path} is not there; make it, or give --no-knowledge.")
    return str(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with manifest.csv and tasks/")
    parser.add_argument("--tables", nargs="+", default=["all"], help="all, stratified40, or names")
    parser.add_argument("--peers", nargs="+", default=envs.names(), choices=envs.names(), metavar="PEER")
    parser.add_argument("--budget", type=float, default=10.0, help="seconds, for peers whose name ends in _budget")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for the whole process, then it is killed")
    parser.add_argument("--quiet", action="store_true", help="nothing else runs here: times count; repeats others")
    parser.add_argument("--again", action="store_true", help="repeats what is there")
    parser.add_argument("--no-knowledge", action="store_true", help="gstar starts cold")
    args = parser.parse_args()
    pin(N_CORES)
    pythons = {peer: envs.ensure(peer) for peer in args.peers}
    commit = envs.commit()
    todo = list(plan(args.peers, choose(read_tables(args.data), args.tables), args.budget))
    done = {} if args.again else read_rows()
    todo = [(run, table) for run, table in todo if not settled(done.get(run), quiet=args.quiet)]
    RESULTS.parent.mkdir(exist_ok=True)
    for i, (run, table) in enumerate(todo, 1):
        knowledge = knowledge_for(run, table, without=args.no_knowledge)
        result = measure(run, table, pythons[run.peer], timeout_s=args.timeout, knowledge=knowledge, quiet=args.quiet)
        origin = {"commit": commit, "cold": knowledge == "off"} if run.peer == "gstar_budget" else {}
        row = asdict(run) | {"quiet": args.quiet} | result | origin
        with RESULTS.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
        outcome = row.get("error") or f"{row['metric']} {row['score']:.5g}  {row['fit_s']:.1f} s  {row['peak_mb']} MB"
        print(f"[{i}/{len(todo)}] {run.table} {run.peer}: {outcome}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
