"""Expected improvement per second under the empirical-Bayes Gaussian over strategies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Final, TypeAlias

import numpy as np

from gstar.cost import CostModel, LearnerFacts
from gstar.policies.candidates import (
    BASELINES,
    affordable,
    best_of_learners,
    built_in,
    canonical,
    digest,
    is_candidate,
    is_spent,
    learners_for,
    recorded,
    taken,
    tree_for,
    trial_seconds,
    unique,
)
from gstar.policies.kernel import Encoder
from gstar.policies.portfolio import PortfolioPolicy
from gstar.policies.predictor import Belief, Predictor, Profiles
from gstar.policies.sampling import Draw
from gstar.policy import AbstractPolicy, Context
from gstar.records import Records
from gstar.space import Space
from gstar.strategy import Strategy
from gstar.trial import Proposal, Trial

Array: TypeAlias = np.ndarray

FREE_SHARE: Final = 0.05
"""A trial that takes this share of the time left counts as twice as dear as one that takes none."""

STOP_SHARE: Final = 0.01
"""STOP when no candidate is expected to improve by this share of the noise of a validation score."""

GOOD: Final = 0.8
"""A strategy with this normalised score did well on a task (0 is middling, 1 the best known)."""

OPENING: Final = 20
"""Until the portfolio is about used up: of 16 tables at 10 s, the portfolio alone reached a mean normalised score
of 0.70, and 0.48 with the Gaussian taking over after six of its strategies."""

N_SIMILAR: Final = 10
N_BASES: Final = 3
N_NEAR: Final = 12
KEEP: Final = 0.7
STEP: Final = 0.15
"""Each time, 12 strategies near the best of each of the best 3 learners are candidates too, each choice kept with
this probability, numbers moved by a deviation of this share of their range."""


@dataclass(frozen=True, eq=False)
class _Known:
    """Is all that does not change from one question about the same kind of task to the next."""

    learners: dict[str, LearnerFacts]
    tree: Space
    strategies: list[Strategy]
    places: dict[Strategy, int]
    """Columns of the recorded ones."""
    profiles: Profiles
    predictor: Predictor
    encoder: Encoder
    costs: CostModel
    columns: list[int]


@dataclass(frozen=True, eq=False)
class _Options:
    """Is the candidates of one question, with all that is predicted of them; arrays are `(C,)`."""

    strategies: list[Strategy]
    profiles: Profiles
    belief: Belief
    seconds: Array
    fits: Array
    improvement: Array
    acquisition: Array


class GaussianPolicy(AbstractPolicy):
    """Proposes the candidate with the most expected improvement for its time.

        acquisition = E[max(0, z + bonus - best)] / (0.05 + seconds / seconds left) ** cost_power

    z is the normalised true score under `gstar.policies.predictor`; best is what is expected of the best
    trial in hand, so that luck in validation is not chased; the bonus is `diversity` times one minus the
    likeness to the best trials in hand and to those running, because the final model is an
    ensemble. Strategies that are running count as if they had scored what is expected of them.

    Candidates are the recorded strategies, the built-in portfolio, the defaults of all
    learners, some near the best so far, and those that begin with remembered weights; those
    that do not fit in the time left are out.
    None (STOP) if none fits or none is expected to improve by 1 % of the noise.

    A recorded task that comes again is recognised: its recorded scores inform the prediction.

    The first `opening` proposals are those of the portfolio: cheap, good on average and unlike one
    another, they place the task better than meta-features do, and an ensemble wants them anyway.

    Args:
        records: What is known of other tasks.
        learners: Learners to use instead of the installed ones.
        diversity: Worth of a wholly different model to the ensemble, as a share of the distance
            from a middling strategy to the best.
        cost_power: 1 for improvement per second, 0 to ignore cost, as it is without a budget in seconds.
        temperature: 0 proposes the best candidate, with log-probability 0: the choice is
            certain. Above, candidates are drawn from the softmax of log acquisition /
            temperature, with their exact log-probability among those candidates.
        opening: How many proposals come from the portfolio before the Gaussian takes over.
        closed: Whether to choose among the recorded strategies only, as a replay of recorded tasks must.
    """

    name: ClassVar[str] = "gaussian"

    def __init__(
        self,
        records: Records,
        *,
        learners: Mapping[str, LearnerFacts] | None = None,
        diversity: float = 0.1,
        cost_power: float = 1.0,
        temperature: float = 0.0,
        opening: int = OPENING,
        closed: bool = False,
    ) -> None:
        self.records = canonical(records)
        self.learners = learners
        self.diversity = diversity
        self.cost_power = cost_power
        self.temperature = temperature
        self.closed = closed
        self.opening = opening
        self._version = digest(self.records)
        self._rows = {task: i for i, task in enumerate(self.records.tasks)}
        self._known: dict[tuple[object, ...], _Known] = {}

    @cached_property
    def _portfolio(self) -> PortfolioPolicy:
        return PortfolioPolicy(self.records, learners=self.learners, closed=self.closed)

    @property
    def version(self) -> str:
        """Names the records that the predictor was fitted to."""
        return self._version

    def ask(self, contexts: Sequence[Context], rng: np.random.Generator) -> list[Proposal | None]:
        """Returns one proposal per context, in order; `rng` is used only at a temperature above 0."""
        return [self._ask_one(context, rng) for context in contexts]

    def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
        """Learns nothing that the history in a context does not say."""
        return {}

    def rank(self, context: Context, limit: int | None = None) -> list[Proposal]:
        """Returns proposals for the candidates that fit the budget, best acquisition first, at most so many."""
        known = self._prepare(context)
        if is_spent(context) or not known.learners:
            return []
        options = self._options(known, context)
        order = np.argsort(-options.acquisition, kind="stable")
        return [self._propose(known, context, options, int(i), 0.0) for i in order[options.fits[order]][:limit]]

    def _ask_one(self, context: Context, rng: np.random.Generator) -> Proposal | None:
        known = self._prepare(context)
        if is_spent(context) or not known.learners:
            return None
        listed = self._portfolio.portfolio(context)
        if len(taken(context)) < min(self.opening, len(listed)):
            first = self._portfolio.ask([context], rng)[0]
            if first is not None and first.strategy in listed:
                return replace(first, policy=self.name, policy_version=self.version)
        options = self._options(known, context)
        if not options.fits.any():
            return None
        started = any(trial.completed for trial in context.history)
        if started and options.improvement[options.fits].max() < STOP_SHARE * options.belief.noise:
            return None
        chosen, log_prob = self._choose(np.where(options.fits, options.acquisition, 0.0), rng)
        return self._propose(known, context, options, chosen, log_prob)

    def _choose(self, acquisition: Array, rng: np.random.Generator) -> tuple[int, float]:
        """Returns the position of the chosen candidate and its log-probability."""
        if self.temperature <= 0:
            return int(np.argmax(acquisition)), 0.0
        logits = np.log(np.maximum(acquisition, 1e-300)) / self.temperature
        logits = np.where(acquisition > 0, logits, -np.inf)
        if not np.isfinite(logits).any():
            return int(np.argmax(acquisition)), 0.0
        logits = logits - logits.max()
        log_prob = logits - np.log(np.sum(np.exp(logits)))
        chosen = int(rng.choice(len(acquisition), p=np.exp(log_prob)))
        return chosen, float(log_prob[chosen])

    def _prepare(self, context: Context) -> _Known:
        key = (context.kind, context.learners, context.has_order)
        if key not in self._known:
            self._known[key] = self._fit(context)
        return self._known[key]

    def _fit(self, context: Context) -> _Known:
        records = (
            self.records if self.records.kind is context.kind else self.records.without(tasks=frozenset(self._rows))
        )
        learners = learners_for(context, self.learners)
        columns = recorded(records, learners, context)
        strategies = unique([*(records.strategies[j] for j in columns), *([] if self.closed else built_in(learners))])
        place = {strategy: j for j, strategy in enumerate(strategies)}
        encoder = Encoder(learners)
        codes = encoder.encode(strategies)
        extra = np.full((len(records), len(strategies) - len(columns)), np.nan)
        predictor = Predictor(
            codes,
            np.c_[records.scores[:, columns], extra],
            np.c_[records.failures[:, columns], np.zeros_like(extra)],
            built_in=[place[strategy] for strategy in built_in(learners) if strategy in place],
            meta_features=records.meta_features,
            families=[f or f"task {t}" for f, t in zip(records.families, records.tasks, strict=True)],
        )
        tree = tree_for(learners, context) if learners else Space({})
        costs = CostModel(records, learners)
        places = {strategy: j for strategy, j in place.items() if j < len(columns)}
        return _Known(learners, tree, strategies, places, predictor.profiles(codes), predictor, encoder, costs, columns)

    def _options(self, known: _Known, context: Context) -> _Options:
        excluded = taken(context)
        free = np.array([strategy not in excluded for strategy in known.strategies], bool)
        strategies = [s for s, is_free in zip(known.strategies, free, strict=True) if is_free]
        near = [*self._near(known, context, anywhere=not strategies), *self._initial(known, context)]
        near = unique(near, without=excluded | set(strategies))
        profiles = known.profiles.take(np.flatnonzero(free))
        if near:
            profiles = profiles.joined(known.predictor.profiles(known.encoder.encode(near)))
        strategies = [*strategies, *near]
        belief = self._believe(known, context, profiles)
        improvement = belief.expected_improvement(self.diversity)
        seconds, needed_s = trial_seconds(known.costs, strategies, context)
        fits = affordable(needed_s, context, 1.0)
        left = context.budget_left_s
        dear = np.ones(len(strategies)) if left is None else (FREE_SHARE + seconds / left) ** self.cost_power
        return _Options(strategies, profiles, belief, seconds, fits, improvement, improvement / dear)

    def _near(self, known: _Known, context: Context, *, anywhere: bool) -> list[Strategy]:
        """Draws candidates near the best so far, the same ones for the same history; else perhaps anywhere."""
        if self.closed:
            return []
        bases = best_of_learners(context, known.learners, N_BASES)
        draws = [Draw(known.tree, base.to_point(known.tree), KEEP, STEP) for base in bases]
        draws = draws or [Draw(known.tree)] * anywhere
        rng = np.random.default_rng([len(context.history), *(int(base.hash, 16) for base in bases)])
        return [draw.sample(rng) for draw in draws for _ in range(N_NEAR)]

    def _initial(self, known: _Known, context: Context) -> list[Strategy]:
        """Returns the strategies that begin with remembered weights."""
        return [] if self.closed else [s for s in context.initial if is_candidate(s, known.learners, context)]

    def _believe(self, known: _Known, context: Context, candidates: Profiles) -> Belief:
        told = [t for t in context.history if t.strategy.learner not in BASELINES - known.learners.keys()]
        history = [t.strategy for t in told]
        raw = [t.score if t.completed and t.score is not None else np.nan for t in told]
        remembered: list[Strategy] = []
        row = self._rows.get(context.task)
        if row is not None and known.columns:
            past = set(history)
            for j in known.columns:
                strategy, score = self.records.strategies[j], self.records.scores[row, j]
                if np.isfinite(score) and strategy not in past:
                    remembered.append(strategy)
                    raw.append(float(score))
        tried = known.predictor.profiles(known.encoder.encode([*history, *remembered, *context.pending]))
        return known.predictor.believe(
            candidates,
            tried,
            np.array(raw, float),
            meta_features=np.asarray(context.meta_features, float),
            recalled=len(remembered),
            pending=len(context.pending),
        )

    def _propose(self, known: _Known, context: Context, options: _Options, chosen: int, log_prob: float) -> Proposal:
        return Proposal(
            options.strategies[chosen],
            log_prob,
            self.name,
            self.version,
            predicted_score=float(options.belief.mean[chosen]),
            predicted_deviation=float(options.belief.total_deviation[chosen]),
            predicted_cost_s=float(options.seconds[chosen]),
            reason=self._reason(known, options, chosen),
        )

    def _reason(self, known: _Known, options: _Options, chosen: int) -> str:
        rank = 1 + int(np.sum(options.belief.mean > options.belief.mean[chosen]))
        predicted = f"predicted score rank {rank} of {len(options.strategies)}, {options.seconds[chosen]:.2g} s"
        place = known.places.get(options.strategies[chosen])
        if place is None:
            return f"not tried on other tasks yet; {predicted}"
        away = known.predictor.factors - options.belief.factors
        distance = np.einsum("tk,kl,tl->t", away, known.predictor.metric, away)
        values = known.predictor.values[:, place]
        tried = np.flatnonzero(np.isfinite(values))
        tried = tried[np.argsort(distance[tried], kind="stable")][:N_SIMILAR]
        good = [int(t) for t in tried if values[t] >= GOOD]
        names = ", ".join(self._name(t) for t in good[:2])
        nearest = f" ({names})" if names else ""
        return f"good on {len(good)} of {len(tried)} similar tasks{nearest}; {predicted}"

    def _name(self, row: int) -> str:
        return self.records.families[row] or self.records.tasks[row][:8]
