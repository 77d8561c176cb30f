"""What g sees of a task, as a few numbers of similar size.

All are centred and scaled by constants, never by the tasks at hand, so that a g that was learned
elsewhere reads them the same way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np

from gstar.inputs import FORMS
from gstar.metafeatures import NAMES as META_FEATURES
from gstar.metric import TaskKind
from gstar.policy import Context

Array: TypeAlias = np.ndarray

UNKNOWN_BUDGET_S: Final = 30.0
"""Seconds per trial that are assumed where the budget is a number of trials."""
SHOWN: Final[Mapping[str, tuple[float, float]]] = {
    "landmark_linear": (0.5, 0.3),
    "landmark_nearest": (0.5, 0.3),
    "landmark_neighbours": (0.5, 0.3),
    "landmark_tree": (0.5, 0.3),
    "landmark_curvature": (0.0, 0.3),
    "landmark_patterns": (0.5, 0.3),
    "landmark_spread": (0.5, 0.3),
    "class_entropy": (0.7, 0.3),
    "first_component": (0.3, 0.3),
    "missing_share": (0.05, 0.1),
    "share_categories": (0.2, 0.4),
}
"""Meta-features that are shown as they are: name to centre and scale."""

NAMES: Final = (
    *(f"is_{form}" for form in FORMS),
    *(f"is_{kind}" for kind in TaskKind),
    "log_rows",
    "log_features",
    "log_classes",
    "log_seconds",
    "log_cores",
    *SHOWN,
)
"""The numbers in a context vector, in their order."""

_PLACES: Final = {name: META_FEATURES.index(name) for name in SHOWN}


def context_vector(context: Context) -> Array:
    """Returns ``(X,)`` the numbers of `NAMES`, all between -3 and 3; a meta-feature that is not there counts 0."""
    log = math.log10
    budget_s = UNKNOWN_BUDGET_S if context.budget_left_s is None else max(context.budget_left_s, 0.01)
    values = [
        *(float(context.form == form) for form in FORMS),
        *(float(context.kind is kind) for kind in TaskKind),
        log(max(1, context.n_rows)) - 3.0,
        log(max(1, context.n_features)) - 1.5,
        log(max(1, context.n_classes)),
        log(budget_s) - 1.5,
        log(max(1, context.cores)),
    ]
    for name, (centre, scale) in SHOWN.items():
        place = _PLACES[name]
        known = place < len(context.meta_features)
        values.append((float(context.meta_features[place]) - centre) / scale if known else 0.0)
    return np.asarray(np.clip(values, -3.0, 3.0))
