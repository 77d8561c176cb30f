"""Meta-training on a person's own tasks: what is read, what is learned, what a kill and bad input leave."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from gstar.contexts import NAMES
from gstar.distribution import TreeDistribution
from gstar.errors import GstarError, NoModelError, UntrustedFileError, UsageError
from gstar.executors import SerialExecutor
from gstar.experience import Experience
from gstar.families import Family, space_of
from gstar.inputs import Images
from gstar.learned import Learned
from gstar.learner import register_learner
from gstar.metatraining import default_settings, informed_start, meta_train
from gstar.metric import METRICS, TaskKind
from gstar.outer import Convergence, OuterSettings, run_outer
from gstar.space import Categorical, Space
from gstar.strategy import Strategy
from gstar.task import Task
from gstar.testing import evil
from gstar.trace import checkpoint_of, read_trace, root_chances
from gstar.weights import WEIGHTS, Source, Weights, WeightsWarning
from gstar.worlds.live import LiveTask, LiveWorld
from tests.begins import Begins
from tests.worlds.test_live import make_task

SETTINGS = OuterSettings(
    tasks=2,
    strategies=2,
    natural=False,
    rate=0.03,
    entropy=0.01,
    reuse=1,
    ahead=1,
    iterations=3,
    convergence=Convergence(window=4),
)


def families(n: int = 2) -> list[Family]:
    return [Family(make_task(i), f"family{i}") for i in range(n)]


def cheap_space() -> Space:
    return space_of("constant,neighbors", [make_task()])


def learn(out: Path, *, n: int = 2, space: Space | None = None, **changes) -> Learned:
    options = {k: changes.pop(k) for k in ("workers", "experience", "trial_s", "learners", "listener") if k in changes}
    settings = replace(SETTINGS, **changes)
    return meta_train(families(n), space or cheap_space(), out=out, settings=settings, **options)


def test_g_learns_and_is_saved(tmp_path):
    learned = learn(tmp_path / "g", iterations=12, strategies=4, convergence=None)
    assert learned.about["stop_reason"] == "iterations"
    assert learned.about["trials"] == 96
    assert learned.about["failed"] == 0
    assert learned.about["families"] == ["family0", "family1"]
    lines = read_trace(tmp_path / "g")
    assert [line["iteration"] for line in lines] == list(range(1, 13))
    first, last = (line["chances"]["table"]["neighbors"] for line in (lines[0], lines[-1]))
    assert last > first + 0.1
    np.testing.assert_array_equal(Learned.load(tmp_path / "g").meta, learned.meta)


def test_the_same_at_one_and_two_workers(tmp_path):
    one, two = (learn(tmp_path / f"g{workers}", workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(one.meta, two.meta)
    assert read_trace(tmp_path / "g1") == read_trace(tmp_path / "g2")


KILLED = """
import os, signal
from pathlib import Path
from tests.test_metatraining import learn, learn_to_begin
def listener(progress):
    if progress.iteration == 3:
        os.kill(os.getpid(), signal.SIGKILL)
{call}(Path({out!r}), {weights}iterations=5, listener=listener)
"""


@pytest.mark.parametrize("with_weights", [False, True])
def test_after_a_kill_it_goes_on_to_the_same_result(tmp_path, with_weights):
    def learn_more(out: Path, **options) -> Learned:
        return learn_to_begin(out, tmp_path / "w", **options) if with_weights else learn(out, **options)

    keep(tmp_path / "w", images_of(5))
    whole = learn_more(tmp_path / "whole", iterations=5)
    out = tmp_path / "killed"
    weights = f"Path({str(tmp_path / 'w')!r}), " if with_weights else ""
    call = "learn_to_begin" if with_weights else "learn"
    code = textwrap.dedent(KILLED).format(call=call, out=str(out), weights=weights)
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent, check=False, timeout=300)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    assert len(read_trace(out)) == 3
    seen = []
    resumed = learn_more(out, iterations=5, listener=lambda progress: seen.append(progress.iteration))
    assert seen == [3, 4, 5]
    np.testing.assert_array_equal(resumed.meta, whole.meta)
    assert {**resumed.about} == {**whole.about}
    assert read_trace(out) == read_trace(tmp_path / "whole")


def test_a_trace_that_cannot_be_written_does_not_end_it(tmp_path):
    def listener(progress):
        if progress.iteration == 1:
            (tmp_path / "g.trace.jsonl").unlink()
            (tmp_path / "g.trace.jsonl").mkdir()

    assert learn(tmp_path / "g", iterations=2, listener=listener).about["iterations"] == 2


def test_more_iterations_go_on_where_it_stood(tmp_path):
    whole = learn(tmp_path / "whole", iterations=4)
    learn(tmp_path / "parts", iterations=2)
    parts = learn(tmp_path / "parts", iterations=4)
    np.testing.assert_array_equal(parts.meta, whole.meta)


def test_a_line_that_a_kill_cut_off_is_mended(tmp_path):
    learn(tmp_path / "g", iterations=2)
    trace = tmp_path / "g.trace.jsonl"
    trace.write_text(trace.read_text() + '{"iteration": Infinity}\n{"iteration": 3, "rew')
    learn(tmp_path / "g", iterations=4)
    assert [json.loads(line)["iteration"] for line in trace.read_text().splitlines()] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "match"), [({"n": 3}, "of another run"), ({"trial_s": 7.0}, "of another run"), ({"seed": 9}, "seed")]
)
def test_a_checkpoint_of_another_run_is_refused_and_kept(tmp_path, changes, match):
    learn(tmp_path / "g", iterations=1)
    files = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(UsageError, match=match):
        learn(tmp_path / "g", **{"iterations": 2, **changes})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == files


def test_a_damaged_checkpoint_is_refused_and_kept(tmp_path):
    learn(tmp_path / "g", iterations=1)
    content = checkpoint_of(tmp_path / "g").read_bytes()
    checkpoint_of(tmp_path / "g").write_bytes(content[:50])
    with pytest.raises(UntrustedFileError, match="Delete it to begin anew"):
        learn(tmp_path / "g")
    assert (tmp_path / "g").exists()


def test_one_task_and_a_space_with_one_point(tmp_path):
    space = Space({"learner": Categorical(("constant",)), "selection.kind": Categorical(("all",))})
    learned = learn(tmp_path / "g", n=1, space=space, iterations=8, convergence=Convergence(window=4, lowerings=0))
    assert learned.about["tasks"] == 1
    assert np.isfinite(learned.meta).all()
    assert read_trace(tmp_path / "g")[-1]["chances"] == {"table": {"constant": 1.0}}
    assert read_trace(tmp_path / "g")[-1]["entropy"] == 0.0


@pytest.mark.parametrize(
    ("learner", "cause"),
    [(evil.Diverger, "not finite"), (evil.Raiser, "does not like"), (evil.Sleeper, "killed after 0.5 s")],
)
def test_a_learner_that_fails_always_ends_it_and_says_why(tmp_path, learner, cause):
    space = Space({"learner": Categorical((learner.name,)), "selection.kind": Categorical(("all",))})
    with pytest.raises(NoModelError, match=cause):
        learn(
            tmp_path / "g", space=space, tasks=1, strategies=1, reuse=0, learners=[learner()],
            trial_s=0.5 if learner is evil.Sleeper else 20.0,
        )  # fmt: skip


def test_a_learner_that_fails_is_given_up_for_one_that_works(tmp_path):
    space = Space(
        {"learner": Categorical(("raiser", "constant")), "selection.kind": Categorical(("all",))},
    )
    learned = learn(tmp_path / "g", space=space, learners=[evil.Raiser()], iterations=10, strategies=4)
    assert 0 < learned.about["failed"] < learned.about["trials"]
    assert read_trace(tmp_path / "g")[-1]["chances"]["table"]["constant"] > 0.6


def test_a_task_that_cannot_be_scored_is_named(tmp_path):
    task = replace(make_task(), target=np.r_[np.zeros(59, int), 1], metric=METRICS["roc_auc"])
    with pytest.raises(GstarError, match="toy0 cannot be learned from: Expected roc_auc"):
        meta_train([Family(task, "one")], cheap_space(), out=tmp_path / "g", settings=SETTINGS)


def test_every_trial_is_remembered(tmp_path):
    with Experience.open(f"sqlite:///{tmp_path}/e.sqlite") as experience:
        learn(tmp_path / "g", iterations=2, experience=experience)
        runs = experience.runs(limit=9)
        assert sum(run.trials for run in runs) == 8
        assert [run.status for run in runs] == ["completed"] * 2


def test_g_is_kept_among_the_policies_and_trials_name_it(tmp_path):
    with Experience.open(f"sqlite:///{tmp_path}/e.sqlite") as experience:
        learned = learn(tmp_path / "g", iterations=2, experience=experience)
        learn(tmp_path / "g", iterations=2, experience=experience)
        (kept,) = experience.policies("gradient")
        np.testing.assert_array_equal(kept.weights["meta"], learned.meta)
        first, *_ = kept.evidence["fingerprints"]
        versions = {t.proposal.policy_version for t in experience.history(first, METRICS["log_loss"].name)}
        assert versions == {kept.version.rpartition("-")[0]}
        experience.forget(first)
        (left,) = experience.policies("gradient")
        assert first not in str(left.evidence)


def test_it_stops_when_the_budget_is_over(tmp_path):
    learned = meta_train(families(1), cheap_space(), out=tmp_path / "g", settings=SETTINGS, budget_s=1e-9)
    assert learned.about["stop_reason"] == "budget"
    assert learned.about["iterations"] == 0


def test_the_default_settings_reuse_trials_and_draw_ahead_where_the_estimator_can():
    assert (default_settings().reuse, default_settings().ahead) == (2, 1)
    assert (default_settings(estimator="evolution").reuse, default_settings(estimator="evolution").ahead) == (0, 0)


def test_memory_does_not_grow_with_the_number_of_trials():
    space = Space({"learner": Categorical(("constant",)), "selection.kind": Categorical(("all", "balanced"))})
    settings = replace(SETTINGS, iterations=60, convergence=Convergence(window=10, lowerings=99))
    held: list[int] = []

    def listener(progress):
        if progress.iteration in (30, 60):  # what is imported late is there by then
            gc.collect()  # how often it comes on its own depends on what other tests left
            held.append(tracemalloc.get_traced_memory()[0])

    with SerialExecutor() as executor, LiveWorld([LiveTask.of(make_task())], executor) as world:
        tracemalloc.start()
        run_outer(TreeDistribution(space, context_size=world.context_size), world, settings, listener=listener)
        tracemalloc.stop()
    assert held[1] - held[0] < 120 * 500  # 120 trials lie between


def images_of(seed: int, *, name: str = "") -> Task:
    pixels = np.clip(np.random.default_rng(seed).normal(60 + 10 * seed, 20, (60, 1, 5, 5)), 0, 255).astype(np.uint8)
    target = np.arange(60) % 8 > 0
    return Task(
        name or f"images{seed}", TaskKind.BINARY, METRICS["log_loss"], Images(pixels), target.astype(int), ("a", "b")
    )


def keep(folder: Path, task: Task, body: float = 0.8, origin: Path | None = None) -> Source:
    """Remembers a network of a task in a folder."""
    strategy, parts = Strategy("begins", {"width": 8, "epochs": 1}), {WEIGHTS: save({"body": np.array([body])})}
    kept = Weights(folder, quota_mb=1.0).keep(task, strategy, parts, run="r", origin=origin)
    assert kept is not None
    return kept


def learn_to_begin(out: Path, weights: Path | None, *, tasks: Sequence[Family] = (), **changes) -> Learned:
    """Meta-trains a learner whose networks predict a constant, the right one if they begin with the right weights."""
    register_learner(Begins())
    tasks = tasks or [Family(images_of(i), f"family{i}") for i in range(2)]
    options = {k: changes.pop(k) for k in ("workers", "experience", "listener") if k in changes}
    return meta_train(
        tasks,
        space_of("begins,constant", [family.task for family in tasks]),
        out=out,
        settings=replace(SETTINGS, **changes),
        learners=[Begins()],
        weights=None if weights is None else Weights(weights, quota_mb=1.0),
        **options,
    )


class TestRememberedWeights:
    def test_g_learns_when_to_begin_with_them(self, tmp_path):
        source = keep(tmp_path / "w", images_of(5))
        learned = learn_to_begin(tmp_path / "g", tmp_path / "w", iterations=9, strategies=4)
        assert learned.about["tasks_with_weights"] == 2
        first, *_, last = (line["init"] for line in read_trace(tmp_path / "g"))
        assert sum(last.values()) == pytest.approx(1.0)
        assert list(last) == ["scratch", "fine_tuned", "frozen"]
        assert last["scratch"] < first["scratch"] - 0.1
        assert Learned.load(tmp_path / "g").g.space.conditions["init.kind"].values == ("begins",)
        assert [path.stem for path in (tmp_path / "w").iterdir()] == [source.hash], "no network of it is kept"

    def test_the_same_at_one_and_two_workers(self, tmp_path):
        keep(tmp_path / "w", images_of(5))
        one, two = (learn_to_begin(tmp_path / f"g{n}", tmp_path / "w", workers=n) for n in (1, 2))
        np.testing.assert_array_equal(one.meta, two.meta)
        assert read_trace(tmp_path / "g1") == read_trace(tmp_path / "g2")

    @pytest.mark.parametrize("seed", [3, 12], ids=["nearer", "farther"])
    def test_only_weights_that_would_be_used_instead_make_it_another_meta_training(self, tmp_path, seed):
        keep(tmp_path / "w", images_of(5))
        whole = learn_to_begin(tmp_path / "whole", tmp_path / "w", iterations=4)
        learn_to_begin(tmp_path / "g", tmp_path / "w", iterations=2)
        keep(tmp_path / "w", images_of(seed))
        if seed == 3:
            files = {p.name: p.read_bytes() for p in tmp_path.glob("g*")}
            with pytest.raises(UsageError, match="another run, with other tasks or remembered weights"):
                learn_to_begin(tmp_path / "g", tmp_path / "w", iterations=4)
            assert {p.name: p.read_bytes() for p in tmp_path.glob("g*")} == files
        else:
            resumed = learn_to_begin(tmp_path / "g", tmp_path / "w", iterations=4)
            np.testing.assert_array_equal(resumed.meta, whole.meta)

    @pytest.mark.parametrize("kin", ["fingerprint", "family", "name", "rows", "sibling", "remembered", "descendant"])
    def test_what_is_of_the_same_family_is_never_begun_with(self, tmp_path, kin):
        tasks = [Family(images_of(0, name="one"), "numbers"), Family(images_of(1), "numbers")]
        with Experience.open(f"sqlite:///{tmp_path}/e.sqlite") as experience:
            source = {
                "fingerprint": images_of(0, name="else"),
                "sibling": images_of(1),
                "family": images_of(7, name="numbers"),
                "name": images_of(7, name="one"),
                "rows": replace(images_of(0), target=1 - images_of(0).target),
            }.get(kin, images_of(7))
            if kin == "remembered":
                learn_to_begin(tmp_path / "old", None, tasks=[Family(source, "numbers")], iterations=1,
                               experience=experience)  # fmt: skip
            origin = keep(tmp_path / "other", images_of(1)).path if kin == "descendant" else None
            keep(tmp_path / "w", source, origin=origin)
            with pytest.warns(WeightsWarning, match="No weights are remembered that one of these tasks could begin"):
                learned = learn_to_begin(
                    tmp_path / "g", tmp_path / "w", tasks=tasks, iterations=1, experience=experience
                )
        assert "init.kind" not in learned.g.space.parameters
        assert learned.about["tasks_with_weights"] == 0

    def test_each_family_begins_with_weights_of_the_others(self, tmp_path):
        kept = [keep(tmp_path / "w", images_of(i)) for i in range(2)]
        begun: dict[int, int] = {}
        with Experience.open(f"sqlite:///{tmp_path}/e.sqlite") as experience:
            learn_to_begin(tmp_path / "g", tmp_path / "w", iterations=3, strategies=4, experience=experience)
            (policy,) = experience.policies("gradient")
            assert {source.task for source in kept} <= set(policy.evidence["fingerprints"])
            for i in range(2):
                trials = experience.history(images_of(i).fingerprint, "log_loss")
                begun[i] = sum(bool(t.strategy.init) for t in trials)
        assert begun[0] > 0
        assert begun[1] > 0

    def test_tables_and_learners_that_cannot_begin_are_as_without(self, tmp_path):
        plain = learn(tmp_path / "plain", iterations=1)
        keep(tmp_path / "w", images_of(5))
        same = meta_train(
            families(), cheap_space(), out=tmp_path / "g", settings=replace(SETTINGS, iterations=1),
            weights=Weights(tmp_path / "w", quota_mb=1.0),
        )  # fmt: skip
        np.testing.assert_array_equal(same.meta, plain.meta)


class TestInformedStart:
    def chances(self, context: dict[str, float], hidden: int = 0) -> dict[str, float]:
        space = space_of("linear,flat_linear,constant", [make_task()])
        g = TreeDistribution(space, context_size=len(NAMES), hidden=hidden)
        contexts = np.array([[context.get(name, 0.0) for name in NAMES]])
        return root_chances(g, informed_start(g, seed=0), contexts)

    def test_a_learner_is_not_drawn_for_a_form_that_it_does_not_take(self):
        on_images = self.chances({"is_images": 1.0, "is_binary": 1.0, "log_rows": 0.4})
        assert on_images["linear"] < 0.001
        assert on_images["flat_linear"] > 0.4
        on_tables = self.chances({"is_table": 1.0, "is_binary": 1.0, "log_rows": 0.4})
        assert on_tables["flat_linear"] < 0.001
        assert on_tables["linear"] > 0.4

    def test_a_network_begins_broad(self):
        chances = self.chances({"is_images": 1.0}, hidden=3)
        assert chances == pytest.approx({"linear": 1 / 3, "flat_linear": 1 / 3, "constant": 1 / 3})
