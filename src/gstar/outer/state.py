"""How g learns, and all that changes while it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from gstar.errors import UsageError
from gstar.gradients import MAX_SIZE, AbstractGradient, Draws, Natural, get_gradient
from gstar.outer.ascent import Adam
from gstar.outer.convergence import Convergence

Array: TypeAlias = np.ndarray


@dataclass(frozen=True)
class OuterSettings:
    """Is how g learns.

    Args:
        estimator: Name of the gradient estimator.
        tasks: T, tasks per iteration.
        strategies: n, strategies per task.
        natural: Whether gradients are turned into steps of equal divergence; None: if g is small
            and the estimator suits it.
        rate: Length of a step: in meta-parameters, or r for a divergence of r^2 / 2 if natural.
        entropy: Weight of the entropy at the start, which keeps g curious.
        entropy_halving: Iterations in which that weight halves.
        kl: Weight of the divergence from the g it started with.
        reuse: How many earlier iterations' trials are used again, by importance weights.
        ahead: How many iterations are drawn and begun before the one that g learns from is over, so that no core waits
            for its last trial; g corrects for having moved on since by importance weights.
        iterations: The most there may be.
        budget_s: Seconds after which it stops, or None.
        seed: Seed of everything random.
        convergence: The test that ends it; None: never.
    """

    estimator: str = "leave_one_out"
    tasks: int = 16
    strategies: int = 8
    natural: bool | None = None
    rate: float = 0.1
    entropy: float = 0.0
    entropy_halving: int = 100
    kl: float = 0.0
    reuse: int = 0
    ahead: int = 0
    iterations: int = 2000
    budget_s: float | None = None
    seed: int = 0
    convergence: Convergence | None = field(default_factory=Convergence)

    def __post_init__(self) -> None:
        counts = (self.tasks, self.strategies, self.iterations, self.entropy_halving)
        if min(counts) < 1 or not self.rate > 0 or min(self.reuse, self.ahead) < 0:
            raise UsageError(f"Expected positive tasks, strategies, iterations, rate and entropy_halving, got {self}.")
        gradient = get_gradient(self.estimator)
        if self.natural is False and gradient.is_scaled:
            raise UsageError("Estimator 'natural' is the natural gradient; leave `natural` out.")
        if (self.reuse or self.ahead) and not gradient.handles_reuse:
            raise UsageError(
                f"Estimator {self.estimator!r} cannot use trials of an earlier g; leave reuse and ahead at 0."
            )

    def gradient(self, size: int) -> AbstractGradient:
        """Returns the estimator for a g with so many meta-parameters."""
        gradient = get_gradient(self.estimator)
        natural = size <= MAX_SIZE and gradient.suits_natural if self.natural is None else self.natural
        return Natural(gradient) if natural and not gradient.is_scaled else gradient


@dataclass(frozen=True, eq=False)
class OuterState:
    """Is all that changes from one iteration to the next.

    Args:
        meta: ``(W,)`` meta-parameters.
        start: ``(W,)`` those it began with.
        behind: ``(A, W)`` those that the next A iterations are drawn from, which are begun ahead.
        adam: The optimiser.
        memory: What the estimator remembers.
        iteration: How many there were.
        lowered: How often the learning rate was lowered.
        rewards: ``(I,)`` reward that g expected in the iterations since then, at most the window of the test.
        trail: ``(I, W)`` meta-parameters after each of them.
        n_trainings: Trials so far.
        n_failed: Of these, failed.
        hopeless: Iterations in a row in which every trial failed.
        past: Draws and rewards of the iterations that may be used again.
    """

    meta: Array
    start: Array
    behind: Array
    adam: Adam
    memory: Array
    iteration: int = 0
    lowered: int = 0
    rewards: Array = field(default_factory=lambda: np.zeros(0))
    trail: Array = field(default_factory=lambda: np.zeros((0, 0)))
    n_trainings: int = 0
    n_failed: int = 0
    hopeless: int = 0
    past: tuple[tuple[Draws, Array], ...] = ()

    @staticmethod
    def begin(meta: Array, gradient: AbstractGradient, *, ahead: int = 0) -> OuterState:
        """Returns the state before the first iteration, of which so many are drawn ahead."""
        behind, trail = np.tile(meta, (ahead, 1)), np.zeros((0, len(meta)))
        return OuterState(meta, meta.copy(), behind, Adam.start(len(meta)), gradient.start(), trail=trail)

    def rate(self, settings: OuterSettings) -> float:
        """Returns the learning rate after all lowerings."""
        return settings.rate * (settings.convergence.factor**self.lowered if settings.convergence else 1.0)

    @property
    def settled(self) -> Array:
        """``(W,)`` the mean of the trail: what the noise of single steps averages out to."""
        return np.asarray(self.trail.mean(axis=0)) if len(self.trail) else self.meta
