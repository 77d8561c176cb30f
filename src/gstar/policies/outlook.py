"""What meta-features say of a new task before anything was tried on it: its factors.

A kernel ridge from standardised meta-features to the factors of the recorded tasks. It is
used only if it predicts the factors of tasks of other families better than zero does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray

RIDGES: Final = (0.3, 1.0, 3.0, 10.0, 30.0)
MIN_TASKS: Final = 10
MAX_TASKS: Final = 400
"""Of more recorded tasks so many are taken, evenly spaced: the work grows with the cube of their number."""
NEEDED_GAIN: Final = 0.02
"""Meta-features are used only if they lower the held-out squared error by this share."""


@dataclass(frozen=True, eq=False)
class Outlook:
    """Predicts the factors of a task from its meta-features.

    Args:
        centre, width: ``(M,)`` constants of standardisation.
        tasks: ``(T, M)`` standardised meta-features of the recorded tasks.
        dual: ``(T, K)`` weights; None if meta-features do not help, and zero is predicted.
        linear: Whether the kernel is linear and not Gaussian.
        covariance: ``(K, K)`` of the factors around the prediction.
        gain: Share of the held-out squared error that the prediction saves.
    """

    centre: Array
    width: Array
    tasks: Array
    dual: Array | None
    linear: bool
    covariance: Array
    gain: float

    def predict(self, meta_features: Array) -> Array:
        """Returns the expected factors ``(K,)`` of a task with meta-features ``(M,)``."""
        if self.dual is None or len(meta_features) != len(self.centre):
            return np.zeros(len(self.covariance))
        new = standardise(meta_features[None, :], self.centre, self.width)
        return np.asarray((_kernel(new, self.tasks, self.linear) @ self.dual)[0])


def fit_outlook(meta_features: Array, factors: Array, spread: Array, families: Sequence[str], metric: Array) -> Outlook:
    """Chooses kernel and ridge by leaving families out, in closed form.

    Args:
        meta_features: ``(T, M)``.
        factors: ``(T, K)`` posterior means.
        spread: ``(K, K)`` mean posterior covariance.
        families: T names.
        metric: ``(K, K)`` how much an error of the factors matters for the scores.
    """
    if len(factors) > MAX_TASKS:
        some = np.linspace(0, len(factors) - 1, MAX_TASKS).astype(int)
        meta_features, factors, families = meta_features[some], factors[some], [families[i] for i in some]
    t, k = factors.shape
    usable = t >= MIN_TASKS and k > 0 and meta_features.shape[1] > 0
    centre = np.median(meta_features, axis=0) if t else np.zeros(meta_features.shape[1])
    width = np.std(meta_features, axis=0) if t else np.ones(meta_features.shape[1])
    tasks = standardise(meta_features, centre, width)
    plain = Outlook(centre, width, tasks, None, True, np.eye(k), 0.0)
    if not usable:
        return plain
    base = float(np.einsum("tk,kl,tl->", factors, metric, factors))
    best: tuple[float, Outlook] = (base * (1 - NEEDED_GAIN), plain)
    groups: dict[str, list[int]] = {}
    for i, family in enumerate(families):
        groups.setdefault(family, []).append(i)
    for linear in (True, False):
        values, vectors = np.linalg.eigh(_kernel(tasks, tasks, linear))
        values = np.maximum(values, 0.0)
        for ridge in RIDGES:
            error = _left_out(vectors, values / (values + ridge), factors, list(groups.values()))
            loss = float(np.einsum("tk,kl,tl->", error, metric, error))
            if loss < best[0]:
                dual = (vectors / (values + ridge)) @ (vectors.T @ factors)
                covariance = (error.T @ error + np.eye(k)) / (t + 1) + spread
                best = (loss, Outlook(centre, width, tasks, dual, linear, covariance, 1 - loss / max(base, 1e-300)))
    return best[1]


def standardise(meta_features: Array, centre: Array, width: Array) -> Array:
    """Returns meta-features on a common scale, held within 3 widths; constant ones are 0."""
    safe = np.where(width > 1e-12, width, 1.0)
    return np.asarray(np.clip((meta_features - centre) / safe, -3, 3) * (width > 1e-12))


def _left_out(vectors: Array, shares: Array, factors: Array, groups: Sequence[Sequence[int]]) -> Array:
    """Returns ``(T, K)`` errors, each task predicted without its family.

    The hat matrix is vectors diag(shares) vectors'; no more of it is made than what stands within a family.
    """
    rest: Array = factors - vectors @ (shares[:, None] * (vectors.T @ factors))
    error: Array = rest / (1 - vectors**2 @ shares)[:, None]
    for rows in groups:
        if len(rows) > 1:
            own = vectors[rows]
            error[rows] = np.linalg.solve(np.eye(len(rows)) - (own * shares) @ own.T, rest[rows])
    return error


def _kernel(left: Array, right: Array, linear: bool) -> Array:
    if linear:
        return np.asarray(left @ right.T / left.shape[1])
    distance = np.sum(left**2, 1)[:, None] + np.sum(right**2, 1)[None, :] - 2 * left @ right.T
    return np.asarray(np.exp(-0.5 * np.maximum(distance, 0.0) / left.shape[1]))
