"""How g learns in `meta_training.py`: from the context, from the history of a task, and for networks alone.

All of it is `run_outer` on recorded trials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from meta_table import FAILED, Table, drawn
from meta_tasks import quarter

from gstar.contexts import NAMES
from gstar.distribution import CandidateDistribution, TreeDistribution
from gstar.outer import OuterSettings, Progress, run_outer
from gstar.space import Categorical, Condition, Space
from gstar.strategy import Strategy
from gstar.worlds.recorded import RecordedWorld

Array = np.ndarray
KINDS = tuple(name for name in NAMES if name.startswith("is_"))
SEEN = {"kind": KINDS, "balance": (*KINDS, "log_classes", "class_entropy"), "all": NAMES}
"""Names of the values in a context that g may see: form and kind, also how even classes are, or all."""
UNFIT = -8.0
"""Logit, at the start, of a strategy on tasks of a form on which it was not tried."""
DRAWS = 12
"""Strategies per task and iteration where the gradient is sampled."""
PREFIXES = 6
"""Histories of each length that are drawn for each task to learn from."""
GAP = 0.1
"""Of two rewards by validation, so far apart counts fully."""
ENTROPY = 0.1
REACH = 4.0
"""How far a logit may move in a meta-training."""
PULL = 0.02
"""Weight of the divergence from the g that sees no history, while g learns to look at it."""


@dataclass(frozen=True)
class Setup:
    """Is what may be chosen about how g learns.

    Args:
        estimator: ``exact`` for the mean reward of one strategy, ``best_of`` for that of the best of three.
        sees: Which values of the context g sees: a key of `SEEN`.
        adapts: Whether g sees what was tried on the task before.
    """

    estimator: str
    sees: str
    adapts: bool


SETUPS = [Setup(e, "all", a) for e in ("exact", "best_of") for a in (False, True)]


@dataclass(frozen=True, eq=False)
class Learned:
    """Is a g that sees the context, and perhaps one that also sees the history.

    Args:
        first: For the first trial.
        later: For all others; the same if g does not adapt.
    """

    table: Table
    contexts: Array
    g: CandidateDistribution
    first: Array
    later: CandidateDistribution | None = None
    meta: Array = field(default_factory=lambda: np.zeros(0))

    def __call__(self, task: int, tried: Sequence[int]) -> Array:
        """Returns ``(P,)`` log-probabilities for the next trial on a task."""
        context = self.contexts[task][None]
        if not len(tried) or self.later is None:
            return np.asarray(self.g.log_probs(self.first, context)[0])
        seen = np.concatenate([context, history(self.table, task, tried)[None]], axis=1)
        return np.asarray(self.later.log_probs(self.meta, seen)[0])


def learned(
    table: Table, rows: Array, setup: Setup, seed: int, *, iterations: int, lines: list[dict] | None = None
) -> Learned:
    """Meta-trains g on some tasks."""
    g, contexts, meta = _first(table, tuple(rows.tolist()), setup.estimator, setup.sees, seed, iterations)
    if lines is not None:
        _first_with_lines(table, rows, setup, iterations, lines)
    if not setup.adapts:
        return Learned(table, contexts, g, meta)
    later, meta_later = _second(table, rows, g, contexts, meta, seed=seed, iterations=iterations)
    return Learned(table, contexts, g, meta, later, meta_later)


@lru_cache(maxsize=64)
def _first(
    table: Table, rows: tuple[int, ...], estimator: str, sees: str, seed: int, iterations: int
) -> tuple[CandidateDistribution, Array, Array]:
    """Lets g learn from the context alone; returns g, what it sees of all tasks, and its meta-parameters."""
    return _train_first(table, np.array(rows), estimator, sees, seed, iterations, lambda _: None)


def _first_with_lines(table: Table, rows: Array, setup: Setup, iterations: int, lines: list[dict]) -> None:
    def listener(progress: Progress) -> None:
        if progress.iteration % 5 == 0:
            lines.append(_line(progress, g, table, contexts, rows))

    g, contexts = distribution(table, len(NAMES)), seen_contexts(table, setup.sees)
    _train_first(table, rows, setup.estimator, setup.sees, 0, iterations, listener)


def _train_first(
    table: Table, rows: Array, estimator: str, sees: str, seed: int, iterations: int, listener: Callable
) -> tuple[CandidateDistribution, Array, Array]:
    contexts, g = seen_contexts(table, sees), distribution(table, len(NAMES))
    rewards = np.where(np.isfinite(table.rewards), table.rewards, FAILED)
    world = world_of(table, contexts[rows], rewards[rows], table.valid[rows])
    settings = settings_of(estimator, seed, iterations, len(rows))
    return g, contexts, run_outer(g, world, settings, start=informed(table, g), listener=listener).meta


def settings_of(estimator: str, seed: int, iterations: int, n_tasks: int, **changes: float) -> OuterSettings:
    """Returns how g learns: on 32 tasks an iteration where all rewards are known, else on 16."""
    tasks = min(n_tasks, 32) if estimator == "exact" else 16
    given = {"rate": REACH / iterations, "entropy": ENTROPY, "entropy_halving": max(1, iterations // 4), **changes}
    return OuterSettings(
        estimator,
        tasks=tasks,
        strategies=DRAWS,
        natural=False,
        iterations=iterations,
        seed=seed,
        convergence=None,
        **given,
    )


def seen_contexts(table: Table, sees: str) -> Array:
    """Returns ``(T, X)`` contexts in which what g does not see is 0."""
    return table.contexts * np.isin(NAMES, SEEN[sees])


def world_of(table: Table, contexts: Array, rewards: Array, valid: Array | None) -> RecordedWorld:
    """Returns recorded tasks whose rewards are worth what they are."""
    n = len(contexts)
    return RecordedWorld(contexts, table.strategies, rewards, np.zeros(rewards.shape), np.zeros(n), np.ones(n), valid)


def distribution(table: Table, context_size: int) -> CandidateDistribution:
    """Returns g over the strategies: logits of the learner, the schedule, the rows, and the strategy itself."""
    points = [_point(s) for s in table.strategies]
    learners = list(dict.fromkeys(p["learner"] for p in points))
    scheduled = tuple(dict.fromkeys(p["learner"] for p in points if "schedule" in p))
    parameters, conditions = {"learner": Categorical(tuple(learners))}, {}
    for name in learners:
        own = f"{name}.strategy"
        parameters[own] = Categorical(tuple(p[own] for p in points if p["learner"] == name))
        conditions[own] = Condition("learner", (name,))
    for name in ("schedule", "rows") if scheduled else ():
        parameters[name] = Categorical(tuple(dict.fromkeys(p[name] for p in points if name in p)))
        conditions[name] = Condition("learner", scheduled)
    tree = TreeDistribution(Space(parameters, conditions), context_size=context_size)
    found = tree.points(points)
    start = tree.start(np.random.default_rng(0))
    return CandidateDistribution(found, tree, -np.asarray(tree.log_prob(start, tree.no_context, found)))


def _point(strategy: Strategy) -> dict[str, str]:
    point = {"learner": strategy.learner, f"{strategy.learner}.strategy": strategy.hash}
    if quarter(strategy) is not None:
        point |= {"schedule": schedule_of(strategy), "rows": rows_of(strategy)}
    return point


def schedule_of(strategy: Strategy) -> str:
    """Returns the kind of the schedule, and whether it warms up."""
    warm = float(strategy.schedule.get("warm_up", 0.0)) > 0.1
    return f"{strategy.schedule['kind']}{' after a warm-up' if warm else ''}"


def rows_of(strategy: Strategy) -> str:
    """Returns which rows in which order."""
    kind, pace = strategy.selection.get("kind", "all"), strategy.selection.get("pace", "shuffled")
    return str(kind) if pace == "shuffled" else str(pace) if kind == "all" else f"{kind} {pace}"


def informed(table: Table, g: CandidateDistribution) -> Array:
    """Returns ``(W,)`` meta-parameters under which only learners and strategies that a form takes are drawn.

    A learner none of whose strategies was tried on a form is as improbable there as `gstar.metatraining.informed_start`
    makes one that does not take it.
    """
    meta = g.start(np.random.default_rng(0))
    raw_size = g.tree.map.raw_size
    weights = meta[raw_size:].reshape(g.context_size, raw_size)
    for form in dict.fromkeys(table.forms.tolist()):
        own, tried = weights[NAMES.index(f"is_{form}")], np.isfinite(table.rewards[table.forms == form]).any(axis=0)
        for name in set(table.learners.tolist()) - set(table.learners[tried].tolist()):
            own[_place(g, "learner", name)] = UNFIT
        for j in np.flatnonzero(~tried):
            own[_place(g, f"{table.learners[j]}.strategy", table.strategies[j].hash)] = UNFIT
    return meta


def _place(g: CandidateDistribution, parameter: str, choice: str) -> int:
    return int(g.tree.slices[parameter].start + g.tree.heads[parameter].parameter.choices.index(choice))


def history(table: Table, task: int, tried: Sequence[int]) -> Array:
    """Returns what g sees of earlier trials: for each learner, and for the schedule and the rows of networks.

    A learner that is ahead by validation counts 1, one that is behind less than 0, down to -1; one that was not tried
    0. The last value is the best reward by validation.
    """
    names = list(dict.fromkeys(table.learners.tolist()))
    valid = table.valid[task, list(tried)]
    best, shown = float(valid.max()), np.zeros(len(names) + 1)
    for k, name in enumerate(names):
        own = valid[[table.learners[j] == name for j in tried]]
        if len(own):
            gap = best - float(own.max())
            shown[k] = 1.0 if gap == 0 else -min(1.0, gap / GAP)
    shown[-1] = np.clip(best, -1, 1)
    return shown


def _second(
    table: Table, rows: Array, g: CandidateDistribution, contexts: Array, meta: Array, *, seed: int, iterations: int
) -> tuple[CandidateDistribution, Array]:
    """Lets g learn what to try next: a task is now one with a history of one or two trials, drawn from the first g.

    The reward of a strategy is that of what validates best, with it among those tried.
    """
    rng, told, rewards = np.random.default_rng([seed, 9]), [], []
    for i in rows:
        log_probs = np.asarray(g.log_probs(meta, contexts[i][None])[0])
        for n in (1, 2):
            for _ in range(PREFIXES):
                tried = drawn(log_probs, table.open(i), n, rng).tolist()
                told.append(np.concatenate([contexts[i], history(table, i, tried)]))
                rewards.append(after(table, i, tried))
    told = np.array(told)
    later = distribution(table, told.shape[1])
    world = world_of(table, told, np.array(rewards), None)
    start = np.concatenate([meta, np.zeros(later.size - len(meta))])
    settings = settings_of("exact", seed, iterations, len(told), kl=PULL)
    return later, run_outer(later, world, settings, start=start).meta


def after(table: Table, task: int, tried: Sequence[int]) -> Array:
    """Returns ``(P,)`` the reward that is kept when each strategy is tried besides; of one tried before, the least."""
    kept = tried[int(np.argmax(table.valid[task, tried]))]
    is_better = table.valid[task] > table.valid[task, kept]
    rewards = np.where(is_better, table.rewards[task], table.rewards[task, kept])
    return np.where(np.isfinite(table.rewards[task]), rewards, FAILED)


def _line(progress: Progress, g: CandidateDistribution, table: Table, contexts: Array, rows: Array) -> dict:
    """Returns what `draw_trace` needs: where g stands on tasks of each form, and its mean reward on some rows."""
    chances, rewards = {}, np.where(np.isfinite(table.rewards[rows]), table.rewards[rows], FAILED)
    expected = (np.exp(g.log_probs(progress.meta, contexts[rows])) * rewards).sum(axis=1)
    for form in dict.fromkeys(table.forms.tolist()):
        shares = np.exp(g.log_probs(progress.meta, contexts[table.forms == form])).mean(axis=0)
        chances[form] = {n: float(shares[table.learners == n].sum()) for n in dict.fromkeys(table.learners.tolist())}
    return {
        "iteration": progress.iteration,
        "reward": float(expected.mean()),
        "entropy": progress.entropy,
        "trials": progress.n_trainings,
        "failed": progress.n_failed,
        "chances": chances,
    }


DEFAULTS = {"the package's default": ("one_cycle", "all"), "constant rate, all rows": ("constant", "all")}
"""Schedule and rows that the learned ones are compared with."""
WAY_SETUPS = [("kind", 0.02), ("balance", 0.02), ("balance", 0.1), ("all", 0.02), ("all", 0.1)]
"""What g sees, and the weight of its entropy."""
WAY_ITERATIONS = 100
BY = ("drawn", "most probable", "at random", "best on the other families")


def ways_learned(table: Table, fold_of: Array, folds: int, inner: int, seed: int) -> dict[tuple[str, str], Array]:
    """Lets a g over networks learn schedules and rows on the families outside of each fold.

    Returns:
        ``(T,)`` gains in reward over each default, for the same configurations, by how the way is chosen.
    """
    nets = _networks(table)
    found = {(name, by): np.full(len(nets.tasks), np.nan) for name in DEFAULTS for by in BY}
    for fold in range(folds):
        seen, new = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        chosen = _way_setup(nets, tuple(seen.tolist()), inner)
        log_probs = _learn_ways(nets, seen, *chosen, seed)(new)
        for i, own in zip(new, log_probs, strict=True):
            for key, gain in _gains(nets, i, own, seen).items():
                found[key][i] = gain
    return found


@lru_cache
def _networks(table: Table) -> Table:
    return table.with_columns(np.flatnonzero([quarter(s) is not None for s in table.strategies]))


@lru_cache
def _way_setup(nets: Table, tasks: tuple[int, ...], inner: int) -> tuple[str, float]:
    """Returns the setup that gains most over the package's default on families left out of those to learn from."""
    rows, gains = np.array(tasks), []
    fold_of = nets.folds(inner)[rows]
    for setup in WAY_SETUPS:
        found = []
        for fold in range(inner):
            seen, new = rows[fold_of != fold], rows[fold_of == fold]
            log_probs = _learn_ways(nets, seen, *setup, 0)(new)
            told = [_gains(nets, i, own, seen) for i, own in zip(new, log_probs, strict=True)]
            found += [gain[next(iter(DEFAULTS)), "most probable"] for gain in told if gain]
        gains.append(np.mean(found) if found else 0.0)
    return WAY_SETUPS[int(np.argmax(gains))]


def _learn_ways(nets: Table, rows: Array, sees: str, entropy: float, seed: int) -> Callable[[Array], Array]:
    """Lets g learn from rewards less their mean over all ways of the configuration on the task."""
    contexts, g = seen_contexts(nets, sees), distribution(nets, len(NAMES))
    centred = nets.rewards.copy()
    for columns in nets.configurations:
        centred[:, columns] -= centred[:, columns].mean(axis=1, keepdims=True)
    rewards = np.where(np.isfinite(centred), centred, FAILED)[rows]
    settings = settings_of("exact", seed, WAY_ITERATIONS, len(rows), entropy=entropy, rate=0.03)
    world = world_of(nets, contexts[rows], rewards, None)
    meta = run_outer(g, world, settings, start=informed(nets, g)).meta
    return lambda new: np.asarray(g.log_probs(meta, contexts[new]))


def _gains(nets: Table, task: int, log_probs: Array, seen: Array) -> dict[tuple[str, str], float]:
    """Returns gains on a task, averaged over the configurations that were tried with both defaults."""
    found: dict[tuple[str, str], list[float]] = {}
    alike = seen[nets.forms[seen] == nets.forms[task]]
    for columns in nets.configurations:
        rewards = nets.rewards[task, columns]
        ways = [(schedule_of(nets.strategies[j]), rows_of(nets.strategies[j])) for j in columns]
        if len(ways) < 3 or not np.isfinite(rewards).all() or any(way not in ways for way in DEFAULTS.values()):
            continue
        chances = np.exp(log_probs[columns] - log_probs[columns].max())
        on_others = np.nanmean(nets.rewards[np.ix_(alike, columns)], axis=0)
        reached = {
            "drawn": chances @ rewards / chances.sum(),
            "most probable": rewards[np.argmax(chances)],
            "at random": rewards.mean(),
            "best on the other families": rewards[np.argmax(on_others)],
        }
        for name, way in DEFAULTS.items():
            for by, value in reached.items():
                found.setdefault((name, by), []).append(float(value - rewards[ways.index(way)]))
    return {key: float(np.mean(values)) for key, values in found.items()}
