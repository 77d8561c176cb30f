"""How a controller learns: saved states are branched, and g learns from the table of what came of it.

    a training, stopped at a point -> one branch for each decision, each trained to its end -> a row of rewards
    rows -> run_outer with the exact gradient, since the reward of every decision is known -> Controller

After its decision a branch goes on without another, so a row says what one decision is worth there. All branches
of a state share its weights, optimiser and generator: what differs between them is the decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.control import DECISIONS, GO_ON, Controller, Decision, Observation, controller_distribution
from gstar.errors import DataError
from gstar.fitting import Fitting
from gstar.gradients import Draws
from gstar.outer import OuterSettings, run_outer
from gstar.world import AbstractWorld, DrawnTasks, Outcomes

Array: TypeAlias = np.ndarray

START_LOGIT: Final = 2.0
"""Before it has learned, a controller goes on with e^2 times the probability of any other decision."""
ITERATIONS: Final = 300
RATE: Final = 0.05


@dataclass(frozen=True)
class Branches:
    """Is a row of the table: a saved state, and what each decision there led to.

    Args:
        observation: What a controller sees there.
        rewards: One for each of `DECISIONS`.
        before: Names of the decisions that led there.
    """

    observation: Observation
    rewards: tuple[float, ...]
    before: tuple[str, ...] = ()


def branch(
    fitting: Fitting, reward: Callable[[Fitting], float], *, n_paths: int = 2, rng: np.random.Generator
) -> list[Branches]:
    """Trains a capped tree of branches from a training that has not begun.

    Args:
        fitting: The training.
        reward: What a training is worth that has ended.
        n_paths: Paths along which states are branched: first that without a decision, then random ones.
        rng: Draws the random paths.
    """
    known: dict[tuple[str, ...], float] = {}
    rows: dict[tuple[str, ...], Branches] = {}
    for i in range(n_paths):
        at = fitting.branch()
        while _reaches_point(at):
            before = _names(at)
            if before not in rows:
                found = tuple(_worth(at, decision, reward, known) for decision in DECISIONS)
                rows[before] = Branches(at.observe(), found, before)
            at.decide(GO_ON if i == 0 else DECISIONS[int(rng.integers(len(DECISIONS) - 1))])
    return list(rows.values())


def _reaches_point(fitting: Fitting) -> bool:
    """Trains until a decision is due; False if it has ended before."""
    while not (fitting.ended or fitting.is_due):
        fitting.look()
    return not fitting.ended


def _worth(
    at: Fitting, decision: Decision, reward: Callable[[Fitting], float], known: dict[tuple[str, ...], float]
) -> float:
    """Returns the reward of a decision here and none after it; what is known is not trained again."""
    taken = _names(at)
    is_idle = (decision.drop_share > 0 and "drop" in taken) or (
        decision.balance and ("balance" in taken or not at.spec.kind.is_classification)
    )
    path = _without_end(taken if is_idle else (*taken, decision.name))
    if path not in known:
        end = at.branch()
        end.decide(GO_ON if is_idle else decision)
        while not end.ended:
            end.look()
        known[path] = reward(end)
    return known[path]


def _names(fitting: Fitting) -> tuple[str, ...]:
    return tuple(decision.name for decision in fitting.decisions)


def _without_end(path: tuple[str, ...]) -> tuple[str, ...]:
    """Returns a path without the decisions at its end that change nothing."""
    while path and path[-1] == GO_ON.name:
        path = path[:-1]
    return path


@dataclass(frozen=True, eq=False)
class BranchWorld(AbstractWorld):
    """Is the table as a world: a saved state is a task, a decision a strategy; every iteration shows all of it.

    Args:
        contexts: ``(T, X)`` vectors of the observations.
        table: ``(T, P)`` rewards of all decisions.
    """

    contexts: Array
    table: Array

    @property
    def context_size(self) -> int:  # type: ignore[override]
        """X."""
        return int(self.contexts.shape[1])

    def draw(self, n: int, rng: np.random.Generator, *, iteration: int) -> DrawnTasks:
        return DrawnTasks(self.contexts, range(len(self.contexts)))

    def train(self, tasks: DrawnTasks, draws: Draws, *, seed: int) -> Outcomes:
        columns = draws.points.index.reshape(len(tasks), -1)
        return Outcomes(np.take_along_axis(self.table, columns, axis=1), np.zeros(columns.shape))

    def reward(self, tasks: DrawnTasks, scores: Array) -> Array:
        return scores


@dataclass(frozen=True)
class ControlSettings:
    """Is how a controller learns.

    Args:
        kl: Weight of the divergence from a controller that mostly goes on: a decision must be worth it.
        hidden: Width of its network; 0: linear.
        iterations: Steps of the outer loop.
        seed: Seed of the first layer.
    """

    kl: float = 0.006
    hidden: int = 0
    iterations: int = ITERATIONS
    seed: int = 0
    about: dict[str, Any] = field(default_factory=dict)


def learn_controller(rows: Sequence[Branches], settings: ControlSettings | None = None) -> Controller:
    """Lets a controller learn from a table of branches, by the exact policy gradient.

    Args:
        rows: The table.
        settings: How.

    Raises:
        DataError: If the table is empty.
    """
    if not rows:
        raise DataError("Expected at least one branched state to learn from, got none.")
    settings = settings or ControlSettings()
    g = controller_distribution(settings.hidden)
    meta = g.start(np.random.default_rng(settings.seed))
    meta[: len(DECISIONS)] = [START_LOGIT * (d is GO_ON) for d in DECISIONS]
    world = BranchWorld(np.stack([r.observation.vector for r in rows]), np.array([r.rewards for r in rows]))
    outer = OuterSettings(
        "exact", natural=False, rate=RATE, kl=settings.kl, iterations=settings.iterations, seed=settings.seed
    )
    learned = run_outer(g, world, outer, start=meta).meta
    return Controller(g, learned, {"states": len(rows), "kl": settings.kl, **settings.about})


def worth(controller: Controller, rows: Sequence[Branches]) -> Array:
    """Returns ``(T,)`` by how much its most probable decision is better than going on, in each row of a table."""
    chosen = [DECISIONS.index(controller.decide(r.observation)[0]) for r in rows]
    return np.array([r.rewards[j] - r.rewards[0] for r, j in zip(rows, chosen, strict=True)])


def by_family(families: Sequence[str], n_folds: int) -> Iterator[tuple[Array, Array]]:
    """Yields rows to learn from and rows to measure on; a family is never on both sides."""
    names = sorted(set(families))
    fold = np.array([names.index(family) % n_folds for family in families])
    for i in range(min(n_folds, len(names))):
        yield np.flatnonzero(fold != i), np.flatnonzero(fold == i)
