"""The linear world against its closed form; the full settings are run by benchmarks/linear_world.py."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from examples.linear_world import (
    VARIANTS,
    CorruptedWorld,
    DriftingWorld,
    LinearWorld,
    NoisyWorld,
    World,
    bad_start,
    exact_gradient,
    fit_ridge,
    fit_trusted,
    learn,
    main,
    reduced_rows,
    settings_for,
)
from gstar.distribution import TreeDistribution
from gstar.gradients import GRADIENTS, Draws, get_gradient
from gstar.gradients.evolution import SCALE
from gstar.outer import Convergence

RNG = np.random.default_rng
FAST = {"tasks": 32, "rate": 0.4, "iterations": 60, "convergence": None}
BASE = {**FAST, "iterations": 200, "convergence": Convergence(window=40)}
SCRIPT = Path(__file__).parents[2] / "examples" / "linear_world.py"


def test_ridge_solves_its_normal_equations():
    x, y = RNG(0).standard_normal((2, 7, 3)), RNG(1).standard_normal((2, 2, 7))
    lambdas, rows = np.array([[0.1, 2.0], [5.0, 1e-3]]), RNG(2).integers(0, 2, (2, 2, 2, 7)).astype(float)
    plain, some = fit_ridge(x, y, lambdas), fit_ridge(x, y, lambdas, rows)
    for m, t, k in np.ndindex(2, 2, 2):
        ridge = lambdas[t, k] * np.eye(3)
        assert plain[m, t, k] == pytest.approx(np.linalg.solve(x[t].T @ x[t] + ridge, x[t].T @ y[m, t]))
        kept = x[t] * rows[m, t, k][:, None]
        assert some[m, t, k] == pytest.approx(np.linalg.solve(kept.T @ kept + ridge, kept.T @ y[m, t]))


@pytest.mark.parametrize(("n", "d"), [(7, 3), (3, 3), (2, 4)])
def test_reduced_rows_are_rows(n: int, d: int):
    drawn = RNG(0).standard_normal((20_000, n, d))
    reduced = reduced_rows(20_000, n, d, RNG(1))
    assert reduced.shape == (20_000, min(n, d), d)
    ridges = [np.log(np.linalg.eigvalsh(np.swapaxes(x, 1, 2) @ x + np.eye(d))) for x in (drawn, reduced)]
    for of in (lambda e: e, lambda e: e**2, lambda e: e[:, :1] * e):
        a, b = (of(e) for e in ridges)
        assert np.all(np.abs(a.mean(axis=0) - b.mean(axis=0)) < 4 * (a.std(axis=0) + b.std(axis=0)) / math.sqrt(20_000))


def test_with_mirrored_noise_the_chance_of_one_task_hides_less():
    world = World(1.0, 1.0, 500, 5)
    linear, g = LinearWorld(world), TreeDistribution(LinearWorld.space)
    tasks = linear.draw(400, RNG(0), iteration=0)
    draws = Draws(tasks.contexts, g.points([{"lambda": x} for x in (0.5, 2.0)] * 400), np.zeros((400, 2)))
    x, true, signal, noise = (
        np.stack([getattr(t, n) for t in tasks.items]) for n in ("x", "weights", "signal", "noise")
    )
    plain = ((linear.fit(x, signal + noise, draws.points, 2) - true[:, None]) ** 2).sum(axis=-1)
    losses = -linear.train(tasks, draws, seed=0).scores
    expected = float(np.diff(world.expected_loss(np.array([0.5, 2.0])))[0])
    for gains, most in ((np.diff(plain)[:, 0], 400), (np.diff(losses)[:, 0], 30)):
        assert abs(gains.mean() - expected) < 4 * gains.std() / 20
        assert gains.std() < most * expected
    assert np.diff(plain).std() > 5 * np.diff(losses).std()


@pytest.mark.parametrize(("sigma", "tau", "n", "d"), [(1.0, 1.0, 20, 5), (2.0, 0.5, 6, 10), (0.3, 2.0, 8, 1)])
def test_the_closed_form_is_what_training_gives(sigma: float, tau: float, n: int, d: int):
    world = World(sigma, tau, n, d)
    linear = LinearWorld(world)
    lambdas = world.best_lambda * np.array([0.1, 1.0, 10.0])
    tasks = linear.draw(6000, RNG(3), iteration=0)
    g = TreeDistribution(linear.space)
    points = g.points([{"lambda": float(x)} for _ in range(6000) for x in lambdas])
    losses = -linear.train(tasks, Draws(tasks.contexts, points, np.zeros((6000, 3))), seed=0).scores
    errors = losses.std(axis=0) / math.sqrt(6000)
    assert np.all(np.abs(losses.mean(axis=0) - world.expected_loss(lambdas)) < 4 * errors)


@pytest.mark.parametrize("world", [World(), World(3.0, 0.3, 4, 9), World(0.1, 3.0, 50, 2), World(1.0, 1.0, 1, 1)])
def test_no_lambda_is_better_than_sigma_squared_by_tau_squared(world: World):
    lambdas = world.best_lambda * np.exp(np.linspace(-3, 3, 61))
    losses = world.expected_loss(lambdas)
    assert lambdas[losses.argmin()] == pytest.approx(world.best_lambda)
    assert world.expected_loss(np.array(1e9)) == pytest.approx(world.zero_loss, rel=1e-4)


def smoothed(world: World, g: TreeDistribution, meta: np.ndarray) -> np.ndarray:
    """What evolution estimates: the gradient of the expected reward, averaged over its perturbations."""
    steps = SCALE * RNG(0).standard_normal((200, len(meta)))
    return np.mean([exact_gradient(world, g, meta + s) for step in steps for s in (step, -step)], axis=0)


ROOMY, FLAT, NARROW = World(1.0, 1.0, 10, 3), World(0.01, 1.0, 500, 5), World(100.0, 1.0, 4, 20)
OF_THE_MEAN = [name for name in GRADIENTS if name != "best_of"]
"""`best_of` climbs another objective, the best of three; tests/gradients/test_best_of.py checks it."""


@pytest.mark.parametrize(
    ("name", "world"),
    [*((name, ROOMY) for name in OF_THE_MEAN), ("leave_one_out", FLAT), ("leave_one_out", NARROW)],
    ids=str,
)
def test_gradients_agree_with_the_closed_form(name: str, world: World):
    linear, gradient = LinearWorld(world), get_gradient(name)
    g = TreeDistribution(linear.space)
    meta = g.start(RNG(0), at={"lambda": 10.0 * world.best_lambda}, spread=0.15)
    found, memory = [], gradient.start()
    for i in range(150):
        tasks = linear.draw(24, RNG([9, i]), iteration=i)
        draws = gradient.draw(g, meta, tasks.contexts, 8, rng=RNG([8, i]))
        rewards = linear.rewards(tasks, linear.train(tasks, draws, seed=i))
        estimate = gradient.estimate(g, meta, draws, rewards, memory)
        memory = estimate.memory
        found.append(estimate.gradient)
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / math.sqrt(len(found))
    expected = smoothed(world, g, meta) if name == "evolution" else exact_gradient(world, g, meta)
    assert np.all(np.abs(mean - expected) <= 3 * error)
    assert np.abs(mean[0]) > 4 * error[0], "the test can tell it from nothing"


@pytest.mark.parametrize(
    "corner",
    [World(1.0, 1.0, 5, 5), World(3.0, 0.5, 10, 10), World(0.01, 1.0, 500, 2), World(100.0, 1.0, 9, 2)],
    ids=str,
)
def test_g_finds_the_ridge_strength_from_a_bad_start(corner: World):
    found = VARIANTS["base"](corner, settings_for("leave_one_out", 0, corner, **BASE))
    assert found["lambda_start"] == bad_start(corner) >= 100 * corner.best_lambda
    assert abs(found["log_ratio"]) < 0.5
    assert found["excess"] < 0.01
    assert found["n_inner_trainings"] == 2 * found["iterations"] * 32 * 4, "with the noise, and with it mirrored"


def test_it_says_that_it_has_converged():
    test = Convergence(window=20, lowerings=0)
    world, changes = World(n=8, d=2), {**FAST, "convergence": test, "iterations": 500}
    found = VARIANTS["base"](world, settings_for("leave_one_out", 1, world, **changes))
    assert found["stop_reason"] == "converged"
    assert found["iterations"] < 500


def test_rows_with_large_residuals_are_left_out():
    x = RNG(0).standard_normal((1, 40, 2))
    y = x @ np.array([1.0, -2.0])
    y[0, :8] += 50.0
    all_rows, trusted = fit_trusted(x, y, np.full((1, 2), 1e-3), np.array([[0.0, 0.25]]))[0]
    assert np.abs(all_rows - [1.0, -2.0]).max() > 0.5
    assert trusted == pytest.approx([1.0, -2.0], abs=1e-3)


def test_where_rows_are_bad_g_learns_not_to_trust_them():
    world = World(n=24, d=3)
    settings = settings_for("leave_one_out", 0, world, **{**FAST, "strategies": 8, "tasks": 12, "iterations": 60})
    found = VARIANTS["corrupted"](world, settings)
    assert found["rows_learned"] == "trusted"
    assert found["share_of_bad_rows"] - 0.1 < found["left_out_learned"] < 0.6
    assert found["loss_learned"] < 0.7 * found["loss_lambda_alone"]
    assert CorruptedWorld(World(n=1)).bad_rows() == 0


def test_where_the_noise_is_seen_lambda_follows_it():
    world = World(n=8, d=4)
    found = VARIANTS["context"](world, settings_for("leave_one_out", 0, world, **{**FAST, "iterations": 150}))
    assert found["slope_learned"] == pytest.approx(2.0, abs=0.7)
    assert found["loss_optimal"] <= found["loss_learned"] < found["loss_single"]
    assert found["share_gained"] > 0.6


def test_the_context_is_the_noise():
    noisy = NoisyWorld(World(sigma=2.0))
    sigmas = noisy.noise(1000, RNG(0), 0)
    assert noisy.contexts(sigmas).std() == pytest.approx(1.0, abs=0.1)
    assert noisy.contexts(np.array([2.0])).tolist() == [[0.0]]


def test_g_follows_a_drift(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(DriftingWorld, "period", 120)
    world = World(n=8, d=4)
    found = VARIANTS["drift"](world, settings_for("leave_one_out", 0, world, rate=0.5))
    assert found["mean_log_error"] < 0.75 * found["mean_log_error_single"]
    assert found["stop_reason"] == "iterations"


def test_a_run_is_a_function_of_its_seed():
    settings = [settings_for("leave_one_out", seed, World(), **{**FAST, "iterations": 3}) for seed in (1, 1, 2)]
    first, again, other = (learn(LinearWorld(World()), s)[1].meta.tolist() for s in settings)
    assert first == again != other


def test_json_is_one_object(capsys: pytest.CaptureFixture):
    assert main(["--json", "--n", "8", "--d", "2", "--seed", "3", "--tasks", "8", "--iterations", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    found = json.loads(lines[0])
    wanted = {"lambda_learned", "lambda_optimal", "loss_learned", "loss_optimal", "n_inner_trainings", "stop_reason"}
    assert wanted <= found.keys()
    assert (found["stop_reason"], found["n_inner_trainings"]) == ("iterations", 2 * 20 * 8 * 4)
    assert found["lambda_optimal"] == 1.0


def test_without_json_it_prints_a_line_each(capsys: pytest.CaptureFixture):
    main(["--n", "8", "--d", "2", "--tasks", "4", "--iterations", "2"])
    assert "lambda_learned " in capsys.readouterr().out


def test_estimators_are_compared(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("examples.linear_world.ESTIMATES", 60)
    assert main(["--variances", "--json", "--tasks", "4", "--n", "8", "--d", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["variances"].keys() == GRADIENTS.keys()
    loo = found["variances"]["leave_one_out"]
    for row in found["variances"].values():
        assert row["start"] > 0
        assert row["optimum_relative"] == pytest.approx(row["optimum"] / loo["optimum"])
    assert found["variances"]["reinforce"]["trainings"] == 2 * 4 * 4
    assert found["variances"]["reinforce"]["start_relative"] > 1.2, "it does not know that tasks differ"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sigma", "0"], "expected a positive number, got 0"),
        (["--sigma", "-1"], "expected a positive number, got -1"),
        (["--tau", "nan"], "expected a positive number, got nan"),
        (["--tau", "inf"], "expected a positive number, got inf"),
        (["--sigma", "loud"], "expected a positive number, got loud"),
        (["--n", "0"], "expected a whole number of at least 1, got 0"),
        (["--d", "-3"], "expected a whole number of at least 1, got -3"),
        (["--n", "2.5"], "expected a whole number of at least 1, got 2.5"),
        (["--seed", "-1"], "expected a whole number of at least 0, got -1"),
        (["--estimator", "leave_on_out"], "Did you mean 'leave_one_out'"),
        (["--sigma", "1000", "--tau", "0.1"], "expected sigma^2 / tau^2 between"),
        (["--n", "1000000", "--d", "1000"], "expected n x d of at most"),
    ],
)
def test_nonsense_is_told_what_was_expected(arguments: list[str], message: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err


def test_it_is_a_script():
    ended = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True, check=True)
    assert "--estimator" in ended.stdout
