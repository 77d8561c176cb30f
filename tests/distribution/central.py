"""Central differences, to check gradients against."""

from collections.abc import Callable

import numpy as np


def central(function: Callable[[np.ndarray], float], at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Returns ``(W,)`` the gradient of a scalar function, by central differences."""
    sides = [(function(at + step * e), function(at - step * e)) for e in np.eye(len(at))]
    return np.array([(plus - minus) / (2 * step) for plus, minus in sides])
