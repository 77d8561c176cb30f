"""Ridge regression on very many columns; how strong it is, and how sure, is found by leaving each row out.

With few rows that is worth more than a search: all rows are trained on, and the residual of a row that was left out
follows from one decomposition, for every strength at once. Class scores become probabilities as ``softmax(log prior +
t f)``, t for the least log-loss of the rows left out, mixed with a little of the prior, so that no row is certain.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray

STRENGTHS: Final = 10.0 ** np.arange(-3, 2.01, 0.5)
"""Tried, as shares of the mean squared length of a row."""
SHARPNESSES: Final = np.geomspace(0.05, 50.0, 40)
"""Tried, as factors of the class scores."""
CLIP: Final = 8.0
"""Standardised values are kept within this."""

_LEAST: Final = 1e-10


@dataclass(frozen=True, eq=False)
class Ridge:
    """Is a fitted linear model of K outputs.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> matrix = rng.normal(size=(60, 200))
        >>> ridge = Ridge.fit(matrix, matrix[:, 0] > 0, n_classes=2)
        >>> ridge.predict(matrix[:2]).shape, bool(0.4 < ridge.loss < 0.69)
        ((2, 2), True)

    Args:
        centre, scale: ``(F,)`` subtracted from the columns, and multiplied with; 0 for a column without variance.
        coefficients: ``(F, K)``.
        offset: ``(K,)``.
        prior: ``(K,)`` class frequencies; empty for regression.
        sharpness: What class scores are multiplied with.
        doubt: Share of the prior in every probability.
        loss: Log-loss, or mean squared error, of the rows left out.
    """

    centre: Array
    scale: Array
    coefficients: Array
    offset: Array
    prior: Array
    sharpness: Array
    doubt: Array
    loss: Array

    @staticmethod
    def fit(matrix: Array, target: Array, n_classes: int, weights: Array | None = None) -> Ridge:
        """Fits it, and finds its strength and sharpness.

        Args:
            matrix: ``(S, F)`` finite numbers.
            target: ``(S,)`` codes of K classes that all occur, or values.
            n_classes: K, or 0 for regression.
            weights: ``(S,)`` positive row weights, or None.
        """
        mass = np.ones(len(target)) if weights is None else weights / weights.mean()
        centre, scale = _scaling(matrix, mass)
        x = _scaled(matrix, centre, scale)
        y = np.eye(n_classes)[target.astype(int)] if n_classes else target.astype(float)[:, None]
        middle, mean = np.average(x, axis=0, weights=mass), np.average(y, axis=0, weights=mass)
        root = np.sqrt(mass)[:, None]
        x, y = root * (x - middle), root * (y - mean)
        values, vectors = _decompose(x)
        unit = max(float(np.sum(x**2)) / len(x), _LEAST)
        prior = (mean * len(x) + 0.5) / (len(x) + 0.5 * n_classes) if n_classes else np.empty(0)
        doubt = 1.0 / (len(x) + 1.0)
        best = (np.inf, 0.0, 1.0)
        for strength in STRENGTHS * unit:
            left_out = y - _residuals(strength, y, values, vectors, mass)
            if n_classes:
                loss, sharpness = _sharpest(left_out / root, prior, doubt, target, mass)
            else:
                loss, sharpness = float(np.mean((y - left_out) ** 2)), 1.0
            best = min(best, (loss, strength, sharpness))
        loss, strength, sharpness = best
        coefficients = x.T @ (vectors @ (vectors.T @ y / (values + strength)[:, None]))
        offset = (0.0 if n_classes else mean) - middle @ coefficients
        arrays = (np.array(a) for a in (sharpness, doubt, loss))
        return Ridge(centre, scale, coefficients, offset, prior, *arrays)

    def predict(self, matrix: Array) -> Array:
        """Returns ``(N, K)`` probabilities, or ``(N,)`` values.

        Args:
            matrix: ``(N, F)`` finite numbers.
        """
        scores = _scaled(matrix, self.centre, self.scale) @ self.coefficients + self.offset
        return _probabilities(scores, self.prior, self.sharpness, self.doubt) if len(self.prior) else scores[:, 0]

    def to_arrays(self) -> dict[str, Array]:
        """Returns the model as arrays by name."""
        return asdict(self)

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array]) -> Ridge:
        """Builds a model from what `to_arrays` returned; other names are left.

        Raises:
            KeyError, ValueError: If something is missing, or of another shape.
        """
        found = Ridge(**{name: arrays[name] for name in Ridge.__dataclass_fields__})
        n_columns, n_outputs = found.coefficients.shape
        if not found.centre.shape == found.scale.shape == (n_columns,) or found.offset.shape != (n_outputs,):
            raise ValueError("the shapes of a linear model do not agree")
        if found.prior.shape not in ((n_outputs,), (0,)):
            raise ValueError("a linear model has another number of classes than of outputs")
        return found


def _scaling(matrix: Array, mass: Array) -> tuple[Array, Array]:
    """Returns the weighted mean of each column, and one over its deviation."""
    centre = np.average(matrix, axis=0, weights=mass).astype(float)
    deviation = np.sqrt(np.average((matrix - centre) ** 2, axis=0, weights=mass))
    constant = deviation <= 1e-6 * np.abs(centre) + 1e-12
    return centre, np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))


def _scaled(matrix: Array, centre: Array, scale: Array) -> Array:
    return np.asarray(np.clip((matrix - centre) * scale, -CLIP, CLIP))


def _decompose(x: Array) -> tuple[Array, Array]:
    """Returns the squared singular values that are not zero, ``(R,)``, and the left vectors, ``(S, R)``."""
    is_wide = x.shape[0] <= x.shape[1]
    values, vectors = np.linalg.eigh(x @ x.T if is_wide else x.T @ x)
    kept = values > _LEAST * max(float(values[-1]), _LEAST)
    values, vectors = values[kept], vectors[:, kept]
    return values, vectors if is_wide else x @ vectors / np.sqrt(values)


def _residuals(strength: float, y: Array, values: Array, vectors: Array, mass: Array) -> Array:
    """Returns ``(S, K)`` how far each row is from what the others, and not it, predict for it."""
    kept = values / (values + strength)
    own = (vectors**2) @ kept + mass / len(mass)  # the share that a row has in its own prediction
    return np.asarray((y - vectors @ (kept[:, None] * (vectors.T @ y))) / np.clip(1 - own, 1e-6, None)[:, None])


def _probabilities(scores: Array, prior: Array, sharpness: Array | float, doubt: Array | float) -> Array:
    logits = np.log(prior) + sharpness * scores
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray((1 - doubt) * powers / powers.sum(axis=1, keepdims=True) + doubt * prior)


def _sharpest(scores: Array, prior: Array, doubt: float, target: Array, mass: Array) -> tuple[float, float]:
    """Returns the least log-loss, and the sharpness that has it; it falls and then rises, so that halving finds it."""

    def loss(i: int) -> float:
        return _log_loss(_probabilities(scores, prior, SHARPNESSES[i], doubt), target, mass)

    least = bisect_left(range(len(SHARPNESSES) - 1), True, key=lambda i: loss(i) <= loss(i + 1))
    return loss(least), float(SHARPNESSES[least])


def _log_loss(probabilities: Array, target: Array, mass: Array) -> float:
    likelihood = probabilities[np.arange(len(target)), target.astype(int)]
    return -float(np.average(np.log(np.maximum(likelihood, 1e-300)), weights=mass))
