"""The distribution g over a tree of strategies, given a context.

The tree is walked parents first; a parameter that is off contributes nothing, neither to the
log-probability nor to entropy and divergence:

    log g(s) = sum_{j on in s} log g_j(s_j)
    H(g)     = sum_j P(j is on) H(g_j)
    KL(g|h)  = sum_j P_g(j is on) KL(g_j|h_j)

All three are exact, because a head does not depend on the values of other parameters, only
on whether it is on. What depends on the context is all of it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import autograd.numpy as anp
import numpy as np

from gstar.distribution.base import AbstractDistribution, rows_of
from gstar.distribution.heads import AbstractHead, RealHead, head_of
from gstar.distribution.maps import ContextMap
from gstar.distribution.points import Points
from gstar.distribution.segments import sum_by
from gstar.distribution.stacks import AbstractStack, stacks_of
from gstar.distribution.truncated import Differentiable, Powers
from gstar.errors import UsageError
from gstar.space import Condition, Configuration, Real, Scalar, Space

Array: TypeAlias = np.ndarray

MAX_CELLS: Final = 20_000
"""Beyond so many points a tree is too large to be enumerated."""


@dataclass(frozen=True, eq=False)
class TreeDistribution(AbstractDistribution):
    """Is g over all points of a space.

    Args:
        space: The tree; `Strategy.from_point` makes strategies of its points if it is a strategy space.
        context_size: X; 0: free numbers, the same for every task.
        hidden: Width of the network that reads the context; 0: linear.
        cells: Into how many parts `enumerate` cuts a number.

    Example:
        >>> from gstar.space import Categorical, Condition, Space
        >>> space = Space({"kernel": Categorical(("linear", "rbf")), "gamma": Real(0.01, 10.0, log=True)},
        ...               {"gamma": Condition("kernel", ("rbf",))})
        >>> g = TreeDistribution(space)
        >>> meta = g.start(np.random.default_rng(0))
        >>> float(np.exp(g.log_prob(meta, g.no_context, g.points([{"kernel": "linear"}]))[0]))
        0.5
    """

    space: Space
    context_size: int = 0
    hidden: int = 0
    cells: int = 32

    @cached_property
    def heads(self) -> Mapping[str, AbstractHead]:
        """One head per parameter."""
        return {name: head_of(parameter) for name, parameter in self.space.parameters.items()}

    @cached_property
    def slices(self) -> Mapping[str, slice]:
        """Where the raw numbers of each parameter stand."""
        ends = list(itertools.accumulate(head.size for head in self.heads.values()))
        return {n: slice(end - self.heads[n].size, end) for n, end in zip(self.heads, ends, strict=True)}

    @cached_property
    def map(self) -> ContextMap:
        """How meta-parameters and contexts become raw numbers."""
        return ContextMap(sum(h.size for h in self.heads.values()), self.context_size, self.hidden)

    @property
    def size(self) -> int:
        """The number of meta-parameters W."""
        return self.map.size

    @cached_property
    def fingerprint(self) -> str:
        described = json.dumps([self.space.to_json(), self.context_size, self.hidden])
        return hashlib.sha256(described.encode()).hexdigest()[:16]

    @property
    def no_context(self) -> Array:
        """``(1, X)`` zeros: the one context there is for free numbers, the average one for standardised contexts."""
        return np.zeros((1, self.context_size))

    def start(self, rng: np.random.Generator, *, at: Mapping[str, Scalar] | None = None, spread: float = 0.5) -> Array:
        at = at or {}
        raw = [h.raw_of(at[name], spread) if name in at else h.broad(spread) for name, h in self.heads.items()]
        return self.map.start(np.concatenate(raw), rng)

    def points(self, configurations: Sequence[Mapping[str, Scalar]]) -> Points:
        return Points.of(self.space, self.heads, configurations)

    @property
    def n_uniforms(self) -> int:
        """One per parameter."""
        return len(self.heads)

    @cached_property
    def _stacks(self) -> tuple[AbstractStack[AbstractHead], ...]:
        return stacks_of(list(self.heads.values()), np.array([self.slices[name].start for name in self.heads]))

    def draw(self, meta: Array, contexts: Array, uniforms: Array) -> Points:
        raw = self.map(meta, contexts)
        rows = rows_of(contexts, len(uniforms))
        found: list[Configuration] = [{} for _ in uniforms]
        for j, (name, head) in enumerate(self.heads.items()):
            condition = self.space.conditions.get(name)
            on = [i for i, c in enumerate(found) if condition is None or condition.holds(c)]
            if on:
                for i, value in zip(on, head.draw(raw[rows[on], self.slices[name]], uniforms[on, j]), strict=True):
                    found[i][name] = value
        return self.points(found)

    def log_prob(self, meta: Differentiable, contexts: Array, points: Points) -> Differentiable:
        return self._log_prob(self.map(meta, contexts), rows_of(contexts, len(points)), points)

    def log_prob_of(self, raw: Differentiable, points: Points) -> Differentiable:
        """Returns ``(N,)`` log-probabilities of N points, given ``(N, K)`` raw numbers, one row for each."""
        return self._log_prob(raw, np.arange(len(points)), points)

    def _log_prob(self, raw: Differentiable, at: Array, points: Points) -> Differentiable:
        """Returns ``(N,)`` log-probabilities, where `at` is the row of `raw` that belongs to each point."""
        total = np.zeros(len(points))
        for stack in self._stacks:
            rows, *places = stack.places_of(points)
            if len(rows):
                total = total + sum_by(stack.log_prob(raw, at[rows], *places), rows, len(points))
        return total

    def log_probs(self, meta: Differentiable, contexts: Array, points: Points) -> Differentiable:
        """Returns ``(T, N)`` log-probabilities of every point under every context."""
        raw, n = self.map(meta, contexts), len(points)
        cells = np.arange(len(contexts))[:, None] * n
        total = np.zeros(len(contexts) * n)
        for stack in self._stacks:
            rows, *places = stack.places_of(points)
            if len(rows):
                values = anp.ravel(stack.log_prob(raw, None, *places))
                total = total + sum_by(values, (cells + rows).ravel(), len(total))
        return anp.reshape(total, (len(contexts), n))

    def chances(self, raw: Differentiable) -> Mapping[str, Differentiable]:
        """Returns ``(T,)`` probabilities that each parameter is on."""
        columns = self._chances(raw)
        return {name: columns[:, i] for name, i in self._whens.items()}

    @cached_property
    def _whens(self) -> Mapping[str, int]:
        """Number of the condition of each parameter, where equal ones share a number and 0 is to be always on."""
        numbers = {repr(None): 0}
        return {name: numbers.setdefault(repr(self.space.conditions.get(name)), len(numbers)) for name in self.heads}

    @cached_property
    def _conditions(self) -> tuple[Condition, ...]:
        """The conditions in the order of their numbers, from 1."""
        return tuple({i: self.space.conditions[name] for name, i in self._whens.items() if i}.values())

    @cached_property
    def _parents(self) -> Array:
        """``(C,)`` number of the condition of the parent of each condition."""
        return np.array([0, *(self._whens[c.parent] for c in self._conditions)])

    @cached_property
    def _depth(self) -> int:
        """How many conditions stand one below another."""
        depths = [0]
        for parent in self._parents[1:]:
            depths.append(depths[parent] + 1)
        return max(depths)

    @cached_property
    def _asked(self) -> tuple[tuple[AbstractStack[AbstractHead], list[Array], Array], ...]:
        """Stacks with the M places that conditions ask about, and ``(M, C)`` which condition asks.

        Those that ask for single real numbers are left out: they never hold.
        """
        asked = [(i + 1, c.parent, v) for i, c in enumerate(self._conditions) for v in c.values]
        asked = [each for each in asked if not isinstance(self.heads[each[1]], RealHead)]
        points = self.points([{parent: value} for _, parent, value in asked])
        found = []
        for stack in self._stacks:
            rows, *places = stack.places_of(points)
            if len(rows):
                numbers = np.array([i for i, *_ in asked])[rows]
                found.append((stack, places, np.eye(len(self._parents))[numbers]))
        return tuple(found)

    def _chances(self, raw: Differentiable) -> Differentiable:
        """Returns ``(T, C)`` the probability that each condition holds, and all above it."""
        masses = np.tile(np.eye(1, len(self._parents)), (len(raw), 1))
        for stack, places, asks in self._asked:
            masses = masses + anp.dot(anp.exp(stack.log_prob(raw, None, *places)), asks)
        chances = masses
        for _ in range(1, self._depth):
            chances = masses * chances[:, self._parents]
        return chances

    def mean_log_ratio(
        self, meta: Differentiable, other: Differentiable | None, contexts: Array, *, powers: Powers
    ) -> Differentiable:
        raw, others = self.map(meta, contexts), None if other is None else self.map(other, contexts)
        whens = np.array(list(self._whens.values()))[np.concatenate([stack.columns for stack in self._stacks])]
        values = anp.concatenate([stack.mean_log_ratio(raw, others, powers) for stack in self._stacks], axis=1)
        return anp.sum(self._chances(raw)[:, whens] * values, axis=1)

    def fisher(self, meta: Array, contexts: Array) -> Array:
        contexts = contexts if self.context_size else self.no_context
        raw, jacobian = self.map(meta, contexts), self.map.jacobian(meta, contexts)
        chances, total = self.chances(raw), np.zeros((self.size, self.size))
        for name, head in self.heads.items():
            part = jacobian[:, self.slices[name]]
            block = chances[name][:, None, None] * head.fisher(raw[:, self.slices[name]])
            total += np.einsum("tka,tkb->ab", part, block @ part)
        return total / len(contexts)

    def mode(self, meta: Array, contexts: Array) -> Points:
        raw = self.map(meta, contexts)
        columns = {name: head.mode(raw[:, self.slices[name]]) for name, head in self.heads.items()}
        return self.points(
            [self.space.build(lambda name, _, i=i: columns[name][i]) for i in range(len(contexts))]  # type: ignore[misc]
        )

    def enumerate(self) -> tuple[Points, Array]:
        found = list(itertools.islice(self._walk({}, list(self.heads), 0.0), MAX_CELLS + 1))
        if len(found) > MAX_CELLS:
            raise UsageError(
                f"Expected a tree of at most {MAX_CELLS} cells to enumerate, got more; "
                "take fewer cells or a sampled gradient."
            )
        return self.points([configuration for configuration, _ in found]), np.array([size for _, size in found])

    def _walk(self, so_far: Configuration, names: list[str], log_size: float) -> Iterator[tuple[Configuration, float]]:
        """Yields all cells below a partial configuration, with the log-size of their real parts."""
        if not names:
            yield so_far, log_size
            return
        name, rest = names[0], names[1:]
        condition = self.space.conditions.get(name)
        if condition is not None and not condition.holds(so_far):
            yield from self._walk(so_far, rest, log_size)
            return
        values = self.heads[name].cells(self.cells)
        cell = -np.log(len(values)) if isinstance(self.space.parameters[name], Real) else 0.0
        for value in values:
            yield from self._walk({**so_far, name: value}, rest, log_size + cell)
