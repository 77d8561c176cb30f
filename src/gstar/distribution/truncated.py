r"""The normal distribution cut to the unit interval: what a number of a strategy is drawn from.

With location mu and scale sigma, and a = (0 - mu) / sigma, b = (1 - mu) / sigma, the density is

    p(u) = exp(-(u - mu)^2 / (2 sigma^2)) / (sigma sqrt(2 pi) Z),   Z = Phi(b) - Phi(a)

on a log scale of the parameter this is a truncated log-normal. All functions are differentiable
by `autograd`, broadcast, and stay exact far out in the tails, where Z underflows.

References:
    Burkardt: The truncated normal distribution (2014),
    https://people.sc.fsu.edu/~jburkardt/presentations/truncated_normal.pdf
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive
from autograd.numpy.numpy_vjps import unbroadcast_f
from scipy import special

Array: TypeAlias = np.ndarray
Differentiable: TypeAlias = Any
"""An array, or the box that `autograd` puts around one."""
Powers: TypeAlias = tuple[float, float]
"""The powers (a, b) of a mean log-ratio E_p log(p^a / q^b): (-1, 0) for an entropy, (1, 1) for a divergence."""

_HALF_LOG_2PI: Final = 0.5 * math.log(2 * math.pi)


@primitive  # type: ignore[untyped-decorator]
def log_interval(a: Array, b: Array) -> Array:
    """Returns log(Phi(b) - Phi(a)) for a < b, in the tail where it can be told apart from 0."""
    flipped = a + b > 0
    low, high = np.where(flipped, -b, a), np.where(flipped, -a, b)
    log_low, log_high = special.log_ndtr(low), special.log_ndtr(high)
    result: Array = log_high + np.log(-np.expm1(log_low - log_high))
    return result


def _edge_density(edge: Differentiable, log_mass: Differentiable) -> Differentiable:
    """Returns the normal density at an edge of an interval, as a share of the interval's mass."""
    return anp.exp(-0.5 * edge * edge - _HALF_LOG_2PI - log_mass)


defvjp(
    log_interval,
    lambda ans, a, b: unbroadcast_f(a, lambda g: -g * _edge_density(a, ans)),
    lambda ans, a, b: unbroadcast_f(b, lambda g: g * _edge_density(b, ans)),
)


def log_mass(left: Differentiable, right: Differentiable, mu: Differentiable, sigma: Differentiable) -> Differentiable:
    """Returns the log-probability of the part [left, right] of the unit interval."""
    return log_interval((left - mu) / sigma, (right - mu) / sigma) - log_whole(mu, sigma)


def log_whole(mu: Differentiable, sigma: Differentiable) -> Differentiable:
    """Returns log Z, that of the whole unit interval before it is cut."""
    return log_interval(-mu / sigma, (1 - mu) / sigma)


def log_density(u: Differentiable, mu: Differentiable, sigma: Differentiable) -> Differentiable:
    """Returns the log-density at places of the unit interval."""
    z = (u - mu) / sigma
    return -0.5 * z * z - _HALF_LOG_2PI - anp.log(sigma) - log_whole(mu, sigma)


def quantile(uniform: Array, mu: Array, sigma: Array) -> Array:
    """Returns the places below which the given shares of the mass lie: draws, if the shares are uniform."""
    a, b = -mu / sigma, (1 - mu) / sigma
    flipped = a + b > 0
    low, high = np.where(flipped, -b, a), np.where(flipped, -a, b)
    share = np.clip(np.where(flipped, 1 - uniform, uniform), 1e-16, 1 - 1e-16)
    log_low, log_high = special.log_ndtr(low), special.log_ndtr(high)
    log_place = log_high + np.log(share + (1 - share) * np.exp(log_low - log_high))
    z = special.ndtri_exp(log_place)
    places: Array = np.clip(mu + sigma * np.where(flipped, -z, z), 0.0, 1.0)
    return places


def moments(mu: Differentiable, sigma: Differentiable) -> tuple[Differentiable, Differentiable]:
    """Returns the mean and the variance."""
    a, b = -mu / sigma, (1 - mu) / sigma
    log_z = log_interval(a, b)
    at_a, at_b = _edge_density(a, log_z), _edge_density(b, log_z)
    shift = at_a - at_b
    return mu + sigma * shift, sigma**2 * (1 + a * at_a - b * at_b - shift**2)


def mean_log_ratio(
    mu: Differentiable,
    sigma: Differentiable,
    other: tuple[Differentiable, Differentiable] | None,
    powers: Powers,
) -> Differentiable:
    """Returns E_p log(p^a / q^b), q of another location and scale; None: q = 1. Entropies are differential."""
    mean, variance = moments(mu, sigma)
    own = powers[0] * _mean_log_density(mean, variance, mu, sigma)
    return own if other is None else own - powers[1] * _mean_log_density(mean, variance, *other)


def fisher(mu: Array, sigma: Array) -> Array:
    """Returns ``(N, 2, 2)`` covariances of the derivatives of the log-density by location and scale.

    With z = (u - mu) / sigma they are z / sigma and z^2 / sigma, up to constants: moments of z up to the fourth,
    by partial integration E z^k = (k - 1) E z^(k-2) + (a^(k-1) p(a) - b^(k-1) p(b)).
    """
    a, b = -mu / sigma, (1 - mu) / sigma
    log_z = log_interval(a, b)
    at_a, at_b = _edge_density(a, log_z), _edge_density(b, log_z)
    m = [np.ones_like(a), at_a - at_b]
    for k in (2, 3, 4):
        m.append((k - 1) * m[k - 2] + a ** (k - 1) * at_a - b ** (k - 1) * at_b)
    mixed = m[3] - m[1] * m[2]
    rows = [np.stack([m[2] - m[1] ** 2, mixed], axis=-1), np.stack([mixed, m[4] - m[2] ** 2], axis=-1)]
    return np.asarray(np.stack(rows, axis=-1) / np.asarray(sigma)[..., None, None] ** 2)


def interval_scores(left: Array, right: Array, mu: Array, sigma: Array) -> Array:
    """Returns ``(..., 2)`` derivatives by location and scale of log(Phi(b) - Phi(a)) for the parts [left, right]."""
    a, b = (left - mu) / sigma, (right - mu) / sigma
    log_z = log_interval(a, b)
    at_a, at_b = _edge_density(a, log_z), _edge_density(b, log_z)
    return np.asarray(np.stack([(at_a - at_b) / sigma, (a * at_a - b * at_b) / sigma], axis=-1))


def _mean_log_density(
    mean: Differentiable, variance: Differentiable, mu: Differentiable, sigma: Differentiable
) -> Differentiable:
    """Returns E[log p(u; mu, sigma)] over a u with this mean and variance."""
    square = variance + (mean - mu) ** 2
    return -0.5 * square / sigma**2 - _HALF_LOG_2PI - anp.log(sigma) - log_whole(mu, sigma)
