"""Heads of one kind, computed together: one pass of array operations for all of them.

`raw` is always all ``(T, K)`` raw numbers of a distribution, of which each stack reads its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from gstar.distribution import truncated
from gstar.distribution.heads import AbstractHead, CategoricalHead, FixedHead, IntegerHead, RealHead, location_and_scale
from gstar.distribution.points import Points
from gstar.distribution.segments import firsts, log_shares, mean_log_ratio, spread
from gstar.distribution.truncated import Differentiable, Powers

Array: TypeAlias = np.ndarray
Head = TypeVar("Head", bound=AbstractHead)


@dataclass(frozen=True, eq=False)
class AbstractStack(ABC, Generic[Head]):
    """Is H heads of one kind.

    Args:
        heads: The heads.
        columns: ``(H,)`` their positions among the parameters.
        starts: ``(H,)`` where their raw numbers begin.
    """

    heads: Sequence[Head]
    columns: Array
    starts: Array

    def places_of(self, points: Points) -> tuple[Array, Array, Array, Array]:
        """Returns for the M values in some points the row of the point, the number of the head, and the place."""
        rows, which = np.nonzero(points.on[:, self.columns])
        columns = self.columns[which]
        return rows, which, points.left[rows, columns], points.right[rows, columns]

    @abstractmethod
    def log_prob(
        self, raw: Differentiable, rows: Array | None, which: Array, left: Array, right: Array
    ) -> Differentiable:
        """Returns log-probabilities (densities of real numbers) of M places, each of one of the heads.

        Args:
            raw: Raw numbers.
            rows: ``(M,)`` under which row of the raw numbers; None: under each of them.
            which: ``(M,)`` numbers of the heads.
            left: ``(M,)``, see `AbstractHead.places`.
            right: ``(M,)``.

        Returns:
            ``(M,)``, or ``(T, M)`` under each row.
        """

    @abstractmethod
    def mean_log_ratio(self, raw: Differentiable, other: Differentiable | None, powers: Powers) -> Differentiable:
        """Returns ``(T, H)`` E_p log(p^a / q^b), with q of the other raw numbers; None: q = 1."""


class CategoryStack(AbstractStack[CategoricalHead]):
    """Is categories, all their choices side by side."""

    @cached_property
    def _counts(self) -> Array:
        return np.array([head.size for head in self.heads])

    @cached_property
    def _firsts(self) -> Array:
        return firsts(self._counts)

    @cached_property
    def _numbers(self) -> Array:
        """``(V,)`` where the raw numbers of all choices stand."""
        return np.concatenate([start + np.arange(n) for start, n in zip(self.starts, self._counts, strict=True)])

    def _log_probs(self, raw: Differentiable) -> Differentiable:
        return log_shares(raw[:, self._numbers], self._counts)

    def log_prob(
        self, raw: Differentiable, rows: Array | None, which: Array, left: Array, right: Array
    ) -> Differentiable:
        return _pick(self._log_probs(raw), rows, self._firsts[which] + left.astype(int))

    def mean_log_ratio(self, raw: Differentiable, other: Differentiable | None, powers: Powers) -> Differentiable:
        others = None if other is None else self._log_probs(other)
        return mean_log_ratio(self._log_probs(raw), others, self._counts, powers)


class RealStack(AbstractStack[RealHead]):
    """Is real numbers: all live on the unit interval, and are alike there."""

    def log_prob(
        self, raw: Differentiable, rows: Array | None, which: Array, left: Array, right: Array
    ) -> Differentiable:
        return truncated.log_density(left, *_picked_normal(raw, rows, self.starts[which]))

    def mean_log_ratio(self, raw: Differentiable, other: Differentiable | None, powers: Powers) -> Differentiable:
        others = None if other is None else _picked_normal(other, None, self.starts)
        return truncated.mean_log_ratio(*_picked_normal(raw, None, self.starts), others, powers)


class IntegerStack(AbstractStack[IntegerHead]):
    """Is whole numbers, the values that they are summed over side by side."""

    @cached_property
    def _counts(self) -> Array:
        return np.array([len(head.nodes[1]) for head in self.heads])

    @cached_property
    def _nodes(self) -> tuple[Array, Array, Array]:
        """``(V,)`` left and right edges, and weights."""
        parts = np.concatenate([head.nodes[0] for head in self.heads])
        return parts[:, 0].copy(), parts[:, 1].copy(), np.concatenate([head.nodes[1] for head in self.heads])

    def _log_probs(self, raw: Differentiable) -> Differentiable:
        normal = _picked_normal(raw, None, self.starts)
        location, scale, whole = (spread(x, self._counts) for x in (*normal, truncated.log_whole(*normal)))
        left, right, _ = self._nodes
        return truncated.log_interval((left - location) / scale, (right - location) / scale) - whole

    def log_prob(
        self, raw: Differentiable, rows: Array | None, which: Array, left: Array, right: Array
    ) -> Differentiable:
        return truncated.log_mass(left, right, *_picked_normal(raw, rows, self.starts[which]))

    def mean_log_ratio(self, raw: Differentiable, other: Differentiable | None, powers: Powers) -> Differentiable:
        others = None if other is None else self._log_probs(other)
        return mean_log_ratio(self._log_probs(raw), others, self._counts, powers, self._nodes[2])


class FixedStack(AbstractStack[FixedHead]):
    """Is numbers with one value; their raw numbers change nothing."""

    def log_prob(
        self, raw: Differentiable, rows: Array | None, which: Array, left: Array, right: Array
    ) -> Differentiable:
        return 0.0 * _pick(raw, rows, self.starts[which])

    def mean_log_ratio(self, raw: Differentiable, other: Differentiable | None, powers: Powers) -> Differentiable:
        return 0.0 * (raw if other is None else raw - other)[:, self.starts]


_STACKS = {CategoricalHead: CategoryStack, RealHead: RealStack, IntegerHead: IntegerStack, FixedHead: FixedStack}


def stacks_of(heads: Sequence[AbstractHead], starts: Array) -> tuple[AbstractStack[AbstractHead], ...]:
    """Returns the heads by their kind.

    Args:
        heads: H heads.
        starts: ``(H,)`` where their raw numbers begin.
    """
    found: dict[type[AbstractHead], list[int]] = {}
    for j, head in enumerate(heads):
        found.setdefault(type(head), []).append(j)
    return tuple(_STACKS[kind]([heads[j] for j in js], np.array(js), starts[js]) for kind, js in found.items())


def _pick(array: Differentiable, rows: Array | None, columns: Array) -> Differentiable:
    return array[:, columns] if rows is None else array[rows, columns]


def _picked_normal(raw: Differentiable, rows: Array | None, starts: Array) -> tuple[Differentiable, Differentiable]:
    """Returns locations and scales whose raw numbers begin there."""
    return location_and_scale(_pick(raw, rows, starts), _pick(raw, rows, starts + 1))
