"""The strategies of `meta_training.py`: some that are known to work, in many ways, and some drawn from a space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from meta_tasks import short

from gstar.learner import get_learner
from gstar.policies.candidates import make_strategy
from gstar.policies.sampling import Draw
from gstar.space import Categorical, Integer, Parameter, Space
from gstar.strategy import SCHEDULE_SPACE, Strategy, strategy_space

DRAWN = 36
"""Strategies per form that are drawn from its space."""
LEARNERS = {
    "images": ("cnn", "flat_mlp", "flat_linear", "flat_lightgbm"),
    "sequences": ("cnn", "rnn", "flat_mlp", "flat_linear", "flat_lightgbm"),
    "table": ("linear", "lightgbm", "extra_trees", "kernel", "mlp"),
}
LATER = {"sequences": ("rocket",), "table": ("kernel_ridge",)}
"""Learners that came after strategies were drawn and tried: as many are drawn of each as of each of the others."""
NARROWED: Mapping[str, Parameter] = {
    "epochs": Integer(8, 32, log=True, default=15),
    "rounds": Integer(50, 500, log=True, default=200),
    "leaves": Integer(4, 64, log=True, default=24),
    "trees": Integer(50, 150, log=True, default=120),
}
"""Parameters that are narrower than the package's, as there are many small tasks."""
WIDEST, DEEPEST = 64, 3
PLAIN_FLAT = {"flat_linear": ({}, {"strength": 1.0}), "flat_lightgbm": ({}, {"leaves": 8, "rate": 0.05})}
OTHERS = {
    "images": {"flat_mlp": ({},), **PLAIN_FLAT},
    "sequences": {**PLAIN_FLAT, "rocket": ({}, {"kernels": 300}, {"differences": False}, {"kernels": 2000})},
    "table": {
        "linear": ({}, {"strength": 1.0}, {"numbers": "spline", "strength": 0.1}),
        "lightgbm": ({}, {"leaves": 8, "rate": 0.05}, {"extra": True, "leaves": 64, "rate": 0.03}),
        "extra_trees": ({}, {"max_features": 1.0, "min_leaf": 2}),
        "kernel": ({}, {"reach": 0.3, "strength": 0.01}),
        "kernel_ridge": ({}, {"kernel": "linear"}, {"kernel": "gaussian"}),
    },
}
"""Learners that are no networks of the form's own kind: what differs from their defaults."""
NETWORKS = {
    "images": {"cnn": ({}, {"depth": 2, "learning_rate": 0.015}, {"augment": "none"}, {"augment": "mirror"})},
    "sequences": {
        "cnn": ({}, {"depth": 2, "augment": "none"}),
        "rnn": ({}, {"cell": "gru", "width": 16, "learning_rate": 0.01}),
    },
    "table": {"mlp": ({}, {"embedding": "periodic", "numbers": "standard", "norm": "layer", "learning_rate": 0.005})},
}
"""Networks: the first configuration is tried in all ways, the others in a few."""
SCHEDULES = {
    "one_cycle": {"kind": "one_cycle", "one_cycle_rise": 0.3},
    "constant": {"kind": "constant"},
    "cosine": {"kind": "cosine", "warm_up": 0.0},
    "warm_up": {"kind": "cosine", "warm_up": 0.25},
    "step": {"kind": "step", "step_factor": 0.3, "step_drops": 2, "warm_up": 0.0},
}
ROWS = {
    "all": {"kind": "all", "pace": "shuffled"},
    "balanced": {"kind": "balanced", "pace": "shuffled"},
    "clean": {"kind": "clean", "clean_fraction": 0.75, "pace": "shuffled"},
    "easy_first": {"kind": "all", "pace": "easy_first"},
    "hard_first": {"kind": "all", "pace": "hard_first"},
    "small_loss": {"kind": "all", "pace": "small_loss", "drop_share": 0.25},
}
WAYS = (
    ("one_cycle", "all"),
    ("constant", "all"),
    ("constant", "clean"),
    ("constant", "small_loss"),
    ("one_cycle", "clean"),
    ("constant", "balanced"),
    ("cosine", "all"),
    ("one_cycle", "easy_first"),
    ("one_cycle", "small_loss"),
    ("one_cycle", "balanced"),
    ("step", "all"),
    ("one_cycle", "hard_first"),
    ("warm_up", "all"),
)
"""Schedule and rows; the first is the default of all networks."""
FEW_WAYS = 2
"""Ways of all configurations but the first."""


def space_for(*names: str) -> Space:
    """Returns the space of some learners' strategies: the package's, without what takes long."""
    learners = {name: get_learner(name) for name in names}
    return strategy_space(
        {name: _narrowed(learner.space) for name, learner in learners.items()},
        scheduled=frozenset(name for name, learner in learners.items() if learner.has_schedule),
        paced=frozenset(name for name, learner in learners.items() if learner.handles_pace),
    )


def _narrowed(space: Space) -> Space:
    return Space({name: _narrower(name, p) for name, p in space.parameters.items()}, space.conditions)


def _narrower(name: str, parameter: Parameter) -> Parameter:
    if name == "width" and isinstance(parameter, Categorical):
        return Categorical(tuple(c for c in parameter.choices if int(c) <= WIDEST), 32)
    if name == "depth" and isinstance(parameter, Integer):
        return replace(parameter, high=min(parameter.high, DEEPEST))
    return NARROWED.get(name, parameter)


def drawn_for(form: str) -> list[Strategy]:
    """Returns strategies as random search draws them: uniformly from the space, rows without an order."""
    found = _drawn(space_for(*LEARNERS[form]), DRAWN, form)
    for name in LATER.get(form, ()):
        found += _drawn(space_for(name), DRAWN // len(LEARNERS[form]), name)
    return found


def _drawn(space: Space, n: int, seed: str) -> list[Strategy]:
    rng, draw = np.random.default_rng([11, len(seed)]), Draw(space)
    found: dict[Strategy, None] = {}
    while len(found) < n:
        strategy = draw.sample(rng)
        if strategy.selection.get("kind") != "recent":
            found[strategy] = None
    return list(found)


def strategies_for(form: str) -> list[Strategy]:
    """Returns what is tried on every task of a form."""
    return list(dict.fromkeys([*known_for(form), *drawn_for(form)]))


def known_for(form: str) -> list[Strategy]:
    """Returns strategies that are known to work, what tells most first."""
    found: list[tuple[int, Strategy]] = []
    for name, changes in OTHERS[form].items():
        for i, change in enumerate(changes):
            learner = get_learner(name)
            given = short(learner, change)
            found.append((3 * i, make_strategy(name, learner, given)))
    for name, changes in NETWORKS[form].items():
        for i, change in enumerate(changes):
            ways = WAYS if i == 0 else WAYS[:FEW_WAYS]
            found += [(2 * i + j, way_of(name, change, *way)) for j, way in enumerate(ways)]
    return list(dict.fromkeys(strategy for _, strategy in sorted(found, key=lambda item: item[0])))


def way_of(name: str, change: dict, schedule: str, rows: str) -> Strategy:
    """Returns a network's configuration with this schedule and these rows."""
    learner = get_learner(name)
    strategy = make_strategy(name, learner, short(learner, change))
    return replace(strategy, schedule=SCHEDULE_SPACE.complete(SCHEDULES[schedule]), selection=dict(ROWS[rows]))
