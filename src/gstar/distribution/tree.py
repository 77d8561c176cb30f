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

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np

from gstar.distribution.base import AbstractDistribution, rows_of
from gstar.distribution.heads import AbstractHead, head_of, mass_of
from gstar.distribution.maps import ContextMap
from gstar.distribution.points import Points
from gstar.distribution.truncated import Differentiable
from gstar.errors import UsageError
from gstar.space import Configuration, Real, Scalar, Space

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

    def draw(self, meta: Array, contexts: Array, uniforms: Array) -> Points:
        raw = self.map(meta, contexts)
        rows = rows_of(contexts, len(uniforms))
        columns = {
            name: head.draw(raw[rows, self.slices[name]], uniforms[:, j])
            for j, (name, head) in enumerate(self.heads.items())
        }
        return self.points(
            [self.space.build(lambda name, _, i=i: columns[name][i]) for i in range(len(uniforms))]  # type: ignore[misc]
        )

    def log_prob(self, meta: Differentiable, contexts: Array, points: Points) -> Differentiable:
        raw = self.map(meta, contexts)
        return self.log_prob_of(raw if len(raw) == len(points) else raw[rows_of(contexts, len(points))], points)

    def log_prob_of(self, raw: Differentiable, points: Points) -> Differentiable:
        """Returns ``(N,)`` log-probabilities of N points, given ``(N, K)`` raw numbers, one row for each."""
        total = 0.0 * raw[:, 0]
        for j, (name, head) in enumerate(self.heads.items()):
            log_prob = head.log_prob(raw[:, self.slices[name]], points.left[:, j], points.right[:, j])
            total = total + points.on[:, j] * log_prob
        return total

    def chances(self, raw: Differentiable) -> Mapping[str, Differentiable]:
        """Returns ``(T,)`` probabilities that each parameter is on."""
        found: dict[str, Differentiable] = {}
        for name in self.heads:
            condition = self.space.conditions.get(name)
            if condition is None:
                found[name] = np.ones(len(raw))
            else:
                parent = condition.parent
                mass = mass_of(self.heads[parent], raw[:, self.slices[parent]], condition.values)
                found[name] = found[parent] * mass
        return found

    def entropy(self, meta: Differentiable, contexts: Array) -> Differentiable:
        raw = self.map(meta, contexts)
        chances = self.chances(raw)
        return sum(chances[name] * head.entropy(raw[:, self.slices[name]]) for name, head in self.heads.items())

    def kl(self, meta: Differentiable, other: Differentiable, contexts: Array) -> Differentiable:
        raw, other_raw = self.map(meta, contexts), self.map(other, contexts)
        chances = self.chances(raw)
        return sum(
            chances[name] * head.kl(raw[:, self.slices[name]], other_raw[:, self.slices[name]])
            for name, head in self.heads.items()
        )

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
