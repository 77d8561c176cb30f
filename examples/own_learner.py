"""A researcher brings a learner, its space and tasks, and lets g learn how to train it.

The learner is kernel voting: a new row is given the mean target of the known rows, each weighed by
exp(-|x - x'|^p / (2 width^p)). Which width and power are good is not known; on tasks of one kind it can be learned.

    python examples/own_learner.py --iterations 20
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

import numpy as np

from gstar.distribution import TreeDistribution
from gstar.executors.serial import SerialExecutor
from gstar.inputs import Inputs
from gstar.learner import AbstractLearner, State, TrainingSpec, register_learner
from gstar.outer import OuterResult, OuterSettings, run_outer
from gstar.reading import make_task
from gstar.space import Categorical, Real, Scalar, Space
from gstar.strategy import strategy_space
from gstar.worlds.live import LiveTask, LiveWorld

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class Voters:
    """Is the rows that vote.

    Args:
        rows: ``(S, F)``.
        votes: ``(S, C)`` one-hot classes, or ``(S, 1)`` values.
        width: Of the kernel.
        power: Of the distance.
        steps: 0 before it was trained, then 1.
    """

    rows: Array
    votes: Array
    width: float
    power: float
    steps: int = 0

    @property
    def done(self) -> bool:
        """Whether it was trained."""
        return self.steps > 0


class KernelVoting(AbstractLearner):
    """Lets all known rows vote, near ones more."""

    name: ClassVar[str] = "kernel_voting"
    space: ClassVar[Space] = Space({"width": Real(1e-3, 1e3, log=True), "power": Categorical((1, 2))})
    handles_weights: ClassVar[bool] = False

    def init(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> Voters:
        votes = np.eye(spec.n_classes)[target.astype(int)] if spec.kind.is_classification else target[:, None]
        return Voters(inputs.numbers, votes, spec.configuration["width"], spec.configuration["power"])

    def step(self, state: State, steps: int, deadline: float | None) -> Voters:
        return replace(state, steps=1)

    def snapshot(self, state: State) -> State:
        return state

    def predict(self, state: State, inputs: Inputs) -> Array:
        distances = np.sqrt(((inputs.numbers[:, None] - state.rows[None]) ** 2).sum(axis=2))
        logs = -0.5 * (distances / state.width) ** state.power
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        found = weights @ state.votes / weights.sum(axis=1, keepdims=True)
        return found if found.shape[1] > 1 else found[:, 0]

    def save(self, state: State) -> dict[str, bytes]:
        numbers = {"rows": state.rows, "votes": state.votes, "kernel": np.array([state.width, state.power])}
        parts = {}
        for name, array in numbers.items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            parts[f"{name}.npy"] = buffer.getvalue()
        return parts

    def load(self, parts: Mapping[str, bytes]) -> Voters:
        rows, votes, kernel = (
            np.load(io.BytesIO(parts[f"{name}.npy"]), allow_pickle=False) for name in ("rows", "votes", "kernel")
        )
        return Voters(rows, votes, float(kernel[0]), float(kernel[1]), 1)

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        return 1e-8 * rows * rows * features


def stripes(seed: int, n: int = 150) -> LiveTask:
    """Returns a task: which stripe of a plane, at some angle, a row lies in."""
    rng = np.random.default_rng(seed)
    x, angle = rng.random((n, 2)), rng.uniform(0, np.pi)
    y = np.sin(12 * (x @ [np.cos(angle), np.sin(angle)])) > 0
    task = LiveTask.of(replace(make_task(x, y.astype(int)), name=f"stripes {seed}"))
    return replace(task, context=np.zeros(0))  # all tasks are alike: g need not look at them


def learn(iterations: int, seed: int = 0) -> tuple[TreeDistribution, OuterResult, list[float]]:
    """Lets g learn on four tasks; returns it, what came of it, and the mean rewards."""
    register_learner(KernelVoting())
    rewards: list[float] = []
    g = TreeDistribution(strategy_space({KernelVoting.name: KernelVoting.space}))
    with LiveWorld([stripes(i) for i in range(4)], SerialExecutor(), context_size=0) as world:
        settings = OuterSettings(tasks=4, strategies=4, rate=0.3, iterations=iterations, seed=seed)
        result = run_outer(g, world, settings, listener=lambda progress: rewards.append(progress.reward))
    return g, result, rewards


def main(arguments: list[str] | None = None) -> int:
    """Learns, and prints what g would do now."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    g, result, rewards = learn(given.iterations, given.seed)
    print(f"{result.n_trainings} trainings in {result.seconds:.1f} s; stopped by: {result.stop_reason}")
    print(f"mean reward: {np.mean(rewards[:3]):.3f} at first, {np.mean(rewards[-3:]):.3f} at the end")
    print(f"what it would do now: {g.mode(result.meta, g.no_context).configurations[0]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
