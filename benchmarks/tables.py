"""The tables of a folder with a ``manifest.csv``: which to take, and how each is split.

manifest.csv + tasks/*.parquet -> Table -> support (S, F + 1), query (Q, F), query target (Q,)
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from families import family_fold
from sklearn.model_selection import train_test_split

from gstar.metric import TaskKind

QUERY_FRACTION = 0.3
SEED = 0
SIZES = {"up to 500 rows": 500, "501 to 5,000": 5_000, "over 5,000": 10**9}


@dataclass(frozen=True)
class Table:
    """Is one line of the manifest; tables without a family are a family of their own."""

    name: str
    path: Path
    target: str
    kind: TaskKind
    family: str
    n_rows: int
    n_features: int
    n_categorical: int
    n_missing: int
    n_classes: int

    @property
    def fold(self) -> int:
        return family_fold(self.family)

    @property
    def size(self) -> str:
        return next(name for name, most in SIZES.items() if self.n_rows <= most)


@dataclass(frozen=True)
class Split:
    """Is where the parts of a table lie; only `support` and `query` are shown to a method."""

    support: Path
    query: Path
    answer: Path


def read_tables(folder: Path) -> list[Table]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        return [
            Table(
                row["name"],
                folder / "tasks" / row["file"],
                row["target"],
                TaskKind(row["task"]),
                row["family"] or row["name"],
                *(int(row[c]) for c in ("n_rows", "n_features", "n_categorical", "n_missing", "n_classes")),
            )
            for row in csv.DictReader(lines)
        ]


def stratified(tables: Sequence[Table], number: int) -> list[Table]:
    """Takes tables evenly over kind and size: each kind by its share, and within it evenly spaced by rows."""
    shares = {kind: number * sum(t.kind == kind for t in tables) / len(tables) for kind in TaskKind}
    counts = {kind: int(share) for kind, share in shares.items()}
    for kind in sorted(TaskKind, key=lambda k: counts[k] - shares[k])[: number - sum(counts.values())]:
        counts[kind] += 1
    chosen = set()
    for kind, count in counts.items():
        ordered = sorted((t for t in tables if t.kind == kind), key=lambda t: (t.n_rows, t.name))
        chosen |= {ordered[int((i + 0.5) * len(ordered) / count)].name for i in range(count)}
    return [t for t in tables if t.name in chosen]


def choose(tables: Sequence[Table], names: Sequence[str]) -> list[Table]:
    """Understands ``all``, ``stratified40``, and names of tables."""
    if list(names) == ["all"]:
        return list(tables)
    if len(names) == 1 and names[0].removeprefix("stratified").isdigit():
        return stratified(tables, int(names[0].removeprefix("stratified")))
    unknown = set(names) - {t.name for t in tables}
    if unknown:
        raise SystemExit(f"No tables {sorted(unknown)}; see manifest.csv, or give 'all' or 'stratified40'.")
    return [t for t in tables if t.name in names]


def split(table: Table, home: Path) -> Split:
    """Splits a table once, the same way for everyone; nominal columns keep the levels of the whole file."""
    folder = home / table.name
    parts = Split(folder / "support.parquet", folder / "query.parquet", folder / "answer.parquet")
    if not parts.answer.exists():
        folder.mkdir(parents=True, exist_ok=True)
        frame = pd.read_parquet(table.path)
        groups = frame[table.target] if table.kind.is_classification else None
        support, query = train_test_split(frame, test_size=QUERY_FRACTION, random_state=SEED, stratify=groups)
        support.reset_index(drop=True).to_parquet(parts.support)
        query.drop(columns=table.target).reset_index(drop=True).to_parquet(parts.query)
        query[[table.target]].reset_index(drop=True).to_parquet(parts.answer)
    return parts
