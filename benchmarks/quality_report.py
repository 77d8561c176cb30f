"""Turns the rows that quality.py wrote into the tables of RESULTS.md.

    python benchmarks/quality_report.py --budget 10
    python benchmarks/quality_report.py --budget 60 --tables stratified40 --peers gstar_budget flaml_budget

Only tables on which every peer has a row count. Per table, scores are normalised: 1 for the
best of the peers, 0 for the worst; a run that failed is worse than the worst. Ties share ranks.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import envs
import numpy as np
from quality import DATA, RESULTS, plan, read_rows
from scipy.stats import rankdata
from tables import SIZES, Table, choose, read_tables

from gstar.metric import TaskKind

N_BOOTSTRAP = 5000
OURS = "gstar_budget"


@dataclass(frozen=True, eq=False)
class Board:
    """Is who scored what.

    Args:
        peers: P names.
        tables: T tables.
        rows: ``(T, P)`` rows of results.
        scores: ``(T, P)`` scores, higher is better, -inf where a run failed.
    """

    peers: list[str]
    tables: list[Table]
    rows: list[list[dict[str, Any]]]
    scores: np.ndarray

    @property
    def ranks(self) -> np.ndarray:
        """``(T, P)`` ranks from 1, the best; scores that agree to six digits are ties."""
        rounded = np.vectorize(lambda score: float(f"{score:.6g}"))(self.scores)
        return np.asarray(rankdata(-rounded, axis=1))

    @property
    def normalised(self) -> np.ndarray:
        """``(T, P)`` scores from 0, the worst of those that did not fail, to 1."""
        finite = np.where(np.isfinite(self.scores), self.scores, np.nan)
        low, high = np.nanmin(finite, axis=1, keepdims=True), np.nanmax(finite, axis=1, keepdims=True)
        spread = np.where(high > low, high - low, 1.0)
        scaled = np.where(high > low, (finite - low) / spread, 1.0)
        return np.where(np.isnan(finite), 0.0, scaled)

    @property
    def wins(self) -> np.ndarray:
        """``(T, P)`` shares of the first place."""
        first = self.ranks == self.ranks.min(axis=1, keepdims=True)
        return first / first.sum(axis=1, keepdims=True)

    def where(self, keep: Callable[[Table], bool]) -> Board:
        at = [i for i, table in enumerate(self.tables) if keep(table)]
        return Board(self.peers, [self.tables[i] for i in at], [self.rows[i] for i in at], self.scores[at])


def assemble(peers: Sequence[str], tables: Iterable[Table], budget_s: float) -> Board:
    done = read_rows(RESULTS)
    kept, rows = [], []
    for table in tables:
        line = [done.get(run) for run, _ in plan(peers, [table], budget_s)]
        if all(row is not None for row in line):
            kept.append(table)
            rows.append([row for row in line if row is not None])
    scores = [[-np.inf if "error" in row else row["score"] for row in line] for line in rows]
    return Board(list(peers), kept, rows, np.array(scores).reshape(len(kept), len(peers)))


def intervals(board: Board, *, seed: int = 0) -> np.ndarray:
    """``(2, P)`` 95 % bootstrap interval of the mean rank; families are drawn, not tables."""
    families = sorted({table.family for table in board.tables})
    member = np.array([families.index(table.family) for table in board.tables])
    sums = np.stack([board.ranks[member == f].sum(axis=0) for f in range(len(families))])
    sizes = np.bincount(member)
    drawn = np.random.default_rng(seed).integers(0, len(families), (N_BOOTSTRAP, len(families)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)[:, None]
    return np.asarray(np.percentile(means, [2.5, 97.5], axis=0))


def overrun(row: Mapping[str, Any]) -> bool:
    """Tells whether a fit took more than its budget and max(2 s, 5 %); a killed one did."""
    budget_s = row["budget_s"]
    taken_s = row.get("fit_s", row["wall_s"])
    return bool(budget_s) and bool(taken_s > budget_s + max(2.0, 0.05 * budget_s))


def markdown(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    shown = [f"| {' | '.join(map(str, line))} |" for line in ([*head], *lines)]
    return "\n".join([shown[0], "|---" * len(head) + "|", *shown[1:]]) + "\n"


def standing(board: Board) -> str:
    """One line per peer: quality, time, memory."""
    low, high = intervals(board)
    lines = []
    for p in np.argsort(board.ranks.mean(axis=0)):
        rows = [line[p] for line in board.rows]
        fit_s = [row["fit_s"] for row in rows if "fit_s" in row]
        budgeted = any(row["budget_s"] for row in rows)
        lines.append(
            (
                board.peers[p],
                f"{board.ranks[:, p].mean():.2f} ({low[p]:.2f}-{high[p]:.2f})",
                f"{board.normalised[:, p].mean():.3f}",
                f"{board.wins[:, p].sum():.1f}",
                sum("error" in row for row in rows),
                f"{np.median(fit_s):.1f}",
                f"{np.mean(fit_s):.1f}",
                f"{max(fit_s):.1f}",
                sum(map(overrun, rows)) if budgeted else "-",
                f"{np.median([row['peak_mb'] for row in rows]):.0f}",
                f"{max(row['peak_mb'] for row in rows):.0f}",
            )
        )
    head = ["peer", "mean rank (95 %)", "normalised", "wins", "failed"]
    head += ["fit s, median", "mean", "max", "overruns", "MB, median", "max"]
    return markdown(head, lines)


def groups(board: Board) -> str:
    """Mean rank and mean normalised score by kind and by size."""
    parts: list[tuple[str, Board]] = [(str(k), board.where(lambda t, k=k: t.kind == k)) for k in TaskKind]
    parts += [(size, board.where(lambda t, size=size: t.size == size)) for size in SIZES]
    lines = [
        [f"{name} ({len(part.tables)})"]
        + [
            f"{rank:.2f} / {normalised:.2f}"
            for rank, normalised in zip(part.ranks.mean(axis=0), part.normalised.mean(axis=0), strict=True)
        ]
        for name, part in parts
        if part.tables
    ]
    return markdown(["mean rank / normalised", *board.peers], lines)


def each(board: Board) -> str:
    """Normalised score of every table."""
    lines = [
        [table.name, table.kind, table.n_rows, table.n_features, *(f"{x:.2f}" for x in scores)]
        for table, scores in zip(board.tables, board.normalised, strict=True)
    ]
    return markdown(["table", "kind", "rows", "features", *board.peers], lines)


def losses(board: Board) -> str:
    """The tables where gstar is not first: to whom, and by how much."""
    if OURS not in board.peers:
        return ""
    ours = board.peers.index(OURS)
    lines = []
    for t in np.argsort(board.normalised[:, ours], kind="stable"):
        best, table, row = int(np.argmax(board.scores[t])), board.tables[t], board.rows[t][ours]
        if board.ranks[t, ours] > board.ranks[t].min():
            mine = row.get("error") or f"{abs(row['score']):.5g}"
            about = (table.name, table.kind, f"{table.n_rows} x {table.n_features}", row["metric"])
            result = (mine, f"{abs(board.scores[t, best]):.5g}", board.peers[best])
            rest = (f"{board.ranks[t, ours]:g}", f"{board.normalised[t, ours]:.2f}", row.get("chosen", ""))
            lines.append((*about, *result, *rest))
    head = ["table", "kind", "size", "metric", "gstar", "best", "by", "rank", "normalised", "what gstar did"]
    return markdown(head, lines)


def faults(board: Board) -> str:
    """Runs that failed, were late, or left processes behind."""
    lines = [
        (row["peer"], table.name, row.get("error") or f"{row['fit_s']:.1f} s", row["left_behind"])
        for table, line in zip(board.tables, board.rows, strict=True)
        for row in line
        if "error" in row or overrun(row) or row["left_behind"]
    ]
    return markdown(["peer", "table", "error or seconds", "processes left"], lines) if lines else "None.\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with manifest.csv and tasks/")
    parser.add_argument("--tables", nargs="+", default=["all"], help="all, stratified40, or names")
    parser.add_argument("--peers", nargs="+", default=envs.names(), choices=envs.names(), metavar="PEER")
    parser.add_argument("--budget", type=float, default=10.0, help="seconds")
    args = parser.parse_args()
    board = assemble(args.peers, choose(read_tables(args.data), args.tables), args.budget)
    if not board.tables:
        raise SystemExit(f"No table on which all of {args.peers} have been run with {args.budget:g} s.")
    rows = [row for line in board.rows for row in line]
    print(f"{len(board.tables)} tables, {len({t.family for t in board.tables})} families, budget {args.budget:g} s.")
    print(f"Versions: {', '.join(sorted({row['about'] for row in rows if 'about' in row}))}.")
    print(f"gstar at commits {sorted({row['commit'] for row in rows if 'commit' in row})}.")
    print(f"Timed on a machine that was not quiet: {sum(not row['quiet'] for row in rows)} of {len(rows)} runs.\n")
    sections = {
        "Standing": standing,
        "By kind and size": groups,
        "Where gstar is not first": losses,
        "Failed, late, or not tidied up": faults,
        "Every table": each,
    }
    for title, section in sections.items():
        if text := section(board):
            print(f"### {title}\n\n{text}")


if __name__ == "__main__":
    main()
