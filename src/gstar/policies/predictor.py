r"""The empirical-Bayes Gaussian over strategies: what other tasks and this one say of an untried strategy.

On the common scale of `gstar.policies.scale`, the scores of all strategies on one task are

    z ~ N(mean + loadings f(meta-features),  loadings C loadings' + s s' (r k + (1 - r) 1) )

where mean, loadings and s come from the recorded tasks (`factors`), f and C from the
meta-features of the task (`outlook`), and k is the likeness of the encodings (`kernel`): the part
r of what the factors leave over that like strategies share is measured too. A strategy that was
tried on few tasks, or on none, borrows mean and loadings from those like it, by kriging with
kernel k. With no records at all nothing but the built-in portfolio and k remain.

Raw scores of a new task relate to z by an unknown location a and scale b,

    y = a + b z,      log b ~ N(c0 + c1 log|median y|, d^2)

with a flat prior on a, which is integrated out exactly; b lives on a grid and is weighted by
its likelihood (the same Cholesky factor serves all of the grid). c and d are fitted to the
recorded tasks. Scores far below the middle of the history are moved up first, because one awful
model says nothing of the scale on which the good ones differ. Failed trials are z = -1.

References:
    Feurer, Letham, Hutter, Bakshy: Practical transfer learning for Bayesian optimization (2018),
    https://arxiv.org/abs/1802.02219. Fusi, Sheth, Elibol: Probabilistic matrix factorization for
    automated machine learning (2018), https://arxiv.org/abs/1705.05355.

Differences from the papers: (1) linear factors with a kernel on encodings for what they leave
over, so that strategies never recorded can be ranked; (2) scores are normalised and the
normalisation of the new task is inferred; (3) meta-features are used only if they help on held-out families.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from gstar.policies.factors import PRIOR_VARIANCE, choose_factors
from gstar.policies.kernel import Codes, likeness, same
from gstar.policies.outlook import fit_outlook
from gstar.policies.scale import FLOOR, normalise

Array: TypeAlias = np.ndarray

OWN_SHARE: Final = 0.3
"""Part of what tells the mean and the loadings of two strategies apart that their encodings do not show."""
NOISE_SHARE: Final = 0.1
"""Part of what the factors leave over that would differ if the same trial were run again."""
PRIOR_LIKENESS: Final = 0.6
"""Part of it that like strategies share, while there are few records; counts as 5 tasks."""
TOP_BUILT_IN: Final = 0.9
STEP_BUILT_IN: Final = 0.03
"""The built-in portfolio counts as one task on which its strategies scored 0.9, 0.87, 0.84, ..."""
WINSOR: Final = 4.0
"""Scores further below the median than this times the distance from median to best are moved up to there."""
N_KEPT: Final = 5
"""A candidate is redundant if it is like one of the best so many in hand."""
_GRID: Final = 31
_MIN_PAIRS: Final = 5


@dataclass(frozen=True, eq=False)
class Profiles:
    """Is what other tasks say of P strategies.

    Args:
        codes: The strategies.
        mean: ``(P,)`` on the common scale.
        loadings: ``(P, K)``.
        deviation: ``(P,)`` of what the factors leave over.
    """

    codes: Codes
    mean: Array
    loadings: Array
    deviation: Array

    def joined(self, other: Profiles) -> Profiles:
        """Returns these strategies and the others behind them."""
        return Profiles(
            self.codes.joined(other.codes),
            np.concatenate([self.mean, other.mean]),
            np.concatenate([self.loadings, other.loadings]),
            np.concatenate([self.deviation, other.deviation]),
        )

    def take(self, rows: Array) -> Profiles:
        """Returns the strategies at these positions."""
        return Profiles(self.codes.take(rows), self.mean[rows], self.loadings[rows], self.deviation[rows])


@dataclass(frozen=True, eq=False)
class Belief:
    """Is what is believed of C candidates on one task, on the common scale.

    Args:
        weights: ``(B,)`` probabilities of B scales of the task.
        means: ``(B, C)`` expected scores under each.
        deviation: ``(C,)`` given the scale.
        incumbent: ``(B,)`` expected score of the best so far, running ones included; -1 while there is none.
        redundancy: ``(C,)`` in [0, 1]: how alike a candidate is to the best so far.
        noise: Deviation of a validation score around the true one.
        factors: ``(K,)`` expected factors of the task.
    """

    weights: Array
    means: Array
    deviation: Array
    incumbent: Array
    redundancy: Array
    noise: float
    factors: Array

    @property
    def mean(self) -> Array:
        """``(C,)`` expected scores."""
        return np.asarray(self.weights @ self.means)

    @property
    def total_deviation(self) -> Array:
        """``(C,)`` deviations, the unknown scale included."""
        return np.asarray(np.sqrt(self.deviation**2 + self.weights @ (self.means - self.mean) ** 2))

    def expected_improvement(self, bonus: float) -> Array:
        """Returns ``(C,)`` expected gain over the best so far.

        Args:
            bonus: Worth, on the common scale, of a candidate that is not alike to the best so far: what a
                model that errs elsewhere adds to an ensemble although it is no better itself.
        """
        from scipy.special import ndtr

        gain = self.means + bonus * (1 - self.redundancy) - self.incumbent[:, None]
        spread = np.maximum(self.deviation, 1e-9)
        u = gain / spread
        improvement = gain * ndtr(u) + spread * np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)
        return np.asarray(self.weights @ np.maximum(improvement, 0.0))


class Predictor:
    """Learns from the recorded tasks, once; predicts for one task after the other.

    Args:
        codes: P strategies: the recorded ones, then the rest of the built-in portfolio.
        scores: ``(T, P)`` raw scores, NaN where none.
        failures: ``(T, P)`` trials that did not complete.
        built_in: Columns of the built-in portfolio, best first.
        meta_features: ``(T, M)``.
        families: T names, none empty; tasks of one family are held out together.

    Attributes:
        values: ``(T, P)`` normalised scores.
        factors: ``(T, K)`` factors of the recorded tasks; `metric` ``(K, K)`` says how much they matter.
        outlook: What meta-features say of the factors.
        shared: Part of what the factors leave over that like strategies share, in [0, 1].
    """

    def __init__(
        self,
        codes: Codes,
        scores: Array,
        failures: Array,
        *,
        built_in: Sequence[int],
        meta_features: Array,
        families: Sequence[str],
    ) -> None:
        normalised = normalise(scores, failures)
        self.values = normalised.values  # (T, P)
        newcomer = np.full((1, len(codes)), np.nan)
        newcomer[0, list(built_in)] = np.maximum(TOP_BUILT_IN - STEP_BUILT_IN * np.arange(len(built_in)), FLOOR)
        table = np.concatenate([self.values, newcomer])
        self._model = choose_factors(table, [*families, "built-in"])
        self._codes = codes
        self._counts = np.isfinite(table).sum(axis=0)
        self._like = likeness(codes, codes)
        self._index = {int(code): j for j, code in enumerate(codes.identity)}
        self.shared = self._measure_likeness(table)
        self._krige()
        self.factors, spread = self._model.posterior(self.values)  # (T, K)
        loadings = self._model.loadings
        self.metric = loadings.T @ loadings / max(1, len(loadings))
        self.outlook = fit_outlook(
            meta_features, self.factors, spread.mean(axis=0) if len(spread) else np.eye(0), families, self.metric
        )
        self._scale_prior = fit_scale_prior(normalised.location, normalised.scale)

    @property
    def rank(self) -> int:
        """The number of factors K."""
        return int(self._model.loadings.shape[1])

    def profiles(self, codes: Codes) -> Profiles:
        """Returns what the other tasks say of any strategies, recorded or not."""
        near = (1 - OWN_SHARE) * likeness(codes, self._codes) + OWN_SHARE * same(codes, self._codes)
        borrowed = near @ self._dual  # (C, 1 + K)
        explained = np.sum((near @ self._inverse) * near, axis=1)
        own = np.array([self._index.get(int(code), -1) for code in codes.identity], int)
        variance = np.where(own >= 0, self._model.variance[own], self._typical) if len(self._codes) else self._typical
        unexplained = self._amplitude * np.clip(1 - explained, 0.0, 1.0)
        return Profiles(codes, borrowed[:, 0], borrowed[:, 1:], np.sqrt(variance + unexplained))

    def believe(
        self, candidates: Profiles, tried: Profiles, raw: Array, *, meta_features: Array, recalled: int, pending: int
    ) -> Belief:
        """Conditions on what the task has shown so far.

        Args:
            candidates: C strategies.
            tried: Strategies with a result, first those of the running history, then `recalled` ones
                that experience remembers of the same task, then `pending` ones without a result yet.
            raw: ``(n,)`` raw scores of all but the pending ones, NaN for a failed trial.
            meta_features: ``(M,)`` of the task.
            recalled: How many of them are only remembered: they inform, but are not in hand.
            pending: How many are running: they count as if they had scored what is expected of them.
        """
        n = len(raw)
        start = self.outlook.predict(meta_features)
        cross, latent = self._covariance(candidates, tried), self._covariance(tried, tried)
        noise = np.diag(NOISE_SHARE * tried.deviation**2 + 1e-9)
        root = np.linalg.cholesky((latent + noise)[:n, :n])
        expected = tried.mean + tried.loadings @ start
        seen = _locate(raw, root, expected[:n], self._scale_prior)
        gain, gain_tried = _solve(root, cross[:, :n].T).T, _solve(root, latent[:, :n].T).T
        means = candidates.mean + candidates.loadings @ start + seen.moves(gain)  # (B, C)
        at_tried = expected + seen.moves(gain_tried)  # (B, n + pending)
        counts = np.r_[np.isfinite(raw) & (np.arange(n) < n - recalled), np.ones(pending, bool)]
        ranked = np.argsort(-np.where(counts, seen.weights @ at_tried, -np.inf), kind="stable")[: int(counts.sum())]
        explained = np.sum(_solve(np.linalg.cholesky(latent + noise), cross.T) ** 2, axis=0)
        variance = self._own_variance(candidates) - explained
        if len(ranked):
            variance = variance + seen.location_variance(gain - gain_tried[ranked[0]])
        shift = _solve(root, tried.loadings[:n] @ self.outlook.covariance)  # (n, K)
        return Belief(
            seen.weights,
            means,
            np.sqrt(np.maximum(variance, 1e-6)),
            at_tried[:, ranked].max(axis=1) if len(ranked) else np.full(len(means), FLOOR),
            self._redundancy(candidates, cross, latent, ranked[:N_KEPT]),
            float(np.sqrt(NOISE_SHARE * self._typical)),
            start + seen.average @ shift,
        )

    def _measure_likeness(self, table: Array) -> float:
        """Returns the part of what the factors leave over that like strategies share."""
        known = np.isfinite(table)
        factors, _ = self._model.posterior(table)
        rest = np.where(known, table - self._model.mean - factors @ self._model.loadings.T, 0.0)
        rest = rest / np.sqrt(self._model.variance)
        pairs = known.astype(float).T @ known
        usable = (pairs >= _MIN_PAIRS) & ~np.eye(len(pairs), dtype=bool)
        like = np.where(usable, self._like, 0.0)
        weight = float(np.sum(like**2))
        if weight == 0:
            return PRIOR_LIKENESS
        measured = float(np.sum(like * (rest.T @ rest) / np.maximum(pairs, 1))) / weight
        t = len(table)
        return float(np.clip((5 * PRIOR_LIKENESS + t * measured) / (5 + t), 0.0, 1 - 1.5 * NOISE_SHARE))

    def _krige(self) -> None:
        """Prepares borrowing: means and loadings as a smooth function of the encodings."""
        model, tried = self._model, self._counts > 0
        self._typical = float(np.mean(model.variance[tried])) if tried.any() else PRIOR_VARIANCE
        self._amplitude = max(float(np.mean(model.mean[tried] ** 2)), 0.1) if tried.any() else 0.1
        doubt = np.where(tried, self._typical / self._amplitude / np.maximum(self._counts, 1), 1e6)
        own = OWN_SHARE * np.eye(len(doubt)) + np.diag(doubt)
        self._inverse = np.linalg.inv((1 - OWN_SHARE) * self._like + own)
        self._dual = self._inverse @ np.c_[model.mean, model.loadings]

    def _covariance(self, left: Profiles, right: Profiles) -> Array:
        """Covariance of the true scores; what differs between two runs of a trial is left out."""
        shared = self.shared * likeness(left.codes, right.codes)
        own = (1 - self.shared - NOISE_SHARE) * same(left.codes, right.codes)
        rest = left.deviation[:, None] * right.deviation[None, :] * (shared + own)
        return np.asarray(left.loadings @ self.outlook.covariance @ right.loadings.T + rest)

    def _own_variance(self, profiles: Profiles) -> Array:
        common = np.einsum("pk,kl,pl->p", profiles.loadings, self.outlook.covariance, profiles.loadings)
        return np.asarray(common + (1 - NOISE_SHARE) * profiles.deviation**2)

    def _redundancy(self, candidates: Profiles, cross: Array, latent: Array, kept: Array) -> Array:
        """Returns ``(C,)`` the largest correlation of true scores over tasks with a kept strategy."""
        if not len(kept):
            return np.zeros(len(cross))
        deviation = np.sqrt(np.outer(self._own_variance(candidates), np.diag(latent)[kept]))
        return np.asarray(np.clip(cross[:, kept] / np.maximum(deviation, 1e-12), 0.0, 1.0).max(axis=1))


@dataclass(frozen=True, eq=False)
class _Seen:
    """Is what n results say under each of B scales of the task, whitened by the root of their covariance.

    Args:
        weights: ``(B,)`` probabilities of the scales.
        scales: ``(B,)``.
        scaled, fixed: ``(n,)``: scaled / scale + fixed is what was not expected, at the best location.
        ones: ``(n,)`` whitened effect of the location.
    """

    weights: Array
    scales: Array
    scaled: Array
    fixed: Array
    ones: Array

    @property
    def average(self) -> Array:
        """``(n,)`` what was not expected, over all scales."""
        return np.asarray(self.scaled * (self.weights @ (1 / self.scales)) + self.fixed)

    def moves(self, gain: Array) -> Array:
        """Returns ``(B, C)`` by how much expectations of strategies with whitened covariances ``(C, n)`` move."""
        return np.asarray(np.outer(1 / self.scales, gain @ self.scaled) + gain @ self.fixed)

    def location_variance(self, difference: Array) -> Array:
        """Returns ``(C,)`` what not knowing the location adds to the variance of differences."""
        weight = float(self.ones @ self.ones)
        return np.asarray((difference @ self.ones) ** 2 / weight if weight else np.zeros(len(difference)))


def _locate(raw: Array, root: Array, expected: Array, scale_prior: tuple[float, float, float]) -> _Seen:
    """Integrates out the location of a task and weighs its scales."""
    done = np.isfinite(raw)
    failed = _solve(root, np.where(done, 0.0, FLOOR) - expected)
    ones = _solve(root, done.astype(float))
    if not done.any():
        return _Seen(np.ones(1), np.ones(1), np.zeros(len(raw)), failed, ones)
    y = _winsorise(np.where(done, raw, 0.0), done)
    centre, spread = float(np.median(y[done])), float(np.ptp(y[done]))
    c0, c1, d = scale_prior
    typical = c0 + c1 * np.log(abs(centre) + 1e-12)
    logs = typical + d * np.linspace(-4, 4, _GRID)
    if spread > 0:
        logs = np.union1d(logs, np.log(spread) + np.linspace(-1.5, 1.5, 7))
    centred = _solve(root, np.where(done, y - centre, 0.0))
    scaled, fixed = (x - ones * (ones @ x) / (ones @ ones) for x in (centred, failed))
    rest = np.sum((np.exp(-logs)[:, None] * scaled + fixed) ** 2, axis=1)
    evidence = -(done.sum() - 1) * logs - 0.5 * rest - 0.5 * ((logs - typical) / d) ** 2
    weights = np.exp(evidence - evidence.max()) * np.gradient(logs)
    keep = weights > 1e-6 * weights.max()
    return _Seen(weights[keep] / weights[keep].sum(), np.exp(logs[keep]), scaled, fixed, ones)


def _solve(root: Array, right: Array) -> Array:
    """Returns root^-1 right for a lower triangular root."""
    return np.asarray(np.linalg.solve(root, right)) if len(root) else np.zeros(right.shape)


def _winsorise(y: Array, done: Array) -> Array:
    best, middle = float(np.max(y[done])), float(np.median(y[done]))
    floor = middle - WINSOR * (best - middle)
    return np.where(done & (best > middle), np.maximum(y, floor), y)


def fit_scale_prior(location: Array, scale: Array) -> tuple[float, float, float]:
    """Fits log scale = c0 + c1 log|location| + noise of deviation d to the recorded tasks.

    Weak prior: the scale is about a tenth of the location (c0 = log 0.1, c1 = 1), within a factor of 4 or so.
    """
    usable = np.isfinite(scale) & (scale > 0)
    x = np.c_[np.ones(int(usable.sum())), np.log(np.abs(location[usable]) + 1e-12)]
    c = np.array([np.log(0.1), 1.0])
    rest = np.log(scale[usable]) - x @ c
    c = c + np.linalg.solve(x.T @ x + 2.0 * np.eye(2), x.T @ rest)
    left = np.log(scale[usable]) - x @ c
    d = np.sqrt((np.sum(left**2) + 3 * 1.5**2) / (len(left) + 3))
    return float(c[0]), float(c[1]), float(d)
