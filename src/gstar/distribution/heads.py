"""One learned distribution for each kind of parameter of a space.

A head turns a few raw numbers, any at all, into a distribution: logits of a category; location
and scale of a normal cut to the unit interval, on which a number lives along its own scale. An
integer takes the mass of the part that rounds to it, so its probability is exact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import autograd.numpy as anp
import numpy as np

from gstar.distribution import truncated
from gstar.distribution.segments import log_shares
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

    @abstractmethod
    def fisher(self, raw: Array) -> Array:
        """Returns ``(N, size, size)`` covariances of the log-probability's gradient: Hessians of the divergence."""

    @abstractmethod
    def draw(self, raw: Array, uniform: Array) -> list[Scalar]:
        """Returns N values, a monotone function of ``(N,)`` uniform numbers."""

    @abstractmethod
    def mode(self, raw: Array) -> list[Scalar]:
        """Returns the N most probable values."""

    @abstractmethod
    def places(self, value: Scalar) -> tuple[float, float]:
        """Returns what the log-probability of a value needs: an index, a place, or the edges of a part."""

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

    def log_probs(self, raw: Array) -> Array:
        """Returns ``(N, choices)`` log-probabilities."""
        return np.asarray(log_shares(raw, np.array([self.size])))

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


def location_and_scale(place: Differentiable, width: Differentiable) -> tuple[Differentiable, Differentiable]:
    """Returns locations and scales on the unit interval of their raw numbers, of any shape."""
    low, high = np.log(SCALES)
    location = 0.5 + LOCATION_REACH * anp.tanh(place)
    return location, anp.exp(low + (high - low) * 0.5 * (1 + anp.tanh(0.5 * width)))


def _to_raw(fisher: Array, raw: Array) -> Array:
    """Turns ``(N, 2, 2)`` matrices for location and scale into those for their raw numbers."""
    scale = location_and_scale(*raw.T)[1]
    slopes = np.stack(
        [
            LOCATION_REACH * (1 - np.tanh(raw[..., 0]) ** 2),
            scale * np.log(SCALES[1] / SCALES[0]) * 0.25 * (1 - np.tanh(0.5 * raw[..., 1]) ** 2),
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

    def fisher(self, raw: Array) -> Array:
        return _to_raw(truncated.fisher(*location_and_scale(*raw.T)), raw)

    def draw(self, raw: Array, uniform: Array) -> list[Scalar]:
        return [self.parameter.from_unit(float(u)) for u in truncated.quantile(uniform, *location_and_scale(*raw.T))]

    def mode(self, raw: Array) -> list[Scalar]:
        return [self.parameter.from_unit(float(u)) for u in np.clip(location_and_scale(*raw.T)[0], 0.0, 1.0)]

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

    def log_probs(self, raw: Array, parts: Array) -> Array:
        """Returns ``(N, V)`` log-probabilities of V parts of the unit interval."""
        location, scale = (x[:, None] for x in location_and_scale(*raw.T))
        return np.asarray(truncated.log_mass(parts[None, :, 0], parts[None, :, 1], location, scale))

    def fisher(self, raw: Array) -> Array:
        location, scale = (x[:, None] for x in location_and_scale(*raw.T))
        parts, weights = self.nodes
        scores = truncated.interval_scores(parts[None, :, 0], parts[None, :, 1], location, scale)
        masses = np.exp(self.log_probs(raw, parts)) * weights
        centred = scores - (masses[..., None] * scores).sum(axis=1, keepdims=True)
        return _to_raw(np.einsum("nv,nva,nvb->nab", masses, centred, centred), raw)

    def draw(self, raw: Array, uniform: Array) -> list[Scalar]:
        return [self.parameter.from_unit(float(u)) for u in truncated.quantile(uniform, *location_and_scale(*raw.T))]

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
