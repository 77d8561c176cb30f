"""One learned distribution for each kind of parameter of a space.

A head turns a few raw numbers, any at all, into a distribution: logits of a category; location
and scale of a normal cut to the unit interval, on which a number lives along its own scale. An
integer takes the mass of the part that rounds to it, so its probability is exact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import autograd.numpy as anp
import numpy as np

from gstar.distribution import truncated
from gstar.distribution.truncated import Differentiable
from gstar.errors import UsageError
from gstar.space import Categorical, Integer, Parameter, Real, Scalar

Array: TypeAlias = np.ndarray

LOCATION_REACH: Final = 1.0
"""Locations lie in the open interval (0.5 - reach, 0.5 + reach): an edge can be preferred strongly."""
SCALES: Final = (0.01, 1.0)
"""The least and the largest scale, in units of the parameter's whole range."""

GAUSS: Final = 12
"""Points that stand for a block of neighbouring whole numbers where all are summed over."""
BLOCK: Final = 5 * SCALES[0]
"""The largest breadth of such a block."""


class AbstractHead(ABC):
    """Is the distribution of one parameter, given ``(N, size)`` raw numbers."""

    size: int
    """How many raw numbers it takes."""

    @property
    @abstractmethod
    def kind(self) -> Hashable:
        """Heads of one kind compute the same of the same raw numbers and places, and are computed together."""

    @abstractmethod
    def log_prob(self, raw: Differentiable, left: Array, right: Array) -> Differentiable:
        """Returns ``(N,)`` log-probabilities (density for a real number) of places; see `places`."""

    @abstractmethod
    def entropy(self, raw: Differentiable) -> Differentiable:
        """Returns ``(N,)`` entropies in nats."""

    @abstractmethod
    def kl(self, raw: Differentiable, other: Differentiable) -> Differentiable:
        """Returns ``(N,)`` divergences from the first to the other."""

    @abstractmethod
    def fisher(self, raw: Array) -> Array:
        """Returns ``(N, size, size)`` covariances of the gradient of the log-probability: the Hessians of `kl`."""

    @abstractmethod
    def draw(self, raw: Array, uniform: Array) -> list[Scalar]:
        """Returns N values, a monotone function of ``(N,)`` uniform numbers."""

    @abstractmethod
    def mode(self, raw: Array) -> list[Scalar]:
        """Returns the N most probable values."""

    @abstractmethod
    def places(self, value: Scalar) -> tuple[float, float]:
        """Returns what `log_prob` needs of a value: an index, a place, or the edges of a part."""

    @abstractmethod
    def raw_of(self, value: Scalar, spread: float) -> Array:
        """Returns ``(size,)`` raw numbers around a value: their mode, except for broad integers on a log scale.

        Args:
            value: Where to start.
            spread: 1 is as broad as possible, near 0 as narrow.
        """

    @abstractmethod
    def broad(self, spread: float) -> Array:
        """Returns ``(size,)`` raw numbers without a preference; numbers have this scale around the middle."""

    @abstractmethod
    def cells(self, n: int) -> list[Scalar]:
        """Returns values that stand for equal parts of the range, at most n of a number."""


@dataclass(frozen=True)
class CategoricalHead(AbstractHead):
    """Is a softmax over the choices."""

    parameter: Categorical

    @property
    def size(self) -> int:  # type: ignore[override]
        """One logit per choice."""
        return len(self.parameter.choices)

    @property
    def kind(self) -> Hashable:
        """As many choices."""
        return "categorical", self.size

    def log_probs(self, raw: Differentiable) -> Differentiable:
        """Returns ``(N, choices)`` log-probabilities."""
        shifted = raw - anp.max(raw, axis=1, keepdims=True)
        return shifted - anp.log(anp.sum(anp.exp(shifted), axis=1, keepdims=True))

    def log_prob(self, raw: Differentiable, left: Array, right: Array) -> Differentiable:
        return self.log_probs(raw)[np.arange(len(left)), left.astype(int)]

    def entropy(self, raw: Differentiable) -> Differentiable:
        log_probs = self.log_probs(raw)
        return -anp.sum(anp.exp(log_probs) * log_probs, axis=1)

    def kl(self, raw: Differentiable, other: Differentiable) -> Differentiable:
        log_probs = self.log_probs(raw)
        return anp.sum(anp.exp(log_probs) * (log_probs - self.log_probs(other)), axis=1)

    def fisher(self, raw: Array) -> Array:
        p = np.exp(self.log_probs(raw))
        return np.asarray(p[:, :, None] * (np.eye(self.size) - p[:, None, :]))

    def draw(self, raw: Array, uniform: Array) -> list[Scalar]:
        shares = np.cumsum(np.exp(self.log_probs(raw)), axis=1)
        below = (uniform[:, None] * shares[:, -1:] >= shares).sum(axis=1)
        return [self.parameter.choices[min(i, self.size - 1)] for i in below]

    def mode(self, raw: Array) -> list[Scalar]:
        return [self.parameter.choices[i] for i in np.argmax(raw, axis=1)]

    def places(self, value: Scalar) -> tuple[float, float]:
        index = float(self.parameter.index(value))
        return index, index

    def raw_of(self, value: Scalar, spread: float) -> Array:
        logits = np.zeros(self.size)
        logits[self.parameter.index(value)] = (1 - spread) * 5.0
        return logits

    def broad(self, spread: float) -> Array:
        return np.zeros(self.size)

    def cells(self, n: int) -> list[Scalar]:
        return list(self.parameter.choices)


def _gauss(n: int) -> tuple[Array, Array]:
    """Returns points and weights that sum polynomials over 0, 1, ..., n - 1 exactly, up to the degree 2 `GAUSS` - 1.

    References:
        Golub, Welsch: Calculation of Gauss quadrature rules (1969), with the recurrence of the discrete Chebyshev
        polynomials, https://doi.org/10.1090/S0025-5718-69-99647-1
    """
    if n <= GAUSS:
        return np.arange(n, dtype=float), np.ones(n)
    j = np.arange(1, GAUSS)
    off = np.sqrt(j**2 * (n**2 - j**2) / (4.0 * (4 * j**2 - 1)))
    places, vectors = np.linalg.eigh(np.diag(off, 1) + np.diag(off, -1))
    return (n - 1) / 2 + places, n * vectors[0] ** 2


def location_and_scale(raw: Differentiable) -> tuple[Differentiable, Differentiable]:
    """Returns ``(N,)`` locations and scales on the unit interval of ``(N, 2)`` raw numbers."""
    low, high = np.log(SCALES)
    location = 0.5 + LOCATION_REACH * anp.tanh(raw[:, 0])
    return location, anp.exp(low + (high - low) * 0.5 * (1 + anp.tanh(0.5 * raw[:, 1])))


def _to_raw(fisher: Array, raw: Array) -> Array:
    """Turns ``(N, 2, 2)`` matrices for location and scale into those for their raw numbers."""
    scale = location_and_scale(raw)[1]
    slopes = np.stack(
        [
            LOCATION_REACH * (1 - np.tanh(raw[:, 0]) ** 2),
            scale * np.log(SCALES[1] / SCALES[0]) * 0.25 * (1 - np.tanh(0.5 * raw[:, 1]) ** 2),
        ],
        axis=1,
    )
    return np.asarray(slopes[:, :, None] * fisher * slopes[:, None, :])


def _raw_of_place(place: float, spread: float) -> Array:
    low, high = np.log(SCALES)
    share = np.clip((np.log(max(spread, SCALES[0])) - low) / (high - low), 0.02, 0.98)
    return np.array([np.arctanh((place - 0.5) / LOCATION_REACH), np.log(share / (1 - share))])


@dataclass(frozen=True)
class RealHead(AbstractHead):
    """Is a truncated normal along the parameter's scale; densities are on the unit interval."""

    parameter: Real
    size: int = 2

    @property
    def kind(self) -> Hashable:
        """All real numbers, since all live on the unit interval."""
        return "real"

    def log_prob(self, raw: Differentiable, left: Array, right: Array) -> Differentiable:
        return truncated.log_density(left, *location_and_scale(raw))

    def entropy(self, raw: Differentiable) -> Differentiable:
        return truncated.entropy(*location_and_scale(raw))

    def kl(self, raw: Differentiable, other: Differentiable) -> Differentiable:
        return truncated.kl(*location_and_scale(raw), *location_and_scale(other))

    def fisher(self, raw: Array) -> Array:
        return _to_raw(truncated.fisher(*location_and_scale(raw)), raw)

    def draw(self, raw: Array, uniform: Array) -> list[Scalar]:
        return [self.parameter.from_unit(float(u)) for u in truncated.quantile(uniform, *location_and_scale(raw))]

    def mode(self, raw: Array) -> list[Scalar]:
        return [self.parameter.from_unit(float(u)) for u in np.clip(location_and_scale(raw)[0], 0.0, 1.0)]

    def places(self, value: Scalar) -> tuple[float, float]:
        assert isinstance(value, int | float)
        place = self.parameter.to_unit(float(value))
        return place, place

    def raw_of(self, value: Scalar, spread: float) -> Array:
        return _raw_of_place(self.places(value)[0], spread)

    def broad(self, spread: float) -> Array:
        return _raw_of_place(0.5, spread)

    def cells(self, n: int) -> list[Scalar]:
        return [self.parameter.from_unit((i + 0.5) / n) for i in range(n)]


@dataclass(frozen=True)
class IntegerHead(AbstractHead):
    """Is a truncated normal along the parameter's scale, rounded; probabilities are exact."""

    parameter: Integer
    size: int = 2

    @property
    def kind(self) -> Hashable:
        """The same values on the same scale."""
        return "integer", self.parameter.low, self.parameter.high, self.parameter.log

    @cached_property
    def edges(self) -> Array:
        """``(V, 2)`` parts of the unit interval, one for each value."""
        return np.array([self.parameter.edges(v) for v in range(self.parameter.low, self.parameter.high + 1)])

    @cached_property
    def nodes(self) -> tuple[Array, Array]:
        """``(M, 2)`` parts and ``(M,)`` weights whose weighted sums are those over all V values, within 1e-9.

        What is summed is smooth along the scale, so that a block of neighbouring values, a few of the least scales
        broad, is summed by a few Gauss points. Towards both ends blocks shrink to single values: there all of the
        mass may lie in a small part of the least scale.
        """
        values, weights, at, n = [], [], 0, len(self.edges)
        while at < n:
            fit = int(np.searchsorted(self.edges[:, 1], self.edges[at, 0] + BLOCK)) - at
            block = max(1, min(fit, at, (n - at) // 2))
            places, shares = _gauss(block)
            values.append(self.parameter.low + at + places)
            weights.append(shares)
            at += block
        return np.array([self.parameter.edges(v) for v in np.concatenate(values)]), np.concatenate(weights)

    def log_probs(self, raw: Differentiable, parts: Array) -> Differentiable:
        """Returns ``(N, V)`` log-probabilities of V parts of the unit interval."""
        location, scale = (x[:, None] for x in location_and_scale(raw))
        return truncated.log_mass(parts[None, :, 0], parts[None, :, 1], location, scale)

    def log_prob(self, raw: Differentiable, left: Array, right: Array) -> Differentiable:
        return truncated.log_mass(left, right, *location_and_scale(raw))

    def entropy(self, raw: Differentiable) -> Differentiable:
        parts, weights = self.nodes
        log_probs = self.log_probs(raw, parts)
        return -anp.dot(anp.exp(log_probs) * log_probs, weights)

    def kl(self, raw: Differentiable, other: Differentiable) -> Differentiable:
        parts, weights = self.nodes
        log_probs = self.log_probs(raw, parts)
        return anp.dot(anp.exp(log_probs) * (log_probs - self.log_probs(other, parts)), weights)

    def fisher(self, raw: Array) -> Array:
        location, scale = (x[:, None] for x in location_and_scale(raw))
        parts, weights = self.nodes
        scores = truncated.interval_scores(parts[None, :, 0], parts[None, :, 1], location, scale)
        masses = np.exp(self.log_probs(raw, parts)) * weights
        centred = scores - (masses[..., None] * scores).sum(axis=1, keepdims=True)
        return _to_raw(np.einsum("nv,nva,nvb->nab", masses, centred, centred), raw)

    def draw(self, raw: Array, uniform: Array) -> list[Scalar]:
        return [self.parameter.from_unit(float(u)) for u in truncated.quantile(uniform, *location_and_scale(raw))]

    def mode(self, raw: Array) -> list[Scalar]:
        return [self.parameter.low + int(i) for i in np.argmax(self.log_probs(raw, self.edges), axis=1)]

    def places(self, value: Scalar) -> tuple[float, float]:
        assert isinstance(value, int)
        left, right = self.parameter.edges(value)
        return max(0.0, left), min(1.0, right)

    def raw_of(self, value: Scalar, spread: float) -> Array:
        assert isinstance(value, int)
        return _raw_of_place(self.parameter.to_unit(value), spread)

    def broad(self, spread: float) -> Array:
        return _raw_of_place(0.5, spread)

    def cells(self, n: int) -> list[Scalar]:
        values = range(self.parameter.low, self.parameter.high + 1)
        if len(values) <= n:
            return list(values)
        return list(dict.fromkeys(self.parameter.from_unit((i + 0.5) / n) for i in range(n)))


@dataclass(frozen=True)
class FixedHead(AbstractHead):
    """Is a number with one value; its raw number changes nothing."""

    parameter: Real | Integer
    size: int = 1

    @property
    def kind(self) -> Hashable:
        """All that cannot change."""
        return "fixed"

    def log_prob(self, raw: Differentiable, left: Array, right: Array) -> Differentiable:
        return 0.0 * raw[:, 0]

    def entropy(self, raw: Differentiable) -> Differentiable:
        return 0.0 * raw[:, 0]

    def kl(self, raw: Differentiable, other: Differentiable) -> Differentiable:
        return 0.0 * (raw[:, 0] - other[:, 0])

    def fisher(self, raw: Array) -> Array:
        return np.zeros((len(raw), 1, 1))

    def draw(self, raw: Array, uniform: Array) -> list[Scalar]:
        return [self.parameter.low] * len(raw)

    def mode(self, raw: Array) -> list[Scalar]:
        return [self.parameter.low] * len(raw)

    def places(self, value: Scalar) -> tuple[float, float]:
        return 0.0, 1.0

    def raw_of(self, value: Scalar, spread: float) -> Array:
        return np.zeros(1)

    def broad(self, spread: float) -> Array:
        return np.zeros(1)

    def cells(self, n: int) -> list[Scalar]:
        return [self.parameter.low]


def head_of(parameter: Parameter) -> AbstractHead:
    """Returns the head that fits a parameter.

    Raises:
        UsageError: If it is of a kind that has none.
    """
    if isinstance(parameter, Categorical):
        return CategoricalHead(parameter)
    if isinstance(parameter, Real | Integer) and parameter.low == parameter.high:
        return FixedHead(parameter)
    if isinstance(parameter, Real):
        return RealHead(parameter)
    if isinstance(parameter, Integer):
        return IntegerHead(parameter)
    raise UsageError(f"Expected a categorical, real or integer parameter, got {parameter!r}.")


def mass_of(head: AbstractHead, raw: Differentiable, values: Sequence[Scalar]) -> Differentiable:
    """Returns ``(N,)`` probabilities that the value is one of some values; 0 for single real numbers."""
    if isinstance(head, CategoricalHead):
        chosen = np.zeros(head.size)
        chosen[[head.parameter.index(v) for v in values]] = 1.0
        return anp.dot(anp.exp(head.log_probs(raw)), chosen)
    total = 0.0 * raw[:, 0]
    if isinstance(head, RealHead):
        return total
    for value in values:
        left, right = (np.full(len(raw), x) for x in head.places(value))
        total = total + anp.exp(head.log_prob(raw, left, right))
    return total
