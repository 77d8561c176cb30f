"""The linear world: g learns a ridge strength whose best value is known in closed form.

A task is y = X w + noise with w ~ N(0, tau^2 I) and noise ~ N(0, sigma^2). Ridge regression minimises
|y - X w|^2 + lambda |w|^2, and over many tasks no lambda is better than lambda* = sigma^2 / tau^2,
the one with which it computes the posterior mean. g starts far from it and has to find it by trying.

    python examples/linear_world.py --sigma 1 --tau 1 --n 20 --d 5
    python examples/linear_world.py --variant corrupted     # and which rows to trust
    python examples/linear_world.py --variant context       # the noise differs and can be seen
    python examples/linear_world.py --variant drift         # the noise changes over time
    python examples/linear_world.py --variances             # of the estimators, per training
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np

from gstar.distribution import Points, TreeDistribution
from gstar.errors import UsageError
from gstar.gradients import GRADIENTS, Draws, get_gradient
from gstar.gradients.base import ascend
from gstar.outer import Convergence, OuterResult, OuterSettings, Progress, run_outer
from gstar.space import Categorical, Condition, Real, Space
from gstar.world import AbstractWorld, DrawnTasks, Outcomes

Array: TypeAlias = np.ndarray

LAMBDA: Final = Real(1e-6, 1e6, log=True)
MIRRORED: Final = 2
"""Trainings of a strategy on a task: with its noise, and with the noise mirrored."""
MOST_DESIGNS: Final = 2000
"""Over so many random designs, fewer if they are large, the closed form is averaged."""
ESTIMATES: Final = 200
"""From so many estimates a variance is computed."""
TASKS: Final = (16, 512)
"""The least tasks of an iteration, and about how many coefficients that the rows tell of they have together."""
MOST_NUMBERS: Final = 50_000
"""The largest n x d: a task must be drawn and trained on within a few milliseconds."""


@dataclass(frozen=True)
class World:
    """Is the numbers of a linear world.

    Args:
        sigma: Deviation of the noise.
        tau: Deviation of the weights.
        n: Support rows.
        d: Features.
    """

    sigma: float = 1.0
    tau: float = 1.0
    n: int = 20
    d: int = 5

    @property
    def best_lambda(self) -> float:
        """sigma^2 / tau^2."""
        return self.sigma**2 / self.tau**2

    @cached_property
    def _eigenvalues(self) -> Array:
        """``(designs, d)`` eigenvalues of X^T X."""
        (small, large), rng = sorted((self.n, self.d)), np.random.default_rng(12345)
        designs = max(50, min(MOST_DESIGNS, 100 * MOST_DESIGNS // small**2))
        found = np.linalg.svd(reduced_rows(designs, large, small, rng), compute_uv=False) ** 2
        return np.pad(found, ((0, 0), (0, self.d - small)))

    @property
    def zero_loss(self) -> float:
        """The expected squared error of predicting 0: the constant that rewards are divided by."""
        return self.sigma**2 + self.d * self.tau**2

    def expected_loss(self, lambdas: Array) -> Array:
        """Returns the expected squared error on a new row, in closed form given the design.

        With the eigenvalues s of X^T X it is sigma^2 + sum (lambda^2 tau^2 + sigma^2 s) / (s + lambda)^2,
        averaged over random designs.
        """
        s = self._eigenvalues
        flat = np.atleast_1d(np.asarray(lambdas, float)).ravel()
        losses = [
            self.sigma**2 + ((x**2 * self.tau**2 + self.sigma**2 * s) / (s + x) ** 2).sum(axis=1).mean() for x in flat
        ]
        return np.reshape(losses, np.shape(lambdas))


def reduced_rows(tasks: int, n: int, d: int, rng: np.random.Generator) -> Array:
    """Draws what is left of n standard normal rows of d features after the best rotation of the rows.

    Where n > d, that is a triangle of d rows (Bartlett's decomposition): X^T X is distributed as before, and with
    targets X w + noise rotated alike, so is every ridge regression. A thousand rows cost as much as d.

    Returns:
        ``(tasks, min(n, d), d)``.
    """
    if n <= d:
        return rng.standard_normal((tasks, n, d))
    x = np.triu(rng.standard_normal((tasks, d, d)), 1)
    x[:, range(d), range(d)] = np.sqrt(rng.chisquare(n - np.arange(d), (tasks, d)))
    return x


def fit_ridge(x: Array, y: Array, lambdas: Array, rows: Array | None = None) -> Array:
    """Trains ridge regressions.

    Args:
        x: ``(T, n, d)``.
        y: ``(..., T, n)``.
        lambdas: ``(T, k)``.
        rows: ``(..., T, k, n)`` weights 0 or 1 of rows; None: all are used, and one decomposition serves all k.

    Returns:
        ``(..., T, k, d)`` weights.
    """
    if rows is None:
        s, u = np.linalg.eigh(x @ np.swapaxes(x, 1, 2))
        z = np.einsum("tnj,...tn->...tj", u, y)[..., None, :] / (np.maximum(s, 0.0)[:, None] + lambdas[:, :, None])
        return z @ (np.swapaxes(u, 1, 2) @ x)
    gram = np.einsum("...tkn,tni,tnj->...tkij", rows, x, x) + lambdas[:, :, None, None] * np.eye(x.shape[2])
    return np.linalg.solve(gram, np.einsum("...tkn,tni,...tn->...tki", rows, x, y)[..., None])[..., 0]


@dataclass(frozen=True, eq=False)
class LinearTask:
    """Is one task.

    Args:
        x: ``(n, d)`` support rows.
        weights: ``(d,)`` the true ones.
        signal: ``(n,)`` targets without noise.
        noise: ``(n,)`` what is added to them.
        sigma: Deviation of the noise.
    """

    x: Array
    weights: Array
    signal: Array
    noise: Array
    sigma: float


class LinearWorld(AbstractWorld):
    """Draws linear tasks and trains ridge regressions on them.

    Each strategy is trained twice on a task, once with its noise and once with the noise mirrored, and its loss is
    the mean of both (antithetic variates). Both data sets are as likely as each other, so nothing is biased; but
    what weights and noise have to do with each other by chance cancels, and that is nearly all that hides which
    lambda is better where there are many rows, or little noise. The loss of trained weights is their
    expected squared error on a new row, sigma^2 + |error|^2, which is what ever more query rows would tend to.

    The rewards are - loss / (loss of predicting 0).
    """

    context_size: ClassVar[int] = 0
    failed_reward: ClassVar[float] = -10.0
    space: ClassVar[Space] = Space({"lambda": LAMBDA})

    def __init__(self, world: World) -> None:
        self.world = world

    def noise(self, n: int, rng: np.random.Generator, iteration: int) -> Array:
        """Returns ``(T,)`` deviations of the noise."""
        return np.full(n, self.world.sigma)

    def contexts(self, sigmas: Array) -> Array:
        """Returns ``(T, X)`` what g sees."""
        return np.zeros((len(sigmas), 0))

    def rows(self, n: int, rng: np.random.Generator) -> Array:
        """Draws ``(T, rows, d)`` support rows."""
        return reduced_rows(n, self.world.n, self.world.d, rng)

    def draw(self, n: int, rng: np.random.Generator, *, iteration: int) -> DrawnTasks:
        sigmas, x = self.noise(n, rng, iteration), self.rows(n, rng)
        weights = self.world.tau * rng.standard_normal((n, self.world.d))
        signal = np.einsum("tnd,td->tn", x, weights)
        noise = sigmas[:, None] * rng.standard_normal(signal.shape)
        tasks = [LinearTask(*parts) for parts in zip(x, weights, signal, noise, sigmas.tolist(), strict=True)]
        return DrawnTasks(self.contexts(sigmas), [self.spoil(task, rng) for task in tasks])

    def spoil(self, task: LinearTask, rng: np.random.Generator) -> LinearTask:
        """Returns the task; a world with bad rows puts them in here."""
        return task

    def train(self, tasks: DrawnTasks, draws: Draws, *, seed: int) -> Outcomes:
        begin = time.perf_counter()
        x, true, signal, noise = (
            np.stack([getattr(task, name) for task in tasks.items]) for name in ("x", "weights", "signal", "noise")
        )
        weights = self.fit(x, np.stack([signal + noise, signal - noise]), draws.points, draws.n)
        squares = ((weights - true[:, None]) ** 2).sum(axis=-1).mean(axis=0)
        losses = squares + np.array([task.sigma for task in tasks.items])[:, None] ** 2
        return Outcomes(-losses, np.full(losses.shape, (time.perf_counter() - begin) / losses.size))

    def fit(self, x: Array, y: Array, points: Points, k: int) -> Array:
        """Returns ``(2, T, k, d)`` the weights that the strategies lead to, for each of two sets of targets."""
        return fit_ridge(x, y, np.array([c["lambda"] for c in points.configurations], float).reshape(-1, k))

    def reward(self, tasks: DrawnTasks, scores: Array) -> Array:
        return scores / self.world.zero_loss


class CorruptedWorld(LinearWorld):
    """A share of the support rows has a target that says nothing; g chooses lambda and which rows to trust.

    A strategy trusts all rows, or leaves out the share with the largest residuals of a first fit, twice.
    """

    share: ClassVar[float] = 0.25
    wild: ClassVar[float] = 10.0
    """How many times the deviation of good targets those of bad rows have."""
    space: ClassVar[Space] = Space(
        {"lambda": LAMBDA, "rows": Categorical(("all", "trusted")), "left_out": Real(0.02, 0.7)},
        {"left_out": Condition("rows", ("trusted",))},
    )

    def bad_rows(self) -> int:
        """How many of the support rows are bad."""
        return round(self.share * self.world.n)

    def rows(self, n: int, rng: np.random.Generator) -> Array:
        """Draws ``(T, n, d)`` support rows one by one, since g chooses among them."""
        return rng.standard_normal((n, self.world.n, self.world.d))

    def spoil(self, task: LinearTask, rng: np.random.Generator) -> LinearTask:
        deviation, bad = self.wild * math.sqrt(self.world.zero_loss), self.bad_rows()
        noise = np.r_[deviation * rng.standard_normal(bad), task.noise[bad:]]
        return replace(task, signal=np.r_[np.zeros(bad), task.signal[bad:]], noise=noise)

    def fit(self, x: Array, y: Array, points: Points, k: int) -> Array:
        lambdas = np.array([c["lambda"] for c in points.configurations], float).reshape(-1, k)
        left_out = np.array([c.get("left_out", 0.0) for c in points.configurations], float).reshape(-1, k)
        return fit_trusted(x, y, lambdas, left_out)


def fit_trusted(x: Array, y: Array, lambdas: Array, left_out: Array, refits: int = 5) -> Array:
    """Trains on the rows with the smallest absolute residuals, again and again.

    Args:
        x: ``(T, n, d)``.
        y: ``(..., T, n)``.
        lambdas: ``(T, k)``.
        left_out: ``(T, k)`` share of rows that is left out.
        refits: How often the rows are chosen anew.

    References:
        Rousseeuw, Van Driessen: Computing LTS regression for large data sets (2006),
        https://doi.org/10.1007/s10618-005-0024-4
    """
    rows = np.ones((*y.shape[:-1], lambdas.shape[1], x.shape[1]))
    kept = np.maximum(1, np.round((1 - left_out) * x.shape[1]))
    weights = fit_ridge(x, y, lambdas, rows)
    for _ in range(refits):
        residuals = np.abs(y[..., None, :] - np.einsum("tnd,...tkd->...tkn", x, weights))
        ranks = np.argsort(np.argsort(residuals, axis=-1), axis=-1)
        weights = fit_ridge(x, y, lambdas, (ranks < kept[..., None]).astype(float))
    return weights


class NoisyWorld(LinearWorld):
    """The noise differs from task to task and can be seen: log sigma, standardised, is the context."""

    context_size: ClassVar[int] = 1
    spread: ClassVar[float] = 1.5
    """The deviation of log sigma over tasks."""

    def noise(self, n: int, rng: np.random.Generator, iteration: int) -> Array:
        return self.world.sigma * np.exp(self.spread * np.clip(rng.standard_normal(n), -2, 2))

    def contexts(self, sigmas: Array) -> Array:
        return np.log(sigmas / self.world.sigma)[:, None] / self.spread

    def reward(self, tasks: DrawnTasks, scores: Array) -> Array:
        noise = (self.world.sigma * np.exp(self.spread * tasks.contexts)) ** 2
        return scores / (noise + self.world.d * self.world.tau**2)


class DriftingWorld(LinearWorld):
    """The noise changes with time and cannot be seen: log sigma follows a wave."""

    period: ClassVar[int] = 800
    amplitude: ClassVar[float] = 1.5

    def sigma_at(self, iteration: int) -> float:
        """Returns the deviation of the noise in an iteration."""
        return self.world.sigma * math.exp(self.amplitude * math.sin(2 * math.pi * iteration / self.period))

    def noise(self, n: int, rng: np.random.Generator, iteration: int) -> Array:
        return np.full(n, self.sigma_at(iteration))


def bad_start(world: World) -> float:
    """Returns a lambda far too large: the loss is near that of predicting 0."""
    return min(1e3 * world.best_lambda, LAMBDA.high)


def settings_for(estimator: str, seed: int, world: World, **changes: Any) -> OuterSettings:
    """Returns how g learns in a linear world: from many small tasks, or from few large ones, which tell as much."""
    least, coefficients = TASKS
    tasks = max(least, coefficients // (1 + min(world.n, world.d)))
    common = {"tasks": tasks, "strategies": 4, "rate": 0.2, "convergence": Convergence()}
    return OuterSettings(**{"estimator": estimator, "seed": seed, **common, **changes})


def learn(
    world: LinearWorld, settings: OuterSettings, *, listener: Callable[[Progress], None] = lambda _: None
) -> tuple[TreeDistribution, OuterResult]:
    """Lets g learn in a world, from a bad start."""
    g = TreeDistribution(world.space, context_size=world.context_size)
    start = g.start(np.random.default_rng(settings.seed), at={"lambda": bad_start(world.world)}, spread=0.1)
    return g, run_outer(g, world, settings, start=start, listener=listener)


def lambdas_of(g: TreeDistribution, meta: Array, contexts: Array) -> Array:
    """Returns ``(T,)`` the most probable lambda for each context."""
    return np.array([c["lambda"] for c in g.mode(meta, contexts).configurations], float)


def base(world: World, settings: OuterSettings) -> dict[str, Any]:
    """Learns one lambda for all tasks."""
    g, result = learn(LinearWorld(world), settings)
    learned = float(lambdas_of(g, result.meta, g.no_context)[0])
    return report(world, result, learned)


def report(world: World, result: OuterResult, learned: float) -> dict[str, Any]:
    """Returns what was learned beside what is best."""
    best, start = world.best_lambda, bad_start(world)
    loss_learned, loss_optimal, loss_start = world.expected_loss(np.array([learned, best, start])).tolist()
    return {
        "lambda_start": start,
        "lambda_learned": learned,
        "lambda_optimal": best,
        "log_ratio": math.log(learned / best),
        "loss_start": loss_start,
        "loss_learned": loss_learned,
        "loss_optimal": loss_optimal,
        "excess": loss_learned / loss_optimal - 1,
    } | counts(result)


def counts(result: OuterResult) -> dict[str, Any]:
    """Returns what learning took."""
    return {
        "n_inner_trainings": MIRRORED * result.n_trainings,
        "iterations": result.iterations,
        "stop_reason": result.stop_reason,
        "seconds": round(result.seconds, 2),
    }


def corrupted(world: World, settings: OuterSettings) -> dict[str, Any]:
    """Learns lambda and which rows to trust, where a quarter of the targets is noise.

    The optimum is that of an oracle that is told which rows are bad. Beside it stands the best that
    lambda alone can do, over a fine grid: what is gained by choosing rows.
    """
    spoilt = CorruptedWorld(world)
    g, result = learn(spoilt, settings)
    point = g.mode(result.meta, g.no_context).configurations[0]
    tasks = spoilt.draw(4000, np.random.default_rng(1), iteration=0)
    clean = World(world.sigma, world.tau, world.n - spoilt.bad_rows(), world.d)
    grid = [{"lambda": x, "rows": "all"} for x in np.geomspace(1e-2, 1e5, 29)]
    return {
        "lambda_learned": point["lambda"],
        "lambda_optimal": world.best_lambda,
        "rows_learned": point["rows"],
        "left_out_learned": point.get("left_out", 0.0),
        "share_of_bad_rows": spoilt.bad_rows() / world.n,
        "loss_learned": loss_of(spoilt, g, tasks, point),
        "loss_optimal": float(clean.expected_loss(np.array(world.best_lambda))),
        "loss_lambda_alone": min(loss_of(spoilt, g, tasks, p) for p in grid),
    } | counts(result)


def loss_of(world: LinearWorld, g: TreeDistribution, tasks: DrawnTasks, point: dict[str, Any]) -> float:
    """Returns the mean squared error of one strategy over tasks."""
    draws = Draws(tasks.contexts, g.points([point] * len(tasks)), np.zeros((len(tasks), 1)))
    return -float(np.mean(world.train(tasks, draws, seed=0).scores))


def context(world: World, settings: OuterSettings) -> dict[str, Any]:
    """Learns lambda as a function of the noise that it sees.

    All losses are averages of the closed form over the distribution of the noise. `share_gained` is how much of
    what theory says a function gains over the best single lambda, was gained; the losses are relative to those
    of predicting 0, as the rewards are.
    """
    noisy = NoisyWorld(world)
    g, result = learn(noisy, settings)
    sigmas = noisy.noise(200, np.random.default_rng(2), 0)
    worlds = [World(float(s), world.tau, world.n, world.d) for s in sigmas]
    learned = lambdas_of(g, result.meta, noisy.contexts(sigmas))
    best = np.array([w.best_lambda for w in worlds])
    grid = np.geomspace(LAMBDA.low, LAMBDA.high, 97)
    single = np.mean([w.expected_loss(grid) / w.zero_loss for w in worlds], axis=0)
    loss = {
        name: float(np.mean([w.expected_loss(x) / w.zero_loss for w, x in zip(worlds, chosen, strict=True)]))
        for name, chosen in (("loss_learned", learned), ("loss_optimal", best))
    }
    return {
        "lambda_learned": float(lambdas_of(g, result.meta, g.no_context)[0]),
        "lambda_optimal": world.best_lambda,
        **loss,
        "loss_single": float(single.min()),
        "lambda_single": float(grid[single.argmin()]),
        "share_gained": (single.min() - loss["loss_learned"]) / (single.min() - loss["loss_optimal"]),
        "slope_learned": float(np.polyfit(np.log(sigmas), np.log(learned), 1)[0]),
        "slope_optimal": 2.0,
    } | counts(result)


def drift(world: World, settings: OuterSettings) -> dict[str, Any]:
    """Follows a noise that changes while g learns; there is nothing to converge to.

    Losses are averages of the closed form over the iterations after the first quarter of a period; the best
    single lambda for the whole time is what a g that stands still could reach.
    """
    drifting = DriftingWorld(world)
    seen: list[tuple[int, float]] = []

    def watch(progress: Progress) -> None:
        seen.append((progress.iteration, float(lambdas_of(g, progress.meta, g.no_context)[0])))

    g = TreeDistribution(drifting.space)
    start = g.start(np.random.default_rng(settings.seed), at={"lambda": bad_start(world)}, spread=0.1)
    most = min(settings.iterations, 2 * drifting.period)
    unending = replace(settings, convergence=None, iterations=most, tasks=2 * settings.tasks)
    result = run_outer(g, drifting, unending, start=start, listener=watch)
    late = [(drifting.sigma_at(i), x) for i, x in seen if i > drifting.period / 4][::10]
    worlds = [World(s, world.tau, world.n, world.d) for s, _ in late]
    grid = np.geomspace(LAMBDA.low, LAMBDA.high, 97)
    single = np.mean([w.expected_loss(grid) for w in worlds], axis=0)
    errors = [abs(math.log(x / w.best_lambda)) for w, (_, x) in zip(worlds, late, strict=True)]
    return {
        "lambda_learned": late[-1][1],
        "lambda_optimal": worlds[-1].best_lambda,
        "loss_learned": float(np.mean([w.expected_loss(np.array(x)) for w, (_, x) in zip(worlds, late, strict=True)])),
        "loss_optimal": float(np.mean([w.expected_loss(np.array(w.best_lambda)) for w in worlds])),
        "loss_single": float(single.min()),
        "mean_log_error": float(np.mean(errors)),
        "mean_log_error_single": float(np.mean([abs(math.log(grid[single.argmin()] / w.best_lambda)) for w in worlds])),
    } | counts(result)


def exact_gradient(world: World, g: TreeDistribution, meta: Array) -> Array:
    """Returns ``(W,)`` the gradient of the expected reward in closed form: the integral over lambda on a fine grid."""
    fine = replace(g, cells=1000)
    cells, log_sizes = fine.enumerate()
    lambdas = np.array([c["lambda"] for c in cells.configurations], float)
    rewards = -world.expected_loss(lambdas) / world.zero_loss
    masses = np.exp(np.asarray(g.log_prob(meta, g.no_context, cells)) + log_sizes)
    return ascend(lambda theta: (masses * rewards * g.log_prob(theta, g.no_context, cells)).sum(), meta)


def variances(world: World, settings: OuterSettings) -> dict[str, Any]:
    """Compares estimators: the variance of one estimate, summed over meta-parameters, times its trainings.

    It is what the variance would be if each could train once: smaller is better. `start` is at the bad start,
    `optimum` where g is done; `relative` ones are quotients to leave-one-out.
    """
    linear = LinearWorld(world)
    g = TreeDistribution(linear.space)
    found: dict[str, dict[str, float]] = {name: {} for name in GRADIENTS}
    for place, at in (("start", bad_start(world)), ("optimum", world.best_lambda)):
        meta = g.start(np.random.default_rng(0), at={"lambda": at}, spread=0.1)
        for name, gradient in GRADIENTS.items():
            estimates, memory, trainings = [], gradient.start(), 0
            for i in range(ESTIMATES):
                rng = np.random.default_rng([settings.seed, i])
                tasks = linear.draw(settings.tasks, rng, iteration=i)
                draws = gradient.draw(g, meta, tasks.contexts, settings.strategies, rng=rng)
                rewards = linear.rewards(tasks, linear.train(tasks, draws, seed=i))
                estimate = gradient.estimate(g, meta, draws, rewards, memory)
                memory, trainings = estimate.memory, MIRRORED * rewards.size
                estimates.append(estimate.gradient)
            found[name]["trainings"] = trainings
            found[name][place] = float(np.var(estimates[20:], axis=0, ddof=1).sum()) * trainings
        for row in found.values():
            row[f"{place}_relative"] = row[place] / found["leave_one_out"][place]
    return {"variances": found}


VARIANTS: Final[dict[str, Callable[[World, OuterSettings], dict[str, Any]]]] = {
    "base": base,
    "corrupted": corrupted,
    "context": context,
    "drift": drift,
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one variant and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sigma", type=positive, default=1.0, help="deviation of the noise")
    parser.add_argument("--tau", type=positive, default=1.0, help="deviation of the weights")
    parser.add_argument("--n", type=whole(1), default=20, help="support rows")
    parser.add_argument("--d", type=whole(1), default=5, help="features")
    parser.add_argument("--estimator", type=estimator, default="leave_one_out", help=", ".join(sorted(GRADIENTS)))
    parser.add_argument("--variant", choices=VARIANTS, default="base")
    parser.add_argument("--variances", action="store_true", help="compare the estimators' variances instead")
    parser.add_argument("--tasks", type=whole(1), help="tasks per iteration; default: by n and d")
    parser.add_argument("--iterations", type=whole(1), default=2000, help="the most there may be")
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    world = World(given.sigma, given.tau, given.n, given.d)
    if not LAMBDA.low * 10 <= world.best_lambda <= LAMBDA.high / 10:
        parser.error(
            f"expected sigma^2 / tau^2 between {LAMBDA.low * 10:g} and {LAMBDA.high / 10:g}, got {world.best_lambda:g}"
        )
    if given.n * given.d > MOST_NUMBERS:
        parser.error(f"expected n x d of at most {MOST_NUMBERS}, got {given.n * given.d}")
    begin = time.monotonic()
    tasks = {} if given.tasks is None else {"tasks": given.tasks}
    settings = settings_for(given.estimator, given.seed, world, iterations=given.iterations, **tasks)
    found = variances(world, settings) if given.variances else VARIANTS[given.variant](world, settings)
    found = {"variant": given.variant, "estimator": given.estimator, "seed": given.seed, **asdict(world), **found}
    found["seconds"] = round(time.monotonic() - begin, 2)
    print(json.dumps(found) if given.json else "\n".join(lines_of(found)))
    return 0


def lines_of(found: dict[str, Any]) -> list[str]:
    """Returns a line for each value, and a table of the variances."""
    lines = [f"{n:22} {v:.6g}" if isinstance(v, float) else f"{n:22} {v}" for n, v in found.items() if n != "variances"]
    for name, row in found.get("variances", {}).items():
        lines.append(f"{name:22} " + "  ".join(f"{key} {value:.4g}" for key, value in row.items()))
    return lines


def positive(text: str) -> float:
    """Reads a positive number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


def whole(least: int) -> Callable[[str], int]:
    """Returns a reader of whole numbers of at least so much."""

    def read(text: str) -> int:
        if not text.lstrip("-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text}")
        return int(text)

    return read


def estimator(text: str) -> str:
    """Reads the name of a gradient estimator."""
    try:
        return get_gradient(text).name
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
