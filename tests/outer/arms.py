"""Worlds for the outer loop in which it is known what is best, and ways to go wrong."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gstar.distribution import TreeDistribution
from gstar.gradients import Draws
from gstar.outer import Convergence, OuterResult, OuterSettings, run_outer
from gstar.space import Categorical, Condition, Real, Space
from gstar.world import AbstractWorld, DrawnTasks, Outcomes

ARMS = Space({"arm": Categorical(("good", "bad", "worse")), "x": Real(0.0, 1.0)}, {"x": Condition("arm", ("good",))})
VALUE = {"good": 1.0, "bad": 0.2, "worse": -0.5}
BEST_X = 0.7
SHORT = Convergence(window=10, lowerings=1)


@dataclass(eq=False)
class Arms(AbstractWorld):
    """Tasks of unequal ease, one best arm, and a number that is best at `BEST_X`; scores are noisy.

    Args:
        fails: Arms whose trials fail.
        noise: Deviation of the scores.
        n_tasks: How many different tasks there are.
    """

    fails: tuple[str, ...] = ()
    noise: float = 0.1
    n_tasks: int = 5
    context_size: int = 0

    def draw(self, n: int, rng: np.random.Generator, *, iteration: int) -> DrawnTasks:
        return DrawnTasks(np.zeros((n, self.context_size)), rng.integers(self.n_tasks, size=n).tolist())

    def train(self, tasks: DrawnTasks, draws: Draws, *, seed: int) -> Outcomes:
        values = [VALUE[c["arm"]] - 4 * (c.get("x", BEST_X) - BEST_X) ** 2 for c in draws.points.configurations]
        bad = [c["arm"] in self.fails for c in draws.points.configurations]
        scores = np.where(bad, np.nan, values + self.noise * np.random.default_rng(seed).standard_normal(len(values)))
        scores = scores.reshape(len(tasks), draws.n) + np.array(tasks.items)[:, None]
        return Outcomes(scores, np.ones(scores.shape), ("it burst",) if any(bad) else ())

    def reward(self, tasks: DrawnTasks, scores: np.ndarray) -> np.ndarray:
        return scores - np.array(tasks.items)[:, None]


def learn(world: AbstractWorld | None = None, **changes) -> tuple[TreeDistribution, OuterResult]:
    """Lets g learn which arm is best: 8 tasks with 4 strategies, for at most 30 iterations."""
    g = TreeDistribution(changes.pop("space", ARMS))
    call = {name: changes.pop(name) for name in ("checkpoint", "listener", "start") if name in changes}
    settings = {"tasks": 8, "strategies": 4, "rate": 0.3, "iterations": 30, "convergence": None}
    return g, run_outer(g, world or Arms(), OuterSettings(**{**settings, **changes}), **call)


def chance(g: TreeDistribution, meta: np.ndarray, arm: str = "good") -> float:
    """Returns the probability of an arm, whatever the number beside it."""
    log_probs = g.heads["arm"].log_probs(g.map(meta, g.no_context)[:, g.slices["arm"]])[0]
    return float(np.exp(log_probs[list(VALUE).index(arm)]))


def main(checkpoint: str, out: str, dies_at: str) -> None:
    """Learns, and is killed after an iteration."""

    def listener(progress) -> None:
        if progress.iteration == int(dies_at):
            os.kill(os.getpid(), signal.SIGKILL)

    _, result = learn(checkpoint=Path(checkpoint), listener=listener, reuse=2, ahead=1, entropy=0.1, convergence=SHORT)
    np.save(out, result.meta)


if __name__ == "__main__":
    main(*sys.argv[1:])
