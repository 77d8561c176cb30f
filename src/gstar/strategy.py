"""How to learn: learner + configuration + data selection + schedule.

A `Strategy` is the unit that a policy proposes, `run_inner` tries and experience
remembers. `strategy_space` joins the spaces of several learners with those of data
selection, schedule and first weights into one tree, so that one distribution covers all of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from gstar.errors import UsageError
from gstar.space import Categorical, Condition, Configuration, Parameter, Real, Scalar, Space, nest

SELECTION_SPACE: Final = Space(
    {
        "kind": Categorical(("all", "part", "balanced", "clean", "recent")),
        "part_fraction": Real(0.1, 0.9, log=True, default=0.5),
        "clean_fraction": Real(0.7, 0.99, default=0.95),
        "recent_fraction": Real(0.1, 0.9, log=True, default=0.5),
    },
    {
        "part_fraction": Condition("kind", ("part",)),
        "clean_fraction": Condition("kind", ("clean",)),
        "recent_fraction": Condition("kind", ("recent",)),
    },
)
"""Which support rows to train on: all; a stratified part; the classes weighted evenly; without
the rows whose cross-validated loss is suspiciously high; the most recent part (needs an order)."""

PACE_SPACE: Final = Space(
    {
        "pace": Categorical(("shuffled", "easy_first", "hard_first", "small_loss")),
        "drop_share": Real(0.02, 0.5, log=True, default=0.1),
    },
    {"drop_share": Condition("pace", ("small_loss",))},
)
"""In which order the selected rows are shown to a learner that trains by mini-batches: in any; easy
rows first, or hard ones (by their cross-validated loss), until all take part after half of the
training; or in each epoch without the share of rows whose loss is highest."""

PACED_SELECTION_SPACE: Final = Space(
    {**SELECTION_SPACE.parameters, **PACE_SPACE.parameters}, {**SELECTION_SPACE.conditions, **PACE_SPACE.conditions}
)
"""The data selection of learners with `handles_pace`."""

SCHEDULE_SPACE: Final = Space(
    {
        "kind": Categorical(("constant", "decay", "restarts", "cosine", "one_cycle", "step", "schedule_free")),
        "decay_final": Real(0.01, 0.5, log=True, default=0.1),
        "restarts_cycles": Categorical((2, 4, 8), default=4),
        "one_cycle_rise": Real(0.05, 0.5, default=0.3),
        "step_factor": Real(0.1, 0.7, log=True, default=0.3),
        "step_drops": Categorical((1, 2, 3), default=2),
        "warm_up": Real(0.0, 0.3, default=0.05),
    },
    {
        "decay_final": Condition("kind", ("decay",)),
        "restarts_cycles": Condition("kind", ("restarts",)),
        "one_cycle_rise": Condition("kind", ("one_cycle",)),
        "step_factor": Condition("kind", ("step",)),
        "step_drops": Condition("kind", ("step",)),
        "warm_up": Condition("kind", ("cosine", "step", "schedule_free")),
    },
)
"""How the learning rate moves during training, as a factor on the configured rate: constant; an
exponential decay to a final factor; a cosine that restarts (warm restarts); one cosine; one cycle up
and down; drops at even intervals; constant while the weights are averaged (schedule-free; other learners
than networks do not average). `warm_up` is the share of the training over which the rate first rises."""

INIT_SPACE: Final = Space(
    {"kind": Categorical(("scratch", "remembered")), "body": Categorical(("fine_tuned", "frozen"))},
    {"body": Condition("kind", ("remembered",))},
)
"""With which weights a learner with `handles_initial` begins: new ones; or those of the most similar task
that is remembered (see `gstar.weights`), all but the last layer, which are then trained too, or left as they are."""


@dataclass(frozen=True)
class Strategy:
    """Is how to learn a task.

    Args:
        learner: Name of the learner.
        configuration: A point of the learner's space.
        selection: A point of `SELECTION_SPACE`, or of `PACED_SELECTION_SPACE` for a learner with `handles_pace`.
        schedule: A point of `SCHEDULE_SPACE`, or empty for a learner without a learning rate; for
            one with `handles_control` perhaps with ``control``: see `gstar.control.get_controller`.
        init: A point of `INIT_SPACE`; from scratch is written as nothing, so that strategies from before it hold.

    Example:
        >>> a = Strategy("linear", {"alpha": 1.0})
        >>> Strategy.from_json(a.to_json()) == a
        True
        >>> a.hash
        '625bd53ec478010a'
    """

    learner: str
    configuration: Mapping[str, Scalar] = field(default_factory=dict)
    selection: Mapping[str, Scalar] = field(default_factory=SELECTION_SPACE.default)
    schedule: Mapping[str, Scalar] = field(default_factory=dict)
    init: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.init == INIT_SPACE.default():
            object.__setattr__(self, "init", {})

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits that depend on the content alone, on any machine."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __hash__(self) -> int:
        return int(self.hash, 16)

    def to_json(self) -> dict[str, Any]:
        """Returns the strategy as JSON values."""
        return {
            "learner": self.learner,
            "configuration": dict(self.configuration),
            "selection": dict(self.selection),
            "schedule": dict(self.schedule),
        } | ({"init": dict(self.init)} if self.init else {})

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Strategy:
        """Builds a strategy from what `to_json` returned.

        Raises:
            UsageError: If a part is missing or is not of its type.
        """
        try:
            return Strategy(
                str(data["learner"]),
                dict(data["configuration"]),
                dict(data["selection"]),
                dict(data["schedule"]),
                dict(data.get("init", {})),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"Expected a strategy as JSON, got {data!r} ({error!r}).") from error

    def to_point(self, tree: Space | None = None) -> Configuration:
        """Returns the strategy as a point of the tree that `strategy_space` builds.

        Args:
            tree: That tree; needed only if it holds learners that may begin with remembered weights.
        """
        point: Configuration = {"learner": self.learner}
        point |= {f"{self.learner}.{k}": v for k, v in self.configuration.items()}
        point |= {f"selection.{k}": v for k, v in self.selection.items()}
        point |= {f"schedule.{k}": v for k, v in self.schedule.items()}
        init = self.init
        if not init and tree is not None and "init.kind" in tree.parameters:
            init = INIT_SPACE.default() if tree.conditions["init.kind"].holds(point) else {}
        point |= {f"init.{k}": v for k, v in init.items()}
        return point

    @staticmethod
    def from_point(point: Mapping[str, Scalar]) -> Strategy:
        """Builds a strategy from a point of the tree that `strategy_space` builds."""
        learner = str(point["learner"])

        def below(prefix: str) -> Configuration:
            return {k[len(prefix) + 1 :]: v for k, v in point.items() if k.startswith(prefix + ".")}

        return Strategy(learner, below(learner), below("selection"), below("schedule"), below("init"))

    def describe(self) -> str:
        """Returns one short line for a person: the learner and what differs from plain use."""
        parts = [self.learner]
        parts += [f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in self.configuration.items()]
        rows = {k: v for k, v in self.selection.items() if (k, v) != ("pace", "shuffled")}
        if rows.get("kind", "all") != "all" or "pace" in rows:
            parts.append("rows=" + ",".join(f"{v}" for v in rows.values()))
        if self.schedule.get("kind", "constant") != "constant":
            parts.append("rate=" + ",".join(f"{v}" for k, v in self.schedule.items() if k != "control"))
        if self.schedule.get("control", "none") != "none":
            parts.append(f"control={self.schedule['control']}")
        if self.init:
            parts.append("weights=" + ",".join(f"{v}" for v in self.init.values()))
        return " ".join(parts)


def strategy_space(
    learners: Mapping[str, Space],
    *,
    scheduled: frozenset[str] = frozenset(),
    paced: frozenset[str] = frozenset(),
    controlled: frozenset[str] = frozenset(),
    controllers: tuple[str, ...] = (),
    initial: frozenset[str] = frozenset(),
    default: str | None = None,
) -> Space:
    """Joins learners, data selection, schedule and first weights into one tree.

    Args:
        learners: Name to configuration space.
        scheduled: The learners that have a learning rate; `schedule` is on only for them.
        paced: The learners that train by mini-batches; `selection.pace` is on only for them.
        controlled: The learners that a controller may change on the way; `schedule.control` is on only for them.
        controllers: The controllers to choose from beside none: names as `gstar.control.get_controller` reads them.
        initial: The learners that may begin with remembered weights; `init` is on only for them.
        default: The learner a newcomer should start with; the first one if not given.

    Returns:
        A space whose points `Strategy.from_point` understands.
    """
    if not learners:
        raise UsageError("A strategy space needs at least one learner, got none.")
    tree = nest(learners, root="learner", default=default or next(iter(learners)))
    control = Space({"control": Categorical(("none", *controllers))})
    for part, space, names in (
        ("selection", SELECTION_SPACE, frozenset(learners)),
        ("selection", PACE_SPACE, paced),
        ("schedule", SCHEDULE_SPACE, scheduled),
        ("schedule", control, controlled if controllers else frozenset()),
        ("init", INIT_SPACE, initial),
    ):
        tree = _with_part(tree, part, space, names)
    return tree


def with_init(tree: Space, initial: frozenset[str]) -> Space:
    """Returns a tree that `strategy_space` built, in which these learners may begin with remembered weights.

    Args:
        tree: If it has a choice of first weights already, it stays as it is.
        initial: Names of learners; those that the tree does not have are left out.
    """
    return tree if "init.kind" in tree.parameters else _with_part(tree, "init", INIT_SPACE, initial)


def _with_part(tree: Space, part: str, space: Space, names: frozenset[str]) -> Space:
    """Adds a space to a tree, on for these learners only; the rows that all of them need are always on."""
    root = tree.parameters["learner"]
    assert isinstance(root, Categorical)
    having = tuple(str(name) for name in root.choices if name in names)
    if not having:
        return tree
    parameters: dict[str, Parameter] = dict(tree.parameters)
    conditions = dict(tree.conditions)
    for name, parameter in space.parameters.items():
        parameters[f"{part}.{name}"] = parameter
        inner = space.conditions.get(name)
        if inner is not None:
            conditions[f"{part}.{name}"] = Condition(f"{part}.{inner.parent}", inner.values)
        elif space is not SELECTION_SPACE:
            conditions[f"{part}.{name}"] = Condition("learner", having)
    return Space(parameters, conditions)
