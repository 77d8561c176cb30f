"""The seven steps: what is learned, when it stops, and that a killed run ends as if it had not been."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gstar.distribution import TreeDistribution
from gstar.errors import NoModelError, UsageError
from gstar.gradients import GRADIENTS, get_gradient
from gstar.outer import CheckpointWarning, Convergence, OuterSettings, run_outer
from gstar.outer.loop import PULL_TASKS, REFERENCE_TASKS, _some
from gstar.space import Categorical, Real, Space
from tests.outer.arms import ARMS, BEST_X, SHORT, VALUE, Arms, chance, learn

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("natural", [None, False], ids=["natural", "plain"])
@pytest.mark.parametrize("estimator", GRADIENTS)
def test_every_estimator_finds_the_best_strategy(estimator: str, natural: bool | None):
    if estimator == "natural" and natural is False:
        pytest.skip("it is the natural gradient already")
    is_plain = natural is False or estimator == "evolution"
    g, result = learn(estimator=estimator, natural=natural, iterations=60, rate=0.1 if is_plain else 0.3)
    assert chance(g, result.meta) > (0.6 if is_plain else 0.9)
    if not is_plain:
        assert g.mode(result.meta, g.no_context).configurations[0]["x"] == pytest.approx(BEST_X, abs=0.25)


def test_the_reward_rises_and_entropy_falls():
    told = []
    learn(listener=told.append)
    assert [p.iteration for p in told] == list(range(1, 31))
    assert [p.n_trainings for p in told] == [32 * p.iteration for p in told]
    assert np.mean([p.reward for p in told[-5:]]) > np.mean([p.reward for p in told[:5]]) + 0.3
    assert told[-1].entropy < told[0].entropy - 0.5
    assert all(p.kl > 0 and p.reward_error > 0 and p.rate == 0.3 and p.n_failed == 0 for p in told)


@pytest.mark.parametrize("estimator", GRADIENTS)
def test_the_reward_is_what_g_expects(estimator: str):
    told, g = [], TreeDistribution(ARMS)
    start = g.start(np.random.default_rng(0), at={"arm": "worse"}, spread=0.7)
    learn(Arms(noise=0.0), estimator=estimator, tasks=200, iterations=1, start=start, listener=told.append)
    cells, sizes = g.enumerate()
    values = np.array([VALUE[c["arm"]] - 4 * (c.get("x", BEST_X) - BEST_X) ** 2 for c in cells.configurations])
    masses = np.exp(g.log_prob(start, g.no_context, cells) + sizes)
    assert told[0].reward == pytest.approx(masses @ values / masses.sum(), abs=0.1 if estimator != "exact" else 1e-9)
    assert abs(told[0].reward - values.mean()) > 0.3, "it is not the mean over all strategies"


def test_entropy_and_divergence_are_of_a_draw_of_many_tasks(monkeypatch: pytest.MonkeyPatch):
    seen = []
    ratio = TreeDistribution.mean_log_ratio
    monkeypatch.setattr(
        TreeDistribution,
        "mean_log_ratio",
        lambda g, m, o, c, *, powers: (seen.append((len(c), *powers)), ratio(g, m, o, c, powers=powers))[1],
    )
    for estimator, natural, tasks, taken in (
        ("leave_one_out", None, 100, PULL_TASKS),
        ("leave_one_out", None, PULL_TASKS, PULL_TASKS),
        ("exact", True, 100, 100),
    ):
        learn(estimator=estimator, natural=natural, tasks=tasks, entropy=0.5, kl=0.25, iterations=1)
        assert seen == [(taken, -0.75, -0.25), (REFERENCE_TASKS, -1, 0), (REFERENCE_TASKS, 1, 1)]
        seen.clear()


def test_every_task_may_be_among_the_drawn_ones():
    contexts, rng = np.arange(50.0)[:, None], np.random.default_rng(0)
    drawn = np.array([_some(contexts, rng)[:, 0] for _ in range(500)])
    assert all(len(set(row)) == PULL_TASKS for row in drawn.tolist())
    counts = np.bincount(drawn.astype(int).ravel(), minlength=50)
    assert np.all(np.abs(counts / 500 - PULL_TASKS / 50) < 0.1)
    assert _some(contexts[:PULL_TASKS], rng).tolist() == contexts[:PULL_TASKS].tolist()


def test_a_run_is_a_function_of_its_seed():
    first, again, other = (learn(seed=seed, iterations=5)[1].meta for seed in (3, 3, 4))
    assert first.tolist() == again.tolist() != other.tolist()


def test_it_stops_when_it_has_converged():
    g, result = learn(iterations=2000, convergence=SHORT)
    assert result.stop_reason == "converged"
    assert 20 <= result.iterations < 2000
    assert chance(g, result.meta) > 0.9


def test_the_rate_is_lowered_before_it_stops():
    told = []
    learn(iterations=2000, convergence=Convergence(window=10, lowerings=2, factor=0.5), listener=told.append)
    assert sorted({p.rate for p in told}, reverse=True) == [0.3, 0.15, 0.075, 0.0375]
    assert [p.rate for p in told] == sorted((p.rate for p in told), reverse=True)


@pytest.mark.parametrize(
    ("changes", "reason", "iterations"),
    [({"iterations": 4}, "iterations", 4), ({"budget_s": 0.0}, "budget", 0)],
    ids=["iterations", "budget"],
)
def test_it_says_what_else_stopped_it(changes: dict, reason: str, iterations: int):
    result = learn(**changes)[1]
    assert (result.stop_reason, result.iterations, result.n_trainings) == (reason, iterations, 32 * iterations)


def test_an_interrupt_keeps_what_was_learned():
    def stop(progress) -> None:
        if progress.iteration == 12:
            raise KeyboardInterrupt

    result = learn(listener=stop)[1]
    assert (result.stop_reason, result.iterations) == ("interrupted", 12)
    assert result.meta.tolist() == learn(iterations=12)[1].meta.tolist()


def _killed(folder: Path, name: str, *, dies_at: int, failpoint: str = "") -> int:
    """Returns the exit status of a run of `tests.outer.arms` with its own checkpoint."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "GSTAR_FAILPOINT": failpoint}
    command = [sys.executable, "-m", "tests.outer.arms", str(folder / f"{name}.safetensors"), str(folder / name)]
    return subprocess.run([*command, str(dies_at)], cwd=ROOT, env=environment, check=False).returncode


@pytest.mark.skipif(os.name == "nt", reason="it is killed as only POSIX systems do")
def test_after_kill_9_it_goes_on_to_the_same_result(tmp_path: Path):
    dead = -int(signal.SIGKILL)
    assert _killed(tmp_path, "one", dies_at=14) == dead
    assert _killed(tmp_path, "one", dies_at=0, failpoint="checkpoint.before_replace:kill") == dead, "while it writes"
    assert _killed(tmp_path, "one", dies_at=0) == 0
    whole = learn(reuse=2, ahead=1, entropy=0.1, convergence=SHORT, checkpoint=tmp_path / "two")[1]
    assert np.load(tmp_path / "one.npy").tolist() == whole.meta.tolist()


@pytest.mark.parametrize(("tasks", "ahead"), [(8, 0), (PULL_TASKS + 8, 0), (8, 2)])
def test_it_goes_on_from_a_checkpoint(tmp_path: Path, tasks: int, ahead: int):
    file, told, how = tmp_path / "g", [], {"tasks": tasks, "ahead": ahead, "entropy": 0.1, "kl": 0.1}
    learn(iterations=6, checkpoint=file, **how)
    parts = learn(iterations=9, checkpoint=file, listener=told.append, **how)[1]
    assert [p.iteration for p in told] == [7, 8, 9]
    assert parts.meta.tolist() == learn(iterations=9, **how)[1].meta.tolist()
    assert parts.n_trainings == 9 * 4 * tasks
    ended = learn(iterations=9, checkpoint=file, listener=told.append, **how)[1]
    assert len(told) == 3, "there is nothing left to do"
    assert (ended.stop_reason, ended.meta.tolist()) == ("iterations", parts.meta.tolist())


def test_a_full_disk_does_not_end_it(tmp_path: Path):
    file = tmp_path / "state"
    in_the_way = tmp_path / "state.part"

    def listener(progress):
        if progress.iteration == 2:
            in_the_way.mkdir(exist_ok=True)
        if progress.iteration == 5:
            in_the_way.rmdir()

    with pytest.warns(CheckpointWarning, match=r"could not be written.*It goes on") as caught:
        result = learn(iterations=4, checkpoint=file, listener=listener)[1]
    assert len(caught) == 1, "it says so once"
    assert result.meta.tolist() == learn(iterations=4)[1].meta.tolist()
    resumed = []
    with pytest.warns(CheckpointWarning):
        again = learn(iterations=7, checkpoint=file, listener=lambda p: (resumed.append(p.iteration), listener(p)))[1]
    assert resumed == [2, 3, 4, 5, 6, 7], "the last one that could be written is whole"
    assert again.meta.tolist() == learn(iterations=7)[1].meta.tolist()


def test_it_starts_where_it_is_told():
    g, result = learn(iterations=1, rate=1e-9)
    start = g.start(np.random.default_rng(0), at={"arm": "bad"}, spread=0.1)
    moved = learn(iterations=1, rate=1e-9, start=start)[1].meta
    assert moved == pytest.approx(start, abs=1e-6)
    assert result.meta == pytest.approx(g.start(np.random.default_rng(0)), abs=1e-6)


def test_divergence_from_the_start_holds_it_back():
    g, free = learn()
    held = learn(kl=10.0)[1]
    start = g.start(np.random.default_rng(0))
    far, near = (float(g.kl(r.meta, start, g.no_context)[0]) for r in (free, held))
    assert near < 0.1 * far


def test_entropy_keeps_it_curious_for_a_while():
    g, plain = learn()
    curious, later = (learn(entropy=5.0, entropy_halving=h)[1] for h in (10**6, 1))
    sure, unsure, sure_again = (float(g.entropy(r.meta, g.no_context)[0]) for r in (plain, curious, later))
    assert unsure > sure + 0.5
    assert sure_again < unsure - 0.5


def test_earlier_trials_are_used_again():
    again = learn(reuse=3, iterations=8)[1]
    assert again.meta.tolist() != learn(iterations=8)[1].meta.tolist()
    assert again.n_trainings == 8 * 32, "they are not counted twice"


class Logged(Arms):
    """Notes in which order iterations are begun and ended, and with which log-probabilities."""

    def __init__(self):
        super().__init__()
        self.log, self.drawn = [], []

    def begin(self, tasks, draws, *, seed):
        number = len(self.drawn) + 1
        self.log.append(f"+{number}")
        self.drawn.append(draws)

        def wait():
            self.log.append(f"-{number}")
            return self.train(tasks, draws, seed=seed)

        return wait


def test_iterations_are_begun_ahead_from_a_g_that_is_as_many_updates_old():
    orders, metas = {}, []
    for ahead in (0, 1, 2):
        world = Logged()
        g, _ = learn(world, iterations=4, ahead=ahead, listener=lambda p: metas.append(p.meta))
        orders[ahead] = " ".join(world.log)
    assert orders == {0: "+1 -1 +2 -2 +3 -3 +4 -4", 1: "+1 +2 -1 +3 -2 +4 -3 -4", 2: "+1 +2 +3 -1 +4 -2 -3 -4"}
    behind = [g.start(np.random.default_rng(0))] * 3 + metas[-4:-3]
    for draws, meta in zip(world.drawn, behind, strict=True):
        assert draws.log_probs.ravel() == pytest.approx(g.log_prob(meta, draws.contexts, draws.points))


@pytest.mark.parametrize("estimator", [name for name in GRADIENTS if get_gradient(name).handles_reuse])
def test_g_learns_as_well_from_what_was_drawn_ahead(estimator: str):
    g, result = learn(estimator=estimator, ahead=1, iterations=60)
    assert chance(g, result.meta) > 0.9


def test_the_state_does_not_grow_with_the_number_of_iterations(tmp_path: Path):
    test = Convergence(window=5, lowerings=10**6)
    sizes = []
    for iterations in (10, 40):
        learn(iterations=iterations, reuse=2, convergence=test, rate=1e-3, checkpoint=tmp_path / "g")
        sizes.append((tmp_path / "g").stat().st_size)
    assert sizes[1] < sizes[0] + 1000


@pytest.mark.parametrize("fails", [("worse",), ("bad", "worse")])
def test_failed_trials_count_as_bad_ones(fails: tuple[str, ...]):
    g, result = learn(Arms(fails))
    assert 0 < result.n_failed < result.n_trainings
    assert chance(g, result.meta) > 0.9
    assert np.all(np.isfinite(result.meta))


def test_it_turns_away_from_a_strategy_that_fails_though_its_scores_are_best():
    g, result = learn(Arms(("good",)))
    assert g.mode(result.meta, g.no_context).configurations[0]["arm"] == "bad"


def test_it_gives_up_when_everything_fails(tmp_path: Path):
    told = []
    with pytest.raises(NoModelError, match="Every trial of 3 iterations failed: it burst"):
        learn(Arms(tuple(VALUE)), listener=told.append)
    assert [p.n_failed for p in told] == [32, 64]


def test_bad_luck_is_not_the_end():
    class Late(Arms):
        def train(self, tasks, draws, *, seed):
            self.fails = tuple(VALUE) if self.calls % 3 else ()
            self.calls += 1
            return super().train(tasks, draws, seed=seed)

    world = Late()
    world.calls = 1
    assert learn(world, iterations=12)[1].n_failed == 8 * 32


def test_a_space_with_one_point_has_converged_at_once():
    space = Space({"arm": Categorical(("good",)), "x": Real(0.5, 0.5)})
    g, result = learn(space=space, convergence=SHORT, iterations=500)
    assert result.stop_reason == "converged"
    assert g.mode(result.meta, g.no_context).configurations == ({"arm": "good", "x": 0.5},)


@pytest.mark.parametrize("estimator", GRADIENTS)
def test_one_task_and_one_strategy_are_enough(estimator: str):
    result = learn(Arms(n_tasks=1), estimator=estimator, tasks=1, strategies=1, iterations=5)[1]
    assert np.all(np.isfinite(result.meta))


def test_a_world_that_shows_another_context_is_refused():
    with pytest.raises(UsageError, match="Expected contexts of 0 values, but the world's have 2"):
        learn(Arms(context_size=2))


def test_it_needs_no_convergence_test_and_no_listener():
    g = learn(iterations=1)[0]
    result = run_outer(g, Arms(), OuterSettings(tasks=2, strategies=2, iterations=1))
    assert result.stop_reason == "iterations"
    assert g.space is ARMS
