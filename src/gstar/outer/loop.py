"""The outer loop: the policy gradient, step by step.

    (1) initialise g
    (2) draw tasks, and strategies from g with the rows that each of them selects
    (3) train f_g
    (4) measure L(f_g, T)
    (5) estimate grad_g
    (6) update g
    (7) repeat until it has converged

`run_outer` does not know whether a world trains now or remembers. All that changes is in
`OuterState`; every iteration draws from its own random stream, so that a run that was killed
goes on where it stood and ends as if it had not been. With `ahead`, iterations are begun
before the last ones are over, each from a g that is as many updates old: what comes of it
does not depend on which trial ends first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from gstar.distribution import AbstractDistribution
from gstar.errors import NoModelError, UsageError
from gstar.gradients import AbstractGradient, Draws
from gstar.gradients.base import ascend
from gstar.outer.checkpoint import Keeper, read_checkpoint
from gstar.outer.state import OuterSettings, OuterState
from gstar.world import AbstractWorld, DrawnTasks, Outcomes

Array: TypeAlias = np.ndarray

REFERENCE_TASKS: Final = 16
"""Tasks whose contexts entropy and divergence are reported on."""
PULL_TASKS: Final = 16
"""Tasks of an iteration that entropy and divergence are averaged over; of more, so many are drawn."""
HOPELESS: Final = 3
"""After so many iterations in which every single trial failed, it gives up."""


@dataclass(frozen=True, eq=False)
class Progress:
    """Is what a display is told after an iteration.

    Args:
        iteration: Its number, from 1.
        reward: What the g that drew this iteration's strategies expects, by their rewards.
        reward_error: Standard error over its tasks.
        entropy: Of g, in nats, mean over the reference contexts.
        kl: Divergence from the g before this iteration.
        rate: Learning rate.
        n_trainings: Trials so far.
        n_failed: Of these, failed.
        meta: ``(W,)`` meta-parameters now.
    """

    iteration: int
    reward: float
    reward_error: float
    entropy: float
    kl: float
    rate: float
    n_trainings: int
    n_failed: int
    meta: Array


@dataclass(frozen=True, eq=False)
class OuterResult:
    """Is what the outer loop leaves.

    Args:
        meta: ``(W,)`` what was learned: the mean over the last iterations, if they are enough.
        stop_reason: ``"converged"``, ``"iterations"``, ``"budget"`` or ``"interrupted"``.
        iterations: How many there were, also before a restart.
        n_trainings: Trials in all.
        n_failed: Of these, failed.
        seconds: Wall-clock seconds of this call.
    """

    meta: Array
    stop_reason: str
    iterations: int
    n_trainings: int
    n_failed: int
    seconds: float


def run_outer(
    g: AbstractDistribution,
    world: AbstractWorld,
    settings: OuterSettings,
    *,
    start: Array | None = None,
    checkpoint: Path | None = None,
    key: str = "",
    listener: Callable[[Progress], None] = lambda _: None,
) -> OuterResult:
    """Lets g learn by the policy gradient.

    Args:
        g: The distribution over strategies.
        world: Where tasks and trials come from.
        settings: How it learns.
        start: ``(W,)`` meta-parameters to begin with; None: those of `g.start`.
        checkpoint: A file from which it goes on if it is there, and that it writes after each iteration; where that
            fails, it warns once and goes on.
        key: Names the tasks; a checkpoint with another one is of another run.
        listener: Is told how it goes on.

    Raises:
        UsageError: If the checkpoint is of another run.
        UntrustedFileError: If the checkpoint is damaged.
        NoModelError: If every trial of several iterations failed.
    """
    begin = time.monotonic()
    gradient = settings.gradient(g.size)
    if g.context_size != world.context_size:
        raise UsageError(f"Expected contexts of {g.context_size} values, but the world's have {world.context_size}.")
    reference = world.draw(REFERENCE_TASKS, np.random.default_rng([settings.seed, 0]), iteration=0).contexts
    state = (checkpoint and read_checkpoint(checkpoint, g, settings, key)) or OuterState.begin(  # (1)
        g.start(np.random.default_rng(settings.seed)) if start is None else start, gradient, ahead=settings.ahead
    )
    keeper, begun = Keeper(checkpoint, key), deque[_Begun]()
    try:
        while not (reason := _stop_reason(state, settings, begin)):
            for i in range(len(begun), min(settings.ahead + 1, settings.iterations - state.iteration)):
                meta = state.behind[i] if i < settings.ahead else state.meta
                begun.append(_begin(world, gradient, g, meta, settings, iteration=state.iteration + i))  # (2)
            rng, tasks, draws, wait = begun.popleft()
            outcomes = wait()  # (3)
            rewards = world.rewards(tasks, outcomes)  # (4)
            draws = _with_valid(draws, outcomes)
            before = state
            state = _updated(state, gradient, g, draws, rewards, settings=settings, rng=rng)  # (5), (6)
            state = _counted(state, outcomes)
            state = _lowered(state, g, reference, settings)  # (7)
            listener(_progress(before, state, g, reference, by_task=draws.expected(rewards), rate=state.rate(settings)))
            keeper.keep(state, g, settings)
    except KeyboardInterrupt:
        reason = "interrupted"
    seconds = time.monotonic() - begin
    return OuterResult(state.settled, reason, state.iteration, state.n_trainings, state.n_failed, seconds)


class _Begun(NamedTuple):
    """Is an iteration whose trials have begun."""

    rng: np.random.Generator
    tasks: DrawnTasks
    draws: Draws
    wait: Callable[[], Outcomes]


def _begin(
    world: AbstractWorld,
    gradient: AbstractGradient,
    g: AbstractDistribution,
    meta: Array,
    settings: OuterSettings,
    *,
    iteration: int,
) -> _Begun:
    """Draws tasks, and strategies for them, and begins to train."""
    rng = np.random.default_rng([settings.seed, iteration + 1])
    tasks = world.draw(settings.tasks, rng, iteration=iteration)
    draws = gradient.draw(g, meta, tasks.contexts, settings.strategies, rng=rng)
    return _Begun(rng, tasks, draws, world.begin(tasks, draws, seed=int(rng.integers(2**31))))


def _with_valid(draws: Draws, outcomes: Outcomes) -> Draws:
    """Returns the draws, with how they validated for an estimator that wants to know."""
    return draws if outcomes.valid is None else replace(draws, extra={**draws.extra, "valid": outcomes.valid})


def _stop_reason(state: OuterState, settings: OuterSettings, begin: float) -> str:
    if settings.convergence is not None and state.lowered > settings.convergence.lowerings:
        return "converged"
    if state.iteration >= settings.iterations:
        return "iterations"
    if settings.budget_s is not None and time.monotonic() - begin >= settings.budget_s:
        return "budget"
    return ""


def _updated(
    state: OuterState,
    gradient: AbstractGradient,
    g: AbstractDistribution,
    draws: Draws,
    rewards: Array,
    *,
    settings: OuterSettings,
    rng: np.random.Generator,
) -> OuterState:
    """Moves g along the estimated gradient: step (5) and (6)."""
    meta, adam, memory = state.meta, state.adam, state.memory
    some = _some(draws.contexts, rng) if gradient.is_sampled else draws.contexts
    for _ in range(gradient.epochs):
        estimate = gradient.estimate(g, meta, draws, rewards, memory)
        old = [gradient.estimate(g, meta, was, then, memory).gradient for was, then in state.past]
        direction = np.mean([estimate.gradient, *old], axis=0) + _pull(g, meta, state, some, settings)
        direction = gradient.turn(g, meta, draws.contexts, direction)
        move = adam.push if gradient.is_scaled else adam.step
        step, adam = move(direction, state.rate(settings))
        meta = meta + step
    window = settings.convergence.window if settings.convergence else 1
    return replace(
        state,
        meta=meta,
        behind=np.concatenate([state.behind, state.meta[None]])[1:],
        adam=adam,
        memory=estimate.memory,
        iteration=state.iteration + 1,
        rewards=np.append(state.rewards, draws.expected(rewards).mean())[-window:],
        trail=np.concatenate([state.trail, meta[None]])[-window:],
        past=((draws, rewards), *state.past)[: settings.reuse],
    )


def _some(contexts: Array, rng: np.random.Generator) -> Array:
    """Returns at most `PULL_TASKS` contexts, each as likely as any other to be among them."""
    if len(contexts) <= PULL_TASKS:
        return contexts
    return contexts[np.sort(rng.choice(len(contexts), PULL_TASKS, replace=False))]


def _pull(g: AbstractDistribution, meta: Array, state: OuterState, contexts: Array, settings: OuterSettings) -> Array:
    """Returns ``(W,)`` the gradient of weighted entropy less weighted divergence from the start."""
    curiosity = settings.entropy * 0.5 ** (state.iteration / settings.entropy_halving)
    if not curiosity and not settings.kl:
        return np.zeros(len(meta))
    start, powers = state.start if settings.kl else None, (-curiosity - settings.kl, -settings.kl)
    return ascend(lambda theta: g.mean_log_ratio(theta, start, contexts, powers=powers).mean(), meta)


def _counted(state: OuterState, outcomes: Outcomes) -> OuterState:
    """Counts trials; gives up when none ever completes."""
    scores = outcomes.scores
    failed = int(np.sum(~np.isfinite(scores)))
    hopeless = state.hopeless + 1 if failed == scores.size else 0
    if hopeless >= HOPELESS:
        raise NoModelError(
            f"Every trial of {HOPELESS} iterations failed: {'; '.join(outcomes.causes) or 'scores are not finite'}. "
            "Look at the learner and its space."
        )
    return replace(
        state, n_trainings=state.n_trainings + scores.size, n_failed=state.n_failed + failed, hopeless=hopeless
    )


def _lowered(state: OuterState, g: AbstractDistribution, contexts: Array, settings: OuterSettings) -> OuterState:
    """Lowers the learning rate where g has become flat."""
    test = settings.convergence
    if test is None or not test.is_flat(state.rewards, state.trail, lambda a, b: float(np.mean(g.kl(a, b, contexts)))):
        return state
    if state.lowered == test.lowerings:
        return replace(state, lowered=state.lowered + 1)
    return replace(
        state, lowered=state.lowered + 1, meta=state.settled, rewards=state.rewards[:0], trail=state.trail[:0]
    )


def _progress(
    before: OuterState,
    state: OuterState,
    g: AbstractDistribution,
    reference: Array,
    *,
    by_task: Array,
    rate: float,
) -> Progress:
    return Progress(
        state.iteration,
        float(by_task.mean()),
        float(by_task.std() / np.sqrt(len(by_task))),
        float(np.mean(g.entropy(state.meta, reference))),
        float(np.mean(g.kl(state.meta, before.meta, reference))),
        rate,
        state.n_trainings,
        state.n_failed,
        state.meta,
    )
