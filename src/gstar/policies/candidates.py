"""The strategies that policies choose from: the recorded ones, a built-in portfolio, defaults.

A strategy is a candidate only if it is a valid point of the learners at hand, so that records
survive a change of a learner's space: what no longer validates is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.cost import CostModel, LearnerFacts
from gstar.errors import MissingExtraError, UsageError
from gstar.learner import get_learner
from gstar.metric import TaskKind
from gstar.policies.sampling import restrict
from gstar.policy import Context
from gstar.records import Records
from gstar.space import Categorical, Scalar, Space
from gstar.strategy import INIT_SPACE, PACED_SELECTION_SPACE, SCHEDULE_SPACE, SELECTION_SPACE, Strategy, strategy_space

Array: TypeAlias = np.ndarray

MAX_RECORDED: Final = 400
"""How many recorded strategies are candidates at most: those tried on the most tasks."""

TARGET: Final = "target"
"""Name of the parameter that transforms the target of a regression."""

SHORTEST: Final = 0.4
"""A training that may be cut short is begun if there is time for this share of it."""

BASELINES: Final = frozenset({"constant"})
"""Learners that a search trains on its own as a yardstick; proposed only if there is no other."""

BUILT_IN: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    ("lightgbm", {}),
    ("catboost", {}),
    ("kernel_ridge", {}),
    ("extra_trees", {}),
    ("linear", {}),
    ("xgboost", {}),
    ("random_forest", {}),
    ("lightgbm", {"leaves": 8, "min_leaf": 20, "feature_share": 0.5, "l2": 10.0}),
    ("kernel", {}),
    ("catboost", {"depth": 8, "rate": 0.05, "l2": 5.0}),
    ("lightgbm", {"extra": True, "leaves": 64, "rate": 0.03}),
    ("extra_trees", {"max_features": 1.0, "min_leaf": 2, "categories": "target"}),
    ("linear", {"numbers": "spline", "strength": 0.1}),
    ("xgboost", {"depth": 8, "rate": 0.03, "min_child": 5.0, "feature_share": 0.5}),
    ("neighbors", {}),
    ("lightgbm", {"leaves": 128, "rate": 0.03, "min_leaf": 20, "feature_share": 0.5}),
    ("catboost", {"depth": 4, "rate": 0.1}),
    ("random_forest", {"max_features": 0.33, "min_leaf": 3}),
    ("linear", {"penalty": "elastic"}),
    ("kernel", {"reach": 0.3, "strength": 0.01}),
    ("xgboost", {"rate": 0.3, "depth": 6}),
    ("lightgbm", {"rate": 0.25}),
    ("rocket", {}),
    ("flat_kernel_ridge", {}),
    ("cnn", {}),
    ("rnn", {}),
    ("mlp", {}),
    ("cnn", {"augment": "mirror", "dropout": 0.3}),
    ("rocket", {"differences": False, "kernels": 2000}),
    ("cnn", {"depth": 2, "epochs": 40}),
    ("rnn", {"cell": "gru", "width": 64, "dropout": 0.3}),
    ("cnn", {"width": 32, "epochs": 40}),
    ("mlp", {"embedding": "periodic", "numbers": "standard", "norm": "layer"}),
    ("rnn", {"depth": 2, "width": 64, "norm": "layer"}),
    ("cnn", {"norm": "layer", "learning_rate": 0.002}),
)
"""What is tried in which order while nothing is known: learner and what differs from its defaults.

Good ones first, then different ones; what a learner no longer knows is left out."""


def learners_for(context: Context, given: Mapping[str, LearnerFacts] | None = None) -> dict[str, LearnerFacts]:
    """Returns the learners that may be proposed, by name.

    Args:
        context: Names them.
        given: Learners to use instead of the installed ones; names it lacks are left out.
    """
    names = sorted(set(context.learners) - BASELINES) or sorted(context.learners)
    found: dict[str, LearnerFacts] = {}
    for name in names:
        if given is not None:
            if name in given:
                found[name] = given[name]
            continue
        try:
            found[name] = get_learner(name)
        except MissingExtraError:
            continue
    return found


def is_valid(strategy: Strategy, learners: Mapping[str, LearnerFacts]) -> bool:
    """Tells whether a strategy is a valid point of the learners at hand."""
    learner = learners.get(strategy.learner)
    if learner is None or bool(strategy.schedule) != learner.has_schedule:
        return False
    try:
        learner.space.validate(strategy.configuration)
        selection_space(learner).validate(strategy.selection)
        if learner.has_schedule:
            SCHEDULE_SPACE.validate({k: v for k, v in strategy.schedule.items() if k != "control"})
        if strategy.init:
            INIT_SPACE.validate(strategy.init)
    except UsageError:
        return False
    return learner.handles_initial or not strategy.init


def is_candidate(strategy: Strategy, learners: Mapping[str, LearnerFacts], context: Context) -> bool:
    """Tells whether a strategy is valid here and makes sense for the task: its rows, its target, its first weights."""
    allowed = selections_for(context.kind, context.has_order)
    if strategy.selection.get("kind") not in allowed or not is_valid(strategy, learners):
        return False
    if strategy.init and not _can_begin(strategy, learners[strategy.learner], context):
        return False
    target = strategy.configuration.get(TARGET)
    return target in targets_for(learners[strategy.learner], context.kind) if target is not None else True


def targets_for(learner: LearnerFacts, kind: TaskKind) -> tuple[Scalar, ...]:
    """Returns the transforms of the target that make a difference: classes have none, so one stands for all."""
    parameter = learner.space.parameters.get(TARGET)
    if not isinstance(parameter, Categorical):
        return ()
    return (parameter.default,) if kind.is_classification else parameter.choices


def _can_begin(strategy: Strategy, learner: LearnerFacts, context: Context) -> bool:
    """Tells whether weights are remembered that a strategy can begin with."""
    same = [s for s in context.initial if s.learner == strategy.learner]
    return any(learner.has_same_body(s.configuration, strategy.configuration) for s in same)


def selections_for(kind: TaskKind, has_order: bool) -> tuple[str, ...]:
    """Returns the kinds of data selection that make sense for a task."""
    kinds = ["all", "part", "clean"]
    kinds += ["balanced"] if kind.is_classification else []
    kinds += ["recent"] if has_order else []
    return tuple(kinds)


def selection_space(learner: LearnerFacts) -> Space:
    """Returns the space of the data selections of a learner."""
    return PACED_SELECTION_SPACE if learner.handles_pace else SELECTION_SPACE


def make_strategy(name: str, learner: LearnerFacts, configuration: Mapping[str, Any]) -> Strategy:
    """Returns a strategy of a learner; what is not given has its default.

    Raises:
        UsageError: If the learner's space does not know what is given.
    """
    schedule = SCHEDULE_SPACE.complete(learner.default_schedule) if learner.has_schedule else {}
    return Strategy(name, learner.space.complete(configuration), selection_space(learner).default(), schedule)


def built_in(learners: Mapping[str, LearnerFacts]) -> list[Strategy]:
    """Returns the built-in portfolio for the learners at hand, then the defaults of the others."""
    found: dict[Strategy, None] = {}
    for name, configuration in (*BUILT_IN, *((name, {}) for name in sorted(learners))):
        if name in learners:
            try:
                found[make_strategy(name, learners[name], configuration)] = None
            except UsageError:
                continue
    return list(found)


def recorded(
    records: Records, learners: Mapping[str, LearnerFacts], context: Context, weights: Array | None = None
) -> list[int]:
    """Returns the columns of the records that are candidates, those tried on most tasks first, at most so many.

    Args:
        records: What is known of other tasks.
        learners: Those at hand, by name.
        context: Of the task to propose for.
        weights: ``(T,)`` how much the recorded tasks count; None: alike.
    """
    if records.kind is not context.kind:
        return []
    known = (records.counts > 0) | (records.failures > 0)
    tried = (np.ones(len(known)) if weights is None else weights) @ known
    order = sorted(np.flatnonzero(tried).tolist(), key=lambda j: (-tried[j], records.strategies[j].hash))
    fitting = (j for j in order if is_candidate(records.strategies[j], learners, context))
    return list(islice(fitting, MAX_RECORDED))


def tree_for(learners: Mapping[str, LearnerFacts], context: Context) -> Space:
    """Returns the whole tree of strategies that make sense for a task."""
    scheduled = frozenset(name for name, learner in learners.items() if learner.has_schedule)
    paced = frozenset(name for name, learner in learners.items() if learner.handles_pace)
    tree = strategy_space({name: learner.space for name, learner in learners.items()}, scheduled=scheduled, paced=paced)
    for name, learner in learners.items():
        if targets := targets_for(learner, context.kind):
            tree = restrict(tree, f"{name}.{TARGET}", targets)
    return restrict(tree, "selection.kind", selections_for(context.kind, context.has_order))


def taken(context: Context) -> set[Strategy]:
    """Returns the strategies that must not be proposed again."""
    return {trial.strategy for trial in context.history} | set(context.pending)


def best_tried(context: Context, learners: Mapping[str, LearnerFacts], n: int) -> list[Strategy]:
    """Returns the strategies of the best completed trials that may be drawn near, best first, at most so many."""
    return list(islice(_by_score(context, learners), n))


def best_of_learners(context: Context, learners: Mapping[str, LearnerFacts], n: int) -> list[Strategy]:
    """Returns the best strategy of each of the best so many learners, best first."""
    found: dict[str, Strategy] = {}
    for strategy in _by_score(context, learners):
        found.setdefault(strategy.learner, strategy)
        if len(found) == n:
            break
    return list(found.values())


def _by_score(context: Context, learners: Mapping[str, LearnerFacts]) -> Iterator[Strategy]:
    completed = [trial for trial in context.history if trial.completed]
    completed.sort(key=lambda trial: (-float(trial.score or 0.0), trial.strategy.hash))
    return (t.strategy for t in completed if is_candidate(t.strategy, learners, context))


def is_spent(context: Context) -> bool:
    """Tells whether nothing is left of the budget."""
    no_time = context.budget_left_s is not None and context.budget_left_s <= 0
    no_trials = context.trials_left is not None and context.trials_left <= 0
    return no_time or no_trials


def with_initial(ordered: Sequence[Strategy], context: Context) -> list[Strategy]:
    """Returns the strategies in their order, and behind the first of each learner those that begin with weights."""
    found: dict[Strategy, None] = {}
    for strategy in ordered:
        found[strategy] = None
        found |= dict.fromkeys(s for s in context.initial if s.learner == strategy.learner)
    return list(found)


def unique(strategies: Iterable[Strategy], without: Collection[Strategy] = ()) -> list[Strategy]:
    """Returns the strategies in their order, each once, without those given."""
    return [s for s in dict.fromkeys(strategies) if s not in without]


def canonical(records: Records) -> Records:
    """Returns the records with tasks by fingerprint and strategies by hash.

    What is computed from them is then the same bit for bit in whatever order they came.
    """
    rows = np.array(sorted(range(len(records.tasks)), key=records.tasks.__getitem__), int)
    columns = np.array(sorted(range(len(records.strategies)), key=lambda j: records.strategies[j].hash), int)
    cells = np.ix_(rows, columns)
    return Records(
        records.kind,
        tuple(records.tasks[i] for i in rows),
        tuple(records.families[i] for i in rows),
        records.shapes[rows],
        records.meta_features[rows],
        tuple(records.strategies[j] for j in columns),
        *(a[cells] if a.size else np.empty(a.shape) for a in (records.scores, records.costs)),
        *(a[cells] if a.size else np.empty(a.shape) for a in (records.counts, records.failures)),
    )


def digest(records: Records) -> str:
    """Returns 8 hexadecimal digits that name the content of canonical records."""
    content = hashlib.sha256("|".join([records.kind, *records.tasks, *(s.hash for s in records.strategies)]).encode())
    for array in (records.scores, records.costs, records.counts, records.failures, records.meta_features):
        content.update(np.ascontiguousarray(array, float).data)
    return content.hexdigest()[:8]


def trial_seconds(costs: CostModel, strategies: Sequence[Strategy], context: Context) -> tuple[Array, Array]:
    """Returns the predicted seconds of a whole trial, all folds, and how many there must be to begin it.

    The second is a cautious guess, half a deviation of the log above the median; of a training
    that may be cut short, a share of it.
    """
    if not strategies:
        return np.empty(0), np.empty(0)
    shape = (context.n_rows, context.n_features, context.n_classes)
    mean, deviation = costs.predict(strategies, shape, context.history)
    known = costs.learners
    least = np.array([SHORTEST if s.learner in known and known[s.learner].is_anytime else 1.0 for s in strategies])
    return context.folds * np.exp(mean), context.folds * least * np.exp(mean + 0.5 * deviation)


def affordable(needed_s: Array, context: Context, share: float) -> Array:
    """Tells which trials fit into a share of the time that is left.

    While nothing has completed yet, the cheapest one always fits: a late model is better than none.

    Args:
        needed_s: ``(P,)`` seconds without which a trial is not begun.
        context: Says what is left; without a budget in seconds all fit.
        share: Of the time left.
    """
    if context.budget_left_s is None or not len(needed_s):
        return np.ones(len(needed_s), bool)
    fits = needed_s <= share * context.budget_left_s
    if not fits.any() and not context.pending and not any(t.completed for t in context.history):
        fits[np.argmin(needed_s)] = True
    return fits
