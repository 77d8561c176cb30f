"""Meta-features: a vector that says what kind of task this is, from the support rows only.

Each is a small function of a `Support` in one of the modules of this folder, marked with
`meta_feature`; its name is the function's name. To add one, write it there: it is found,
named and checked (always finite) without a second place to change. All work on fixed
subsamples, so that their cost is bounded and the same task always gets the same vector.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np

from gstar.metafeatures import goals, landmarks, moments, relations, sizes
from gstar.metafeatures.support import REGISTRY, Support
from gstar.task import Task

__all__ = ["NAMES", "compute", "goals", "landmarks", "moments", "relations", "sizes"]

Array: TypeAlias = np.ndarray

ADDED: Final = ("landmark_patterns", "landmark_spread")
"""Those of later versions, in the order in which they came: vectors of earlier versions end before them."""

NAMES: Final[tuple[str, ...]] = (*sorted(REGISTRY.keys() - set(ADDED)), *ADDED)
"""The names, in the order of the vector."""

_BOUND: Final = 30.0


def compute(task: Task) -> Array:
    """Returns the ``(M,)`` float64 meta-features of a task, in the order of `NAMES`.

    Example:
        >>> from gstar.reading import make_task
        >>> task = make_task([[1.0], [2.5], [0.5], [7.0]], ["a", "b", "a", "b"])
        >>> dict(zip(NAMES, compute(task).round(2).tolist()))["log_rows"]
        1.39
    """
    support = Support(task)
    with np.errstate(all="ignore"):
        values = np.array([REGISTRY[name](support) for name in NAMES], float)
    return np.asarray(np.clip(np.nan_to_num(values, nan=0.0), -_BOUND, _BOUND))
