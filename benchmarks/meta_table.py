"""The recorded trials of `meta_training.py` as a table, and what searches would have found in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from meta_collect import read_lines
from meta_tasks import quarter

from gstar.strategy import Strategy

Array = np.ndarray
FAILED = -1.0


@dataclass(frozen=True, eq=False)
class Table:
    """Is T tasks and P strategies; NaN where a strategy does not take a task, or was not tried yet.

    Args:
        tasks: ``(T,)`` names.
        forms: ``(T,)``.
        families: ``(T,)``.
        contexts: ``(T, X)`` what g sees.
        strategies: P strategies.
        rewards: ``(T, P)`` on query rows: 0 a constant prediction, 1 a perfect one, at least -1.
        valid: ``(T, P)`` the same on validation rows: what a search sees.
        costs: ``(T, P)`` seconds of one core.
        short_valid: ``(T, P)`` validation with a quarter of the epochs; of a learner without epochs, `valid`.
        short_costs: ``(T, P)``.
    """

    tasks: Array
    forms: Array
    families: Array
    contexts: Array
    strategies: list[Strategy]
    rewards: Array
    valid: Array
    costs: Array
    short_valid: Array
    short_costs: Array

    @staticmethod
    def of(rows: Iterable[dict]) -> Table:
        """Builds the table of the strategies that were tried on all tasks of their form."""
        by_key = {(row["task"], row["strategy"]): row for row in rows}
        about = {row["task"]: row for row in by_key.values()}
        tried = _tried_everywhere(by_key, about)
        names = sorted(about, key=lambda name: (about[name]["form"], name))
        strategies = list(dict.fromkeys(s for found in tried.values() for s in found))
        shape = (len(names), len(strategies))
        arrays = {k: np.full(shape, np.nan) for k in ("rewards", "valid", "costs", "short_valid", "short_costs")}
        for i, name in enumerate(names):
            for j, strategy in enumerate(strategies):
                if strategy not in tried[about[name]["form"]]:
                    continue
                row = by_key[name, strategy.hash]
                less = quarter(strategy)
                short = row if less is None else by_key.get((name, less.hash), {"valid": np.nan, "cpu_s": np.nan})
                arrays["rewards"][i, j] = _worth(row["reward"])
                arrays["valid"][i, j], arrays["costs"][i, j] = _worth(row["valid"]), row["cpu_s"]
                arrays["short_valid"][i, j], arrays["short_costs"][i, j] = _worth(short["valid"]), short["cpu_s"]
        column = {key: np.array([about[n][key] for n in names]) for key in ("form", "family", "context")}
        return Table(np.array(names), *column.values(), strategies, **arrays)

    @property
    def n_trials(self) -> int:
        """How many trials there are, those cut short left out."""
        return int(np.isfinite(self.rewards).sum())

    @cached_property
    def learners(self) -> Array:
        """``(P,)``."""
        return np.array([s.learner for s in self.strategies])

    @cached_property
    def configurations(self) -> list[Array]:
        """The columns of each configuration of a learner, tried with one or several schedules and choices of rows."""
        found: dict[str, list[int]] = {}
        for j, strategy in enumerate(self.strategies):
            found.setdefault(f"{strategy.learner} {sorted(strategy.configuration.items())}", []).append(j)
        return [np.array(columns) for columns in found.values()]

    def with_columns(self, columns: Array) -> Table:
        """Returns the table with these strategies only."""
        names = ("rewards", "valid", "costs", "short_valid", "short_costs")
        cut = {name: getattr(self, name)[:, columns] for name in names}
        return replace(self, strategies=[self.strategies[j] for j in columns], **cut)

    def folds(self, n: int) -> Array:
        """Returns ``(T,)`` the fold of each task: families in turn, those of each form by themselves."""
        place = {}
        for form in dict.fromkeys(self.forms.tolist()):
            place |= {name: i % n for i, name in enumerate(sorted(set(self.families[self.forms == form])))}
        return np.array([place[family] for family in self.families])

    @property
    def best(self) -> Array:
        """``(T,)`` the best known reward."""
        return np.nanmax(self.rewards, axis=1)

    def open(self, task: int) -> Array:
        """Returns the columns that were tried on a task."""
        return np.flatnonzero(np.isfinite(self.rewards[task]))

    def regret(self, task: int, chosen: Array) -> float:
        """Returns the regret of trying these strategies and keeping the one that validates best."""
        return float(self.best[task] - self.rewards[task, chosen[np.argmax(self.valid[task, chosen])]])


def _tried_everywhere(by_key: dict[tuple[str, str], dict], about: dict[str, dict]) -> dict[str, list[Strategy]]:
    """Returns for each form the strategies, none cut short, that were tried on all its tasks."""
    every = {key[1]: Strategy.from_json(row["point"]) for key, row in by_key.items()}
    short = {less.hash for strategy in every.values() if (less := quarter(strategy)) is not None}
    found: dict[str, list[Strategy]] = {}
    for form in sorted({row["form"] for row in about.values()}):
        names = [name for name in about if about[name]["form"] == form]
        whole = [s for name, s in every.items() if name not in short and all((n, name) in by_key for n in names)]
        found[form] = sorted(whole, key=lambda s: s.learner)
    return found


def read_rows(folder: Path) -> list[dict]:
    """Returns the recorded trials."""
    return list(_joined(read_lines(folder / "meta_training_trials.jsonl.gz")))


def _joined(lines: Iterable[dict]) -> Iterator[dict]:
    """Yields trials with what is said of their tasks, the last time, and of their strategies."""
    lines = list(lines)
    tasks = {line["name"]: line for line in lines if "name" in line}
    points = {line["hash"]: line["point"] for line in lines if "hash" in line}
    yield from ({**tasks[x["task"]], **x, "point": points[x["strategy"]]} for x in lines if "reward" in x)


def _worth(value: float | None) -> float:
    return FAILED if value is None else max(FAILED, value)


def drawn(log_probs: Array, columns: Array, n: int, rng: np.random.Generator) -> Array:
    """Draws n of the columns without replacement, with these log-probabilities."""
    keys = log_probs[columns] + rng.gumbel(size=len(columns))
    return columns[np.argsort(-keys)[:n]]


def halving(table: Table, task: int, columns: Array, budget: float, rng: np.random.Generator) -> Array:
    """Returns the strategies that successive halving trains in full within a cost.

    In random order, as many strategies as can be paid get a quarter of their epochs; the best quarter of them by
    validation is trained in full. How many that is, is chosen knowing what all of them cost, which is in its favour. A
    learner without epochs is trained in full at once.
    """
    order = rng.permutation(columns)
    for n in range(len(order), 0, -1):
        first = order[:n]
        kept = first[np.argsort(-table.short_valid[task, first])[: max(1, n // 4)]]
        has_epochs = np.array([quarter(table.strategies[j]) is not None for j in kept])
        if table.short_costs[task, first].sum() + table.costs[task, kept][has_epochs].sum() <= budget:
            return kept
    return order[:1]


def interval(values: Array, rng: np.random.Generator) -> str:
    """Returns the mean of the tasks with a 95 % interval by bootstrap over tasks."""
    values = np.asarray(values, float)
    means = values[rng.integers(len(values), size=(4000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def mean_of(measure: Callable[[np.random.Generator], float], times: int, seed: int) -> float:
    """Returns the mean of a random measure."""
    rng = np.random.default_rng(seed)
    return float(np.mean([measure(rng) for _ in range(times)]))
