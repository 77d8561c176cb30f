"""How g learns in `meta_training.py`: over all strategies, with two trials seen, and over schedules and rows alone.

All of it is `run_outer` on recorded trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from meta_strategies import WAYS
from meta_table import Table

from gstar.distribution import FiniteDistribution, Memory, MemoryDistribution, Points, TreeDistribution
from gstar.outer import OuterSettings, Progress, run_outer
from gstar.space import Categorical, Space
from gstar.strategy import Strategy
from gstar.worlds.recorded import RecordedWorld

Array = np.ndarray
HISTORIES = 2
"""Histories of two trials that are drawn for each task to learn from."""
PULL = 0.05
"""Weight of the divergence from the g that has not learned."""
STEPS, RATE = 80, 0.05
LEAST_WAY = -2.0
"""The least reward of a way, less the mean of all ways."""


@dataclass(frozen=True)
class Setup:
    """Is what may be chosen about how g learns.

    Args:
        metric: How much each number of a context counts at the start.
        learns: Whether it learns at all.
    """

    metric: float
    learns: bool = True


SETUPS = [Setup(0.1), Setup(0.3), Setup(1.0)]
WAY_PULLS = (None, 0.5, 0.05)
"""Weights of the divergence among which a g over ways chooses; None: it does not learn."""


@dataclass(frozen=True, eq=False)
class Learned:
    """Is a g that attends to some tasks of a table, which it may itself be asked about."""

    table: Table
    g: MemoryDistribution
    meta: Array

    def __call__(self, task: int, tried: Sequence[int]) -> Array:
        """Returns ``(P,)`` log-probabilities for the next trial on a task."""
        tried = list(tried)[-self.g.trials :] if len(tried) > self.g.trials else list(tried)
        row = state_of(self.table, self.g, task, tried)
        return np.asarray(self.g.log_probs(self.meta, row[None])[0])


def learned(table: Table, rows: Array, setup: Setup, seed: int, listener=lambda _: None) -> Learned:
    """Lets g learn from some tasks: states are tasks of which nothing, one or two trials are seen."""
    g = memory_of(table, rows)
    meta = started(g, setup.metric)
    if setup.learns:
        contexts, rewards = _states(table, rows, g, meta, np.random.default_rng([seed, 3]))
        meta = _learn(g, contexts, rewards, meta, seed, listener)
    return Learned(table, g, meta)


def _learn(
    g: MemoryDistribution, contexts: Array, rewards: Array, meta: Array, seed: int, listener=lambda _: None, kl=PULL
) -> Array:
    zeros, ones = np.zeros(len(contexts)), np.ones(len(contexts))
    world = RecordedWorld(contexts, list(range(rewards.shape[1])), rewards, np.zeros(rewards.shape), zeros, ones)
    settings = OuterSettings(
        "exact", tasks=32, natural=False, iterations=STEPS, rate=RATE, kl=kl, seed=seed, convergence=None
    )
    return run_outer(g, world, settings, start=meta, listener=listener).meta


def memory_of(table: Table, rows: Array) -> MemoryDistribution:
    """Returns g over all strategies with some tasks in its memory."""
    tree = TreeDistribution(Space({"strategy": Categorical(tuple(s.hash for s in table.strategies))}))
    points = tree.points([{"strategy": s.hash} for s in table.strategies])
    forms, families = numbers(table.forms), numbers(table.families)
    memory = Memory(table.contexts[rows], forms[rows], families[rows], table.rewards[rows], table.valid[rows])
    return MemoryDistribution(points, memory)


def numbers(names: Array) -> Array:
    """Returns ``(T,)`` a number for each name."""
    return np.unique(names, return_inverse=True)[1]


def started(g: MemoryDistribution, metric: float) -> Array:
    """Returns meta-parameters before anything is learned."""
    meta = g.start(np.random.default_rng(0))
    meta[: g.n_seen] = np.log(metric)
    return meta


def state_of(table: Table, g: MemoryDistribution, task: int, tried: Sequence[int]) -> Array:
    """Returns what g sees of a task and of what was tried on it."""
    place = {"group": int(numbers(table.forms)[task]), "family": int(numbers(table.families)[task])}
    return g.state(table.contexts[task], **place, tried=tried, valid=table.valid[task, list(tried)])


def _states(table: Table, rows: Array, g: MemoryDistribution, meta: Array, rng: np.random.Generator):
    """Returns states of the tasks, histories drawn from g, and the reward that each strategy would leave there."""
    contexts, rewards = [], []
    for place, task in enumerate(rows):
        for k in range(HISTORIES):
            tried: list[int] = []
            for n in range(g.trials + 1):
                row = state_of(table, g, task, tried)
                if n or not k:
                    contexts.append(row)
                    kept = g.memory.kept(tried)[place]
                    rewards.append(np.where(g.memory.known[place], kept, np.nan))
                tried.append(int(g.draw(meta, row[None], rng.random((1, 1))).index[0]))
    return np.array(contexts), np.array(rewards)


def line_of(progress: Progress, g: FiniteDistribution, table: Table, rows: Array) -> dict:
    """Returns what `draw_trace` needs: where a g that sees the context stands on tasks of each form, and its reward."""
    chances = np.exp(g.log_probs(progress.meta, table.contexts[rows]))
    rewards = np.where(np.isfinite(table.rewards[rows]), table.rewards[rows], 0.0)
    names, forms = dict.fromkeys(table.learners.tolist()), table.forms[rows]
    shares = {
        form: {n: float(chances[forms == form][:, table.learners == n].sum(axis=1).mean()) for n in names}
        for form in dict.fromkeys(forms.tolist())
    }
    return {
        "iteration": progress.iteration,
        "reward": float((chances * rewards).sum(axis=1).mean()),
        "entropy": progress.entropy,
        "trials": progress.n_trainings,
        "failed": progress.n_failed,
        "chances": shares,
    }


DEFAULTS = {"the package's default": ("one_cycle", "all"), "constant rate, all rows": ("constant", "all")}
"""Schedule and rows that the learned ones are compared with."""
BY = ("learned", "chosen", "not learned", "at random", "best on the other families")


@dataclass(frozen=True, eq=False)
class WayTable:
    """Is tasks x ways of one configuration each, tried in all ways: rewards are less their mean over the ways.

    Args:
        ways: ``(schedule, rows)``.
        tasks: ``(N,)`` rows of the table.
        contexts: ``(N, X)``: what is seen of the task, and which learner it is.
        rewards: ``(N, ways)``.
        valid: ``(N, ways)``.
    """

    ways: list[tuple[str, str]]
    tasks: Array
    contexts: Array
    rewards: Array
    valid: Array


@lru_cache
def ways_of(table: Table) -> WayTable:
    """Returns the configurations of networks that were tried in all ways."""
    found = [columns for columns in table.configurations if len(columns) == len(WAYS)]
    ways = sorted({way_of(table.strategies[j]) for j in found[0]})
    tasks, contexts, rewards, valid = [], [], [], []
    for k, columns in enumerate(found):
        by_way = {way_of(table.strategies[j]): j for j in columns}
        ordered = [by_way[way] for way in ways]
        for task in np.flatnonzero(np.isfinite(table.rewards[:, ordered]).all(axis=1)):
            middle = table.rewards[task, ordered].mean()
            tasks.append(task)
            contexts.append(np.r_[table.contexts[task], np.eye(len(found))[k]])
            rewards.append(table.rewards[task, ordered] - middle)
            valid.append(table.valid[task, ordered] - middle)
    return WayTable(ways, np.array(tasks), np.array(contexts), np.array(rewards), np.array(valid))


def ways_gained(table: Table, fold_of: Array, folds: int, seed: int) -> dict[tuple[str, str], Array]:
    """Lets a g over ways learn on the families outside of each fold.

    Returns:
        ``(N,)`` gains in reward over each default, for the same configuration, by how the way is chosen.
    """
    told = ways_of(table)
    reached = {by: np.full(len(told.tasks), np.nan) for by in BY}
    for fold in range(folds):
        seen, new = np.flatnonzero(fold_of[told.tasks] != fold), np.flatnonzero(fold_of[told.tasks] == fold)
        pull = _chosen_pull(table, told, seen)
        for by, weight in (("learned", PULL), ("chosen", pull), ("not learned", None)):
            reached[by][new] = told.rewards[new, _chosen_ways(table, told, seen, new, seed, weight)]
        reached["best on the other families"][new] = told.rewards[new, _best_elsewhere(table, told, seen, new)]
        reached["at random"][new] = 0.0
    places = {name: told.ways.index(way) for name, way in DEFAULTS.items()}
    return {(name, by): reached[by] - told.rewards[:, places[name]] for name in DEFAULTS for by in BY}


def _chosen_pull(table: Table, told: WayTable, rows: Array) -> float | None:
    """Returns how g learns best on families left out of those to learn from."""
    fold_of, reached = table.folds(2)[told.tasks[rows]], []
    for pull in WAY_PULLS:
        parts = [(rows[fold_of != k], rows[fold_of == k]) for k in range(2)]
        found = [told.rewards[new, _chosen_ways(table, told, seen, new, 0, pull)] for seen, new in parts]
        reached.append(np.concatenate(found).mean())
    return WAY_PULLS[int(np.argmax(reached))]


def _chosen_ways(table: Table, told: WayTable, seen: Array, new: Array, seed: int, pull: float | None) -> Array:
    """Returns the most probable way on each new row, of a g that learns from the rows seen."""
    families = numbers(table.families)[told.tasks]
    points = _points([" and ".join(way) for way in told.ways])
    one = np.zeros(len(seen), int)
    memory = Memory(told.contexts[seen], one, families[seen], told.rewards[seen], told.valid[seen])
    g = MemoryDistribution(points, memory, 0, least=LEAST_WAY)
    states = np.stack([g.state(c, 0, family=int(f)) for c, f in zip(told.contexts, families, strict=True)])
    meta = started(g, WAY_METRIC)
    if pull is not None:
        meta = _learn(g, states[seen], told.rewards[seen], meta, seed, kl=pull)
    return np.argmax(g.log_probs(meta, states[new]), axis=1)


def _best_elsewhere(table: Table, told: WayTable, seen: Array, new: Array) -> Array:
    """Returns for each new row the way that is best in the mean on the rows seen of its form."""
    forms = table.forms[told.tasks]
    means = {form: told.rewards[seen][forms[seen] == form].mean(axis=0) for form in set(forms[seen].tolist())}
    return np.array([int(np.argmax(means[forms[i]])) for i in new])


WAY_METRIC = 0.1
"""How much each number of a context counts at the start where ways differ little: less, so that more tasks count."""


def _points(names: Sequence[str]) -> Points:
    tree = TreeDistribution(Space({"strategy": Categorical(tuple(names))}))
    return tree.points([{"strategy": name} for name in names])


def way_of(strategy: Strategy) -> tuple[str, str]:
    """Returns the schedule and the rows of a network's strategy."""
    return schedule_of(strategy), rows_of(strategy)


def schedule_of(strategy: Strategy) -> str:
    """Returns the kind of the schedule, and whether it warms up."""
    warm = float(strategy.schedule.get("warm_up", 0.0)) > 0.1
    return f"{strategy.schedule['kind']}{' after a warm-up' if warm else ''}"


def rows_of(strategy: Strategy) -> str:
    """Returns which rows in which order."""
    kind, pace = strategy.selection.get("kind", "all"), strategy.selection.get("pace", "shuffled")
    return str(kind) if pace == "shuffled" else str(pace) if kind == "all" else f"{kind} {pace}"
