"""What all learners do with targets and predictions: absent classes, scales, rows that sum to one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np

from gstar.space import Scalar

Array: TypeAlias = np.ndarray

FLOOR = 1e-7


def full_probabilities(probabilities: Array, classes: Array, n_classes: int) -> Array:
    """Returns probabilities with a column for every class of the task.

    Args:
        probabilities: ``(N, K)`` of the classes that were among the rows.
        classes: ``(K,)`` their codes.
        n_classes: C.

    Returns:
        ``(N, C)`` float64, positive, rows summing to 1.
    """
    full = np.full((len(probabilities), n_classes), FLOOR)
    full[:, np.asarray(classes, int)] = np.clip(probabilities, FLOOR, None)
    return np.asarray(full / full.sum(axis=1, keepdims=True))


def compact(target: Array) -> tuple[Array, Array]:
    """Returns the class codes that occur, and the target renumbered to them."""
    classes, renumbered = np.unique(np.asarray(target, int), return_inverse=True)
    return classes, renumbered


@dataclass(frozen=True)
class TargetScale:
    """Is how a regression target is moved and bent before training.

    Args:
        centre, scale: Subtracted and divided by, after the logarithm if there is one.
        shift: Added before the logarithm; None: no logarithm.
        low, high: Predictions stay within these bounds.
    """

    centre: float
    scale: float
    shift: float | None
    low: float
    high: float

    @staticmethod
    def fit(target: Array, choice: Scalar, weights: Array | None = None) -> TargetScale:
        """Fits a scale; ``"log"`` bends only a target that is positive and skewed, ``"none"`` leaves it."""
        low, high = float(np.min(target)), float(np.max(target))
        margin = 0.5 * (high - low)
        shift = None
        bent = np.asarray(target, float)
        if choice == "log" and low >= 0 and high > 10 * max(float(np.median(target)), 1e-300):
            shift = 1.0 if low < 1e-9 else 0.0
            bent = np.log(bent + shift)
        if choice == "none":
            return TargetScale(0.0, 1.0, None, -np.inf, np.inf)
        centre = float(np.average(bent, weights=weights))
        scale = float(np.sqrt(np.average((bent - centre) ** 2, weights=weights)))
        return TargetScale(centre, scale if scale > 0 else 1.0, shift, low - margin, high + margin)

    def forward(self, target: Array) -> Array:
        """Returns ``(S,)`` the target as it is trained on."""
        bent = np.asarray(target, float)
        if self.shift is not None:
            bent = np.log(bent + self.shift)
        return (bent - self.centre) / self.scale

    def backward(self, prediction: Array) -> Array:
        """Returns ``(N,)`` predictions on the target's own scale, within its bounds."""
        value = np.asarray(prediction, float) * self.scale + self.centre
        if self.shift is not None:
            value = np.exp(np.clip(value, -700, 700)) - self.shift
        return np.clip(value, self.low, self.high)

    def dump(self) -> bytes:
        """Returns the scale as JSON bytes."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def parse(content: bytes) -> TargetScale:
        """Builds a scale from what `dump` returned."""
        return TargetScale(**json.loads(content))
