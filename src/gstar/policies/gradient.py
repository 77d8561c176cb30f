"""The policy-gradient policy: a distribution over strategies that was learned from trials, and still learns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, TypeAlias

import numpy as np
from autograd import grad

from gstar.contexts import context_vector
from gstar.cost import CostModel, LearnerFacts
from gstar.distribution import Memory, MemoryDistribution, Points, TreeDistribution
from gstar.errors import UsageError
from gstar.gradients.base import leave_one_out
from gstar.learned import Learned
from gstar.outer import OuterSettings, run_outer
from gstar.policies.candidates import (
    affordable,
    built_in,
    canonical,
    digest,
    is_candidate,
    is_spent,
    learners_for,
    recorded,
    selections_for,
    taken,
    tree_for,
    trial_seconds,
    unique,
)
from gstar.policies.scale import FLOOR, normalise
from gstar.policy import AbstractPolicy, Context
from gstar.records import Records
from gstar.space import Categorical, Space
from gstar.strategy import Strategy
from gstar.trial import Proposal, Trial
from gstar.weights import beginning
from gstar.worlds.recorded import RecordedWorld

Array: TypeAlias = np.ndarray

ITERATIONS: Final = 40
"""Iterations of the outer loop on the recorded tasks, all rewards known."""
PULL: Final = 0.05
"""Weight of the divergence from the g that has not learned."""
WORK: Final = 200_000
"""Remembered cells that the tasks of an iteration read together, at most; there are 32 tasks where this allows it."""
MOST_WORK: Final = 5_000_000
"""Remembered cells that all iterations read together, at most: about two seconds."""
METRIC: Final = 0.1
"""How much each number of a context counts before it is learned."""
TRIALS: Final = 8
"""So many of the trials on a task, the best ones, say which recorded tasks are alike and what is still to be gained."""
STEP: Final = 1.0
"""How far g moves for one task, per unit of advantage: one gradient step from what other tasks taught."""
SHARE: Final = 0.5
"""A strategy should take no more than this share of the time left."""
ATTEMPTS: Final = 100
"""How often a draw from the tree is drawn again that was tried before or does not fit the time left."""


@dataclass(frozen=True, eq=False)
class _Known:
    """Is what is the same for all contexts with these learners."""

    learners: dict[str, LearnerFacts]
    costs: CostModel
    tree: TreeDistribution
    raw: Array
    candidates: tuple[Strategy, ...]
    points: Points
    preference: Preference | None


@dataclass(frozen=True, eq=False)
class Preference:
    """Is g over the recorded strategies: it attends to the recorded tasks, by a metric learned by the policy gradient.

    Args:
        g: With the recorded tasks in its memory.
        meta: ``(W,)`` meta-parameters.
        columns: Strategy to its place among the candidates of g.
    """

    g: MemoryDistribution
    meta: Array
    columns: Mapping[Strategy, int]

    @staticmethod
    def learn(records: Records, columns: Sequence[int]) -> Preference | None:
        """Learns from all recorded tasks; None if they teach nothing."""
        values = normalise(records.scores[:, columns], records.failures[:, columns]).values
        rows = np.flatnonzero(np.isfinite(values).sum(axis=1) > 1)
        if len(rows) < 2:
            return None
        strategies = tuple(records.strategies[j] for j in columns)
        families = np.unique(np.array(records.families)[rows], return_inverse=True)[1]
        seen = np.stack([context_vector(_context_of(records, int(i))) for i in rows])
        memory = Memory(seen, np.zeros(len(rows), int), families, values[rows], values[rows])
        tree = TreeDistribution(Space({"strategy": Categorical(tuple(s.hash for s in strategies))}))
        points = tree.points([{"strategy": s.hash} for s in strategies])
        g = MemoryDistribution(points, memory, TRIALS, least=FLOOR, has_scale=False)
        start = g.start(np.random.default_rng(0))
        start[: g.n_seen] = np.log(METRIC)
        contexts = np.stack([g.state(x, 0, family=int(f)) for x, f in zip(seen, families, strict=True)])
        ones = np.ones(len(rows))
        world = RecordedWorld(contexts, strategies, values[rows], np.zeros(values[rows].shape), 0 * ones, ones)
        tasks = int(np.clip(WORK // values[rows].size, 1, 32))
        settings = OuterSettings(
            "exact",
            tasks=tasks,
            rate=0.05,
            iterations=int(np.clip(MOST_WORK // (tasks * values[rows].size), 1, ITERATIONS)),
            kl=PULL,
            natural=False,
            convergence=None,
        )
        meta = run_outer(g, world, settings, start=start).meta
        return Preference(g, meta, {s: j for j, s in enumerate(strategies)})

    def log_probs(self, context: Context) -> Array:
        """Returns ``(P,)`` log-probabilities of the recorded strategies, given the best trials of the task so far."""
        tried = {self.columns[t.strategy]: t.score for t in context.history if t.strategy in self.columns}
        valid = {j: np.nan if score is None else score for j, score in tried.items()}
        best = sorted(valid, key=lambda j: -np.nan_to_num(valid[j], nan=-np.inf))[:TRIALS]
        row = self.g.state(context_vector(context), 0, tried=best, valid=[valid[j] for j in best])
        return np.asarray(self.g.log_probs(self.meta, row[None])[0])


class GradientPolicy(AbstractPolicy):
    """Draws from g, and moves g with each result.

    What other tasks taught is either a g that `gstar meta-train` wrote, over a whole tree of strategies, or is learned
    here from the records: a g that attends to those recorded tasks that look like this one and on which its trials went
    alike (`gstar.distribution.memory`), by the exact policy gradient. For the task at hand g also takes one gradient
    step in the tree of strategies, with the trials of its history and their ranks as rewards. All is a function of the
    history, so a restart loses nothing.

    `log_prob` is exact among recorded strategies; for draws from the tree it does not count that earlier ones are
    not drawn again. What is drawn to begin with remembered weights gets the body that these are of, as in
    meta-training; `log_prob` is that of the draw.

    Args:
        records: What is known of other tasks.
        learners: Learners to use instead of the installed ones.
        weights: A g that was meta-trained, or the file that holds it.
        closed: Whether to propose recorded strategies only, as a replay of recorded tasks must.
    """

    name: ClassVar[str] = "gradient"

    def __init__(
        self,
        records: Records,
        *,
        learners: Mapping[str, LearnerFacts] | None = None,
        weights: str | Path | Learned | None = None,
        closed: bool = False,
    ) -> None:
        self.records = canonical(records)
        self.learners = learners
        self.learned = weights if isinstance(weights, Learned) or weights is None else Learned.load(Path(weights))
        self.closed = closed
        self._known: dict[tuple[object, ...], _Known] = {}

    @property
    def version(self) -> str:
        """Names the meta-parameters, or the records that they were learned from."""
        if self.learned is None:
            return digest(self.records)
        return hashlib.sha256(np.ascontiguousarray(self.learned.meta).data).hexdigest()[:8]

    def ask(self, contexts: Sequence[Context], rng: np.random.Generator) -> list[Proposal | None]:
        """Returns one draw per context, in order, from the same stream of random numbers."""
        return [self._ask_one(context, rng) for context in contexts]

    def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
        """Returns the mean score; all that is learned from trials is in the history of the next context."""
        scores = [t.score for t in trials if t.score is not None]
        return {"mean_score": float(np.mean(scores))} if scores else {}

    def _ask_one(self, context: Context, rng: np.random.Generator) -> Proposal | None:
        if is_spent(context) or not learners_for(context, self.learners):
            return None
        known = self._prepare(context)
        raw = self._moved(known, self._raw(known, context), context)
        return self._among_candidates(known, raw, context, rng) or self._from_tree(known, raw, context, rng)

    def _prepare(self, context: Context) -> _Known:
        key = (context.kind, context.form, context.learners, context.has_order)
        if key not in self._known:
            learners = learners_for(context, self.learners)
            costs = CostModel(self.records, learners)
            if self.learned is not None and _learners_of(self.learned.g) & set(learners):
                tree = self.learned.g
                self._known[key] = _Known(learners, costs, tree, np.zeros(0), (), tree.points([]), None)
            else:
                self._known[key] = self._from_records(learners, costs, context)
        return self._known[key]

    def _from_records(self, learners: dict[str, LearnerFacts], costs: CostModel, context: Context) -> _Known:
        columns = recorded(self.records, learners, context)
        preference = Preference.learn(self.records, columns) if columns else None
        first = [self.records.strategies[j] for j in columns]
        candidates = first if self.closed else unique([*first, *built_in(learners)])
        tree = TreeDistribution(tree_for(learners, context))
        candidates = [
            s
            for s in candidates
            if s.selection.get("kind") in selections_for(context.kind, context.has_order) and not s.init
        ]
        points = tree.points([s.to_point() for s in candidates])
        raw = tree.start(np.random.default_rng(0))
        return _Known(learners, costs, tree, raw, tuple(candidates), points, preference)

    def _raw(self, known: _Known, context: Context) -> Array:
        """Returns ``(K,)`` raw numbers before this task has taught anything."""
        if len(known.raw):
            return known.raw
        assert self.learned is not None
        g = self.learned.g
        raw = np.array(g.map(self.learned.meta, context_vector(context)[None] if g.context_size else g.no_context)[0])
        for name, allowed in (
            ("learner", set(known.learners)),
            ("selection.kind", set(selections_for(context.kind, context.has_order))),
            ("init.kind", {"scratch", "remembered"} if context.initial else {"scratch"}),
        ):
            parameter = g.space.parameters.get(name)
            if isinstance(parameter, Categorical):
                off = [i for i, choice in enumerate(parameter.choices) if choice not in allowed]
                raw[g.slices[name].start + np.array(off, int)] = -1e3
        return raw

    def _moved(self, known: _Known, raw: Array, context: Context) -> Array:
        """Returns ``(K,)`` raw numbers after one policy-gradient step with the trials of this task."""
        told = [t for t in context.history if self._is_point(known, t.strategy)]
        if len(told) < 2:
            return raw
        scores = np.array([-np.inf if t.score is None else t.score for t in told])
        below = (scores[:, None] > scores[None, :]).sum(axis=1) + 0.5 * (scores[:, None] == scores[None, :]).sum(axis=1)
        advantages = leave_one_out(2 * below[None] / len(told) - 1)[0]
        points = known.tree.points([t.strategy.to_point(known.tree.space) for t in told])
        rows = np.repeat(raw[None], len(told), axis=0)
        scored = grad(lambda r: (advantages * known.tree.log_prob_of(r, points)).sum())(rows)
        return np.asarray(raw + STEP * scored.sum(axis=0) / np.sqrt(len(told)))

    def _is_point(self, known: _Known, strategy: Strategy) -> bool:
        try:
            known.tree.space.validate(strategy.to_point(known.tree.space))
        except UsageError:
            return False
        return strategy.learner in known.learners

    def _among_candidates(
        self, known: _Known, raw: Array, context: Context, rng: np.random.Generator
    ) -> Proposal | None:
        """Draws one of the candidates that are left and fit the time."""
        gone = taken(context)
        left = np.array([i for i, s in enumerate(known.candidates) if s not in gone], int)
        median_s, needed_s = trial_seconds(known.costs, [known.candidates[i] for i in left], context)
        for share in (SHARE, 1.0):
            fits = np.flatnonzero(affordable(needed_s, context, share))
            if len(fits):
                logits = self._logits(known, raw, context)[left[fits]]
                chances = np.exp(logits - logits.max())
                chances /= chances.sum()
                i = int(rng.choice(len(fits), p=chances))
                reason = f"drawn from g with probability {chances[i]:.2g}; {median_s[fits[i]]:.2g} s"
                seconds = float(median_s[fits[i]])
                return self._proposal(known.candidates[left[fits[i]]], float(np.log(chances[i])), seconds, reason)
        return None

    def _logits(self, known: _Known, raw: Array, context: Context) -> Array:
        """Returns ``(P,)`` log-weights: what other tasks taught, and what this one changed."""
        n = len(known.candidates)
        moved, start = (
            np.asarray(known.tree.log_prob_of(np.repeat(r[None], n, axis=0), known.points)) for r in (raw, known.raw)
        )
        if known.preference is None:
            return np.asarray(moved - start - 0.2 * np.arange(n))
        learned, tried = known.preference.log_probs(context), {t.strategy for t in context.history}
        left = learned[[s not in tried for s in known.preference.columns]]
        untried = np.full(n - len(learned), np.quantile(left, 0.25) if len(left) else 0.0)
        return np.asarray(np.concatenate([learned, untried]) + moved - start)

    def _from_tree(self, known: _Known, raw: Array, context: Context, rng: np.random.Generator) -> Proposal | None:
        """Draws from the whole tree something new that fits the time."""
        if self.closed:
            return None
        gone, tree = taken(context), TreeDistribution(known.tree.space)
        for _ in range(ATTEMPTS):
            points = tree.draw(raw, tree.no_context, rng.random((1, tree.n_uniforms)))
            strategy = _feasible(Strategy.from_point(points.configurations[0]), known, context)
            if strategy in gone or not is_candidate(strategy, known.learners, context):
                continue
            median_s, needed_s = trial_seconds(known.costs, [strategy], context)
            if affordable(needed_s, context, 1.0)[0]:
                log_prob = float(tree.log_prob(raw, tree.no_context, points)[0])
                seconds = float(median_s[0])
                return self._proposal(strategy, log_prob, seconds, f"drawn from g's tree; {seconds:.2g} s")
        return None

    def _proposal(self, strategy: Strategy, log_prob: float, seconds: float, reason: str) -> Proposal:
        return Proposal(strategy, log_prob, self.name, self.version, predicted_cost_s=seconds, reason=reason)


def _feasible(drawn: Strategy, known: _Known, context: Context) -> Strategy:
    """Returns what was drawn as it can be carried out with the weights that are remembered here."""
    learner = known.learners.get(drawn.learner)
    return drawn if learner is None else beginning(drawn, context.initial, learner)


def _learners_of(g: TreeDistribution) -> set[object]:
    parameter = g.space.parameters.get("learner")
    return set(parameter.choices) if isinstance(parameter, Categorical) else set()


def _context_of(records: Records, row: int) -> Context:
    """Returns a recorded task as a context."""
    rows, features, classes = (int(x) for x in records.shapes[row])
    return Context(
        records.tasks[row], records.kind, "table", "", rows, features, classes, records.meta_features[row], ()
    )
