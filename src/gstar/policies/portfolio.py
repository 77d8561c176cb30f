"""A fixed ordered list of strategies that together do well on the recorded tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

import numpy as np

from gstar.cost import CostModel, LearnerFacts
from gstar.policies.candidates import (
    affordable,
    best_tried,
    built_in,
    canonical,
    digest,
    is_spent,
    learners_for,
    recorded,
    taken,
    tree_for,
    trial_seconds,
    unique,
    with_initial,
)
from gstar.policies.outlook import standardise
from gstar.policies.sampling import Draw
from gstar.policies.scale import FLOOR, normalise
from gstar.policy import AbstractPolicy, Context
from gstar.records import Records
from gstar.space import Space
from gstar.strategy import Strategy
from gstar.trial import Proposal, Trial

Array: TypeAlias = np.ndarray

SHARE: Final = 0.5
"""A strategy that takes more than this share of the time left waits until nothing cheaper is left."""

STEP: Final = 0.15
KEEP: Final = 0.7
"""Probability of keeping each choice of a good strategy when drawing near it."""

DRAWS: Final = 30
"""A strategy that does not fit the time left is drawn again so many times."""

NEAR: Final = 0.2
"""A recorded task at this distance (root mean square over standardised meta-features) or less is a near one."""

N_GOOD: Final = 3
"""Draws are near the best so many strategies of the task in turn."""


def greedy_portfolio(values: Array, weights: Array) -> list[int]:
    """Orders strategies such that the best of the first k is good on average, for every k.

    Args:
        values: ``(T, P)`` normalised scores, NaN where not known (which never helps).
        weights: ``(T,)`` weights of the tasks.

    Returns:
        Columns; each is the one that adds most to the weighted mean over tasks of the best so
        far (of equals the first), until none adds anything.

    Example:
        >>> greedy_portfolio(np.array([[1.0, 0.0, 0.9], [0.0, 1.0, 0.8]]), np.ones(2))
        [2, 1, 0]

    References:
        Xu, Hoos, Leyton-Brown: Hydra (2010); Wistuba, Schilling, Schmidt-Thieme: Sequential
        model-free hyperparameter tuning (2015).
    """
    filled = np.where(np.isnan(values), FLOOR, values)
    best = np.full(len(values), FLOOR)
    order: list[int] = []
    while len(order) < values.shape[1]:
        gain = weights @ np.maximum(filled - best[:, None], 0.0)
        j = int(np.argmax(gain))
        if gain[j] <= 1e-9:
            break
        order.append(j)
        best = np.maximum(best, filled[:, j])
    return order


def family_weights(families: Sequence[str]) -> Array:
    """Returns ``(T,)`` weights such that each family of tasks counts once; ``""`` is no family."""
    counts = Counter(families)
    return np.array([1.0 if not f else 1.0 / counts[f] for f in families])


def nearness(records: Records, meta_features: Array) -> Array:
    """Returns ``(T,)`` in [0, 1] how near the recorded tasks are to a task: 1 for itself, next to 0 for strangers.

    Halves of one table are at a distance of 0.2 in the median (in [0.06, 0.75] for 90 % of 104 tables), while
    the nearest table of another family is at 0.74 (0.47 to 1.1): `NEAR` tells them apart.
    """
    known = records.meta_features
    if not len(known) or len(meta_features) != known.shape[1]:
        return np.zeros(len(known))
    centre, width = np.median(known, axis=0), np.std(known, axis=0)
    away = standardise(known, centre, width) - standardise(meta_features[None, :], centre, width)
    return np.asarray(np.exp(-0.5 * np.mean(away**2, axis=1) / NEAR**2))


def _learn(scores: Array, failures: Array, weights: Array, *, complete: bool) -> list[int]:
    values = normalise(scores, failures).values
    order = greedy_portfolio(values, weights)
    if complete:
        mean = weights @ np.where(np.isnan(values), 0.0, values)
        order += [int(j) for j in np.argsort(-mean, kind="stable") if j not in order]
    return order


@dataclass(frozen=True, eq=False)
class _Known:
    """Is all that does not change from one question about the same kind of task to the next.

    Args:
        learners: Those that may be proposed, by name.
        tree: Of all their strategies.
        costs: What strategies cost.
    """

    learners: dict[str, LearnerFacts]
    tree: Space
    costs: CostModel


@dataclass(frozen=True, eq=False)
class _Portfolio:
    """Is the list for one task.

    Args:
        strategies: In order.
        n_learned: How many, the first ones, come from the records.
        origin: What the records that they come from are, for the user.
    """

    strategies: list[Strategy]
    n_learned: int
    origin: str

    def reason(self, strategy: Strategy) -> str:
        """Says where in the portfolio a strategy stands, and why it is there."""
        if strategy not in self.strategies:
            return "similar task"
        place = self.strategies.index(strategy)
        origin = f"learned from {self.origin}" if place < self.n_learned else "built in"
        return f"place {place + 1} of {len(self.strategies)} in the portfolio, {origin}"


class PortfolioPolicy(AbstractPolicy):
    """Proposes a greedy portfolio in order, what fits the budget first.

    The order is learned from the records, in which a family of tasks counts once; a task as near to the one at
    hand as to be another part of the same data counts as much as all the others together. The built-in portfolio
    follows, and is all there is while there are no records. When it is used up, strategies are drawn near those
    that did best on the task (from the whole tree while none completed). `log_prob` is 0 for the list and
    exact for the draws, but for not knowing which draws did not fit the time left.

    Args:
        records: What is known of other tasks.
        learners: Learners to use instead of the installed ones.
        closed: Whether to propose recorded strategies only, as a replay of recorded tasks must; those
            that the portfolio does without then follow it by their mean.
    """

    name: ClassVar[str] = "portfolio"

    def __init__(
        self, records: Records, *, learners: Mapping[str, LearnerFacts] | None = None, closed: bool = False
    ) -> None:
        self.records = canonical(records)
        self.learners = learners
        self.closed = closed
        self._version = digest(self.records)
        self._known: dict[tuple[object, ...], _Known] = {}
        self._portfolios: dict[tuple[object, ...], _Portfolio] = {}

    @property
    def version(self) -> str:
        """Names the records that the portfolio was learned from."""
        return self._version

    def ask(self, contexts: Sequence[Context], rng: np.random.Generator) -> list[Proposal | None]:
        """Returns one proposal per context, in order; `rng` is used only when the list is used up."""
        return [self._ask_one(context, rng) for context in contexts]

    def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
        """Learns nothing: the list is fixed."""
        return {}

    def portfolio(self, context: Context) -> list[Strategy]:
        """Returns the whole ordered list for a context."""
        return with_initial(self._portfolio(context).strategies, context)

    def _prepare(self, context: Context) -> _Known:
        key = (context.kind, context.learners, context.has_order)
        if key not in self._known:
            learners = learners_for(context, self.learners)
            tree = tree_for(learners, context) if learners else Space({})
            self._known[key] = _Known(learners, tree, CostModel(self.records, learners))
        return self._known[key]

    def _portfolio(self, context: Context) -> _Portfolio:
        key = (context.task, context.kind, context.learners, context.has_order)
        if key not in self._portfolios:
            known = self._prepare(context)
            near = nearness(self.records, np.asarray(context.meta_features, float))
            weights = family_weights(self.records.families)
            weights = weights * (1 + weights.sum() * near)
            columns = recorded(self.records, known.learners, context, weights)
            scores, failures = self.records.scores[:, columns], self.records.failures[:, columns]
            order = _learn(scores, failures, weights, complete=self.closed) if columns else []
            learned = [self.records.strategies[columns[j]] for j in order]
            ordered = learned if self.closed else unique([*learned, *built_in(known.learners)])
            like = near[np.isfinite(scores).any(axis=1)].max(initial=0.0) > 0.5
            origin = "tasks like this one" if like else "other tasks"
            self._portfolios[key] = _Portfolio(ordered, len(learned), origin)
        return self._portfolios[key]

    def _ask_one(self, context: Context, rng: np.random.Generator) -> Proposal | None:
        known = self._prepare(context)
        if is_spent(context) or not known.learners:
            return None
        portfolio = self._portfolio(context)
        rest = unique(with_initial(portfolio.strategies, context), without=taken(context))
        median_s, needed_s = trial_seconds(known.costs, rest, context)
        for share in (SHARE, 1.0):
            fitting = np.flatnonzero(affordable(needed_s, context, share))
            if len(fitting):
                reason = f"{portfolio.reason(rest[fitting[0]])}; {median_s[fitting[0]]:.2g} s"
                return self._proposal(rest[fitting[0]], 0.0, float(median_s[fitting[0]]), reason)
        return None if self.closed else self._near_a_good_one(known, context, rng)

    def _near_a_good_one(self, known: _Known, context: Context, rng: np.random.Generator) -> Proposal | None:
        best = best_tried(context, known.learners, N_GOOD)
        draw, reason = Draw(known.tree), "drawn at random"
        if best:
            good = best[(len(context.history) + len(context.pending)) % len(best)]
            draw, reason = Draw(draw.space, good.to_point(draw.space), KEEP, STEP), f"near a good one ({good.learner})"
        for _ in range(DRAWS):
            drawn = draw.sample_new(taken(context), rng)
            if drawn is None:
                return None
            median_s, needed_s = trial_seconds(known.costs, [drawn[0]], context)
            if affordable(needed_s, context, 1.0)[0]:
                return self._proposal(drawn[0], drawn[1], float(median_s[0]), reason)
        return None

    def _proposal(self, strategy: Strategy, log_prob: float, seconds: float, reason: str) -> Proposal:
        return Proposal(strategy, log_prob, self.name, self.version, predicted_cost_s=seconds, reason=reason)
