"""The main job: repeats bit for bit, survives every learner, remembers, and can be stopped."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from gstar.budget import Budget
from gstar.errors import NoModelError, StorageError, UsageError
from gstar.experience import Experience
from gstar.learner import get_learner
from gstar.policy import AbstractPolicy
from gstar.reading import make_task
from gstar.search import search
from gstar.strategy import Strategy
from gstar.testing import evil
from gstar.trial import Proposal, Status
from tests.begins import Begins

QUICK = ["linear", "neighbors"]
HALVES = ((np.arange(60), np.arange(60, 120)), (np.arange(60, 120), np.arange(60)))
SEEDED = ("random", ["linear", "neighbors", "extra_trees"])


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(1)
    numbers = rng.normal(size=(120, 4))
    labels = np.where(numbers[:, 0] * numbers[:, 1] + 0.5 * numbers[:, 2] > 0, "yes", "no")
    return make_task(numbers, labels, name="toy")


class Recorder:
    def __init__(self, stop_after=None):
        self.events = []
        self.stop_after = stop_after

    def notify(self, event):
        self.events.append(event)
        ended = sum(e.kind == "trial_ended" for e in self.events)
        if event.kind == "trial_ended" and ended == self.stop_after:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("policy", "learners"), [("gaussian", QUICK), ("portfolio", QUICK), SEEDED])
def test_a_budget_in_trials_repeats_at_any_number_of_workers(task, policy, learners):
    results = [
        search(task, budget_s=None, trials=5, policy=policy, learners=learners, workers=workers, seed=3, folds=HALVES)
        for workers in (0, 1, 2)
    ]
    first = results[0]
    assert len(first.trials) == 6
    assert {t.strategy.learner for t in first.trials} == {"constant", *learners}
    for other in results[1:]:
        assert [t.strategy for t in other.trials] == [t.strategy for t in first.trials]
        assert [t.score for t in other.trials] == [t.score for t in first.trials]
        assert other.weights == first.weights
        np.testing.assert_array_equal(other.model.predict_inputs(task.inputs), first.model.predict_inputs(task.inputs))


def test_the_ensemble_is_not_worse_than_its_best_model_by_much(task):
    result = search(task, budget_s=None, trials=6, learners=QUICK, workers=0, folds=HALVES)
    best = max(t.score for t in result.trials if t.score is not None)
    assert result.score > best - 0.05
    assert sum(result.weights.values()) == pytest.approx(1.0)
    assert set(result.model.predict(np.zeros((2, 4)))) <= {"yes", "no"}


def test_models_that_will_not_be_combined_are_removed_on_the_way(task):
    kept = []

    class Looker(Recorder):
        def notify(self, event):
            super().notify(event)
            if event.kind == "ensembling":
                trials = [e.trial for e in self.events if e.trial is not None]
                kept.extend(t for t in trials if Path(str(t.extra["folder"])).exists())

    given = {"trials": 9, "learners": QUICK, "policy": "random", "folds": HALVES}
    result = search(task, budget_s=None, workers=0, listener=Looker(), **given)
    best = {n: sorted((t.score for t in result.trials if t.strategy.learner == n), reverse=True)[:2] for n in QUICK}
    assert all(t.score in best[t.strategy.learner] for t in kept if t.number < 8), "the last generation is still there"
    assert set(result.weights) <= {t.number for t in kept}
    assert len(kept) < len(result.trials)


def test_every_evil_learner_ends_in_a_trial_and_the_baseline_is_left(task):
    learners = [learner() for learner in (evil.Segfaulter, evil.Raiser, evil.Exiter, evil.Diverger)]
    result = search(task, budget_s=None, trials=4, learners=learners, workers=2, policy="random")
    assert {t.status for t in result.trials[1:]} <= {Status.CRASHED, Status.FAILED}
    assert len(result.trials) == 5
    assert [m.strategy.learner for m in result.model.members] == ["constant"]


def test_a_learner_that_ignores_its_deadline_is_killed_when_the_budget_is_over(task):
    result = search(task, budget_s=3.0, learners=[evil.Sleeper()], workers=1, policy="random")
    assert {t.status for t in result.trials[1:]} == {Status.OUT_OF_TIME}
    assert [m.strategy.learner for m in result.model.members] == ["constant"]


def test_the_baseline_is_never_cut_short(task, monkeypatch):
    monkeypatch.setattr(Budget, "allowance_s", lambda self, seconds: 1e-9)
    result = search(task, budget_s=0.5, learners=QUICK, workers=1, folds=HALVES)
    assert result.trials[0].completed


def test_an_interrupt_keeps_the_best_model_so_far(task):
    recorder = Recorder(stop_after=3)
    result = search(task, budget_s=None, trials=50, learners=QUICK, workers=0, folds=HALVES, listener=recorder)
    assert result.interrupted
    assert result.stop_reason == "interrupted"
    assert 3 <= len(result.trials) < 50
    assert result.model.predict(np.zeros((1, 4))).shape == (1,)


def test_everything_is_remembered_and_the_next_fit_knows_it(task, tmp_path):
    path = tmp_path / "experience.db"
    with Experience.open(path, shipped=False) as experience:
        first = search(task, budget_s=None, trials=3, learners=QUICK, workers=0, folds=HALVES, experience=experience)
        stored = experience.trials(run=first.run)
        assert [t.number for t in stored] == [t.number for t in first.trials]
        assert [t.score for t in stored] == [t.score for t in first.trials]
        records = experience.knowledge(task.kind, task.metric.name)
        assert records.tasks == (task.fingerprint,)
        second = search(task, budget_s=None, trials=3, learners=QUICK, workers=0, folds=HALVES, experience=experience)
        assert {r.id for r in experience.runs()} == {first.run, second.run}
        assert {r.status for r in experience.runs()} == {"completed"}
    assert "toy" not in {str(v) for t in stored for v in t.strategy.configuration.values()}


class BrokenExperience:
    """Is an experience whose disk is full from the start."""

    weights = None

    def __getattr__(self, name):
        if name == "knowledge":
            return Experience.open(mode="off", shipped=False).knowledge

        def fail(*_, **__):
            raise StorageError("no space left on device")

        return fail


def test_a_full_disk_does_not_cost_the_model(task):
    result = search(
        task, budget_s=None, trials=2, learners=QUICK, workers=0, folds=HALVES, experience=BrokenExperience()
    )
    assert len(result.trials) == 3
    assert any("no space left" in note for note in result.notes)


def test_events_tell_what_happens(task):
    recorder = Recorder()
    search(task, budget_s=None, trials=2, learners=QUICK, workers=0, folds=HALVES, listener=recorder)
    kinds = [e.kind for e in recorder.events]
    assert kinds[0] == "started"
    assert kinds[-2:] == ["ensembling", "done"]
    assert kinds.count("trial_ended") == 3
    assert recorder.events[-1].trials_left == 0
    assert recorder.events[-1].best_score is not None


def test_a_temporary_folder_that_cannot_be_written_is_named(task, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(StorageError, match="TMPDIR"):
        search(task, budget_s=None, trials=1, learners=["linear"], workers=0)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"budget_s": None}, "got neither"),
        ({"budget_s": 0.0}, "positive budget"),
        ({"budget_s": None, "trials": 0}, "positive budget"),
        ({"trials": 1, "learners": ["liner"]}, "Did you mean 'linear'"),
        ({"trials": 1, "workers": -1}, "workers >= 0"),
    ],
)
def test_wrong_arguments_are_refused(task, given, match):
    with pytest.raises(UsageError, match=match):
        search(task, **given)


def test_three_rows_still_give_a_model(tmp_path):
    tiny = make_task({"a": [1.0, 2.0, 3.5], "b": ["x", "y", "y"]}, ["no", "yes", "no"])
    result = search(tiny, budget_s=None, trials=2, learners=QUICK, workers=0)
    assert result.model.metric == "log_loss"
    assert any("not defined on so few rows" in note for note in result.notes)
    assert len(result.model.predict({"a": [1.0], "b": ["z"]})) == 1


def test_a_run_without_any_model_is_remembered_as_failed(task, tmp_path):
    def never(y, labels):
        return float("nan")

    numbers = make_task(np.arange(20.0)[:, None], np.sqrt(np.arange(20.0)), metric=never)
    with Experience.open(tmp_path / "e.sqlite", shipped=False) as experience:
        with pytest.raises(NoModelError, match="never is not defined"):
            search(numbers, budget_s=None, trials=1, learners=QUICK, workers=0, experience=experience)
        assert [r.status for r in experience.runs()] == ["failed"]


def test_groups_never_straddle_and_weights_count(task):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(80, 2))
    target = numbers[:, 0] + rng.normal(size=80)
    grouped = make_task(
        {"a": numbers[:, 0], "b": numbers[:, 1], "who": rng.integers(0, 9, 80), "y": target},
        target="y",
        group_by="who",
        weights=rng.random(80) + 0.5,
    )
    result = search(grouped, budget_s=None, trials=1, learners=["linear"], workers=0)
    assert result.trials[1].completed
    assert Path(result.run).name == result.run


def images_of(seed, n=60):
    pixels = np.random.default_rng(seed).integers(0, 200, (n, 1, 5, 5), np.uint8)
    return make_task(pixels, np.array(["a", "b"])[np.arange(n) % 2], name=f"images {seed}", metric="log_loss")


def search_images(place, seed, *, trials=3, weights_mb=1.0, mode="on", **options):
    with Experience.open(place, mode=mode, weights_mb=weights_mb) as experience:
        return search(
            images_of(seed), budget_s=None, trials=trials, learners=[Begins()], experience=experience, **options
        )


def sources_of(trial):
    return trial.proposal.source


def inits(result):
    return [t.strategy.init.get("body", "scratch") for t in result.trials[1:]]


def test_a_similar_task_hands_on_its_weights(tmp_path):
    place = tmp_path / "e.sqlite"
    assert inits(search_images(place, 0, workers=0)) == ["scratch"] * 3
    result = search_images(place, 1, workers=0)
    assert inits(result) == ["scratch", "fine_tuned", "frozen"]
    tuned = result.trials[2]
    tuned_is_best = bool(max((t for t in result.trials[1:]), key=lambda t: t.score).strategy.init)
    assert "weights of images 0 (60 rows, distance 0." in tuned.proposal.why
    with Experience.open(place, weights_mb=1.0) as experience:
        assert {source.name for source in experience.weights} == {"images 0", "images 1"}
        assert experience.history(result.task, "log_loss")[2].strategy == tuned.strategy
        reasons = experience.run(result.run).summary["reasons"]
        assert not any("images 0" in reason for reason in reasons.values())
        assert reasons["2"] == tuned.proposal.remembered_reason
        assert reasons["2"].endswith("weights of a similar task")
        removed = experience.forget("images 0")
        assert (removed["tasks"], removed["weights"]) == (1, 2 if tuned_is_best else 1)
        assert experience.remove_run(result.run)["weights"] == (0 if tuned_is_best else 1)
        assert (experience.status().weights, experience.check()) == (0, [])


def test_a_search_with_weights_repeats_at_any_number_of_workers(tmp_path):
    place = tmp_path / "e.sqlite"
    search_images(place, 0, workers=0)
    results = [search_images(place, 1, workers=workers) for workers in (0, 1, 2, 0)]
    assert inits(results[0]) == ["scratch", "fine_tuned", "frozen"]
    for other in results[1:]:
        assert [t.strategy for t in other.trials] == [t.strategy for t in results[0].trials]
        assert [t.score for t in other.trials] == [t.score for t in results[0].trials]
        assert [sources_of(t) for t in other.trials] == [sources_of(t) for t in results[0].trials]


def test_off_and_frozen_keep_no_weights_and_off_uses_none(tmp_path):
    place = tmp_path / "e.sqlite"
    search_images(place, 0, workers=0)
    assert inits(search_images(place, 1, workers=0, weights_mb=0.0)) == ["scratch"] * 3
    assert inits(search_images(place, 2, workers=0, mode="frozen")) == ["scratch", "fine_tuned", "frozen"]
    with Experience.open(place, mode="frozen") as experience, pytest.raises(StorageError, match="read-only"):
        experience.forget("images 0")
    with Experience.open(place) as experience:
        assert [source.name for source in experience.weights] == ["images 0"]


def test_damaged_weights_are_told_once_and_the_search_goes_on(tmp_path):
    place = tmp_path / "e.sqlite"
    search_images(place, 0, workers=0)
    with Experience.open(place, weights_mb=1.0) as experience:
        (source,) = experience.weights
        content = source.path.read_bytes()
        source.path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert "damaged" in experience.check()[0]
    result = search_images(place, 1, trials=5, workers=0)
    assert set(inits(result)) == {"scratch"}
    told = [note for note in result.notes if "began from scratch" in note]
    assert told
    assert "damaged" in told[0]


def test_it_ends_when_enough_models_are_perfect():
    signs = np.where(np.arange(120) % 3 == 0, -1.0, 1.0)
    numbers = np.c_[signs, np.random.default_rng(0).normal(size=120)]
    easy = make_task(numbers, np.where(signs > 0, "yes", "no"), metric="accuracy")
    result = search(easy, budget_s=60.0, learners=["extra_trees"], workers=0, folds=HALVES)
    assert result.stop_reason == "5 models reach the best accuracy there is"
    assert len(result.trials) < 15
    assert result.score == 1.0


class Counting(AbstractPolicy):
    """Proposes one more tree each time, and counts how often it was asked."""

    name = "counting"
    version = "1"

    def __init__(self):
        self.asked = 0

    def ask(self, contexts, rng):
        self.asked += 1
        strategy = Strategy("extra_trees", {**get_learner("extra_trees").space.default(), "trees": 20 + self.asked})
        return [Proposal(strategy, 0.0, self.name)]

    def tell(self, trials):
        return {}


def test_a_policy_is_not_asked_for_what_will_not_be_tried():
    signs = np.where(np.arange(120) % 3 == 0, -1.0, 1.0)
    easy = make_task(signs[:, None], np.where(signs > 0, "yes", "no"), metric="accuracy")
    policy = Counting()
    result = search(easy, budget_s=60.0, policy=policy, learners=["extra_trees"], workers=0, folds=HALVES)
    assert result.stop_reason == "5 models reach the best accuracy there is"
    assert policy.asked == sum(t.proposal.policy == "counting" for t in result.trials)
