"""A peer in `meta_training.py`: g as a softmax that is linear in the context, as that of `gstar meta-train` is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from meta_learning import rows_of, schedule_of
from meta_table import FAILED, Table
from meta_tasks import quarter

from gstar.contexts import NAMES
from gstar.distribution import CandidateDistribution, TreeDistribution
from gstar.outer import OuterSettings, Progress, run_outer
from gstar.space import Categorical, Condition, Space
from gstar.strategy import Strategy
from gstar.worlds.recorded import RecordedWorld

Array = np.ndarray
ENTROPY = 0.1
REACH = 4.0
"""How far a logit of a linear g may move in a meta-training."""
UNFIT = -8.0
"""Logit, at the start, of a strategy on tasks of a form on which it was not tried."""
DRAWS = 12
"""Strategies per task and iteration where the gradient is sampled."""
STEPS = 240


def learned_linear(
    table: Table, rows: Array, seed: int, listener: Callable[[Progress], None] = lambda _: None
) -> Callable:
    """Lets a g learn that is a softmax linear in the context, as that of `gstar meta-train` is, by `best_of`."""
    g = linear(table)
    rewards = np.where(np.isfinite(table.rewards), table.rewards, FAILED)[rows]
    zeros, ones = np.zeros(len(rows)), np.ones(len(rows))
    world = RecordedWorld(
        table.contexts[rows], table.strategies, rewards, np.zeros(rewards.shape), zeros, ones, table.valid[rows]
    )
    settings = OuterSettings(
        "best_of",
        tasks=16,
        strategies=DRAWS,
        natural=False,
        iterations=STEPS,
        rate=REACH / STEPS,
        entropy=ENTROPY,
        entropy_halving=STEPS // 4,
        seed=seed,
        convergence=None,
    )
    meta = run_outer(g, world, settings, start=_informed(table, g), listener=listener).meta
    return lambda task, tried: np.asarray(g.log_probs(meta, table.contexts[task][None])[0])


def linear(table: Table) -> CandidateDistribution:
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
    tree = TreeDistribution(Space(parameters, conditions), context_size=len(NAMES))
    found = tree.points(points)
    start = tree.start(np.random.default_rng(0))
    return CandidateDistribution(found, tree, -np.asarray(tree.log_prob(start, tree.no_context, found)))


def _point(strategy: Strategy) -> dict[str, str]:
    point = {"learner": strategy.learner, f"{strategy.learner}.strategy": strategy.hash}
    if quarter(strategy) is not None:
        point |= {"schedule": schedule_of(strategy), "rows": rows_of(strategy)}
    return point


def _informed(table: Table, g: CandidateDistribution) -> Array:
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
