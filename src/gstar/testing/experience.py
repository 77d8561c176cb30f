"""What every place that keeps experience must promise, as a test class to inherit, with toy trials.

    from gstar.testing.experience import ExperienceContract

    class TestMyExperience(ExperienceContract):
        @pytest.fixture
        def experience_factory(self, tmp_path):
            return lambda: MyExperience(tmp_path)

The experience that the factory makes may hold other tasks already. It must keep what it is
given while the object lives; whether it keeps it longer is its own affair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import pytest

from gstar.errors import StorageError, UsageError
from gstar.experience import Experience
from gstar.inputs import Table
from gstar.metric import METRICS, TaskKind
from gstar.strategy import Strategy
from gstar.task import Task
from gstar.trial import Proposal, Status, Trial

ExperienceFactory: TypeAlias = Callable[[], Experience]

N_META_FEATURES: Final = 5
KIND: Final = TaskKind.BINARY
METRIC: Final = "roc_auc"
HARD_TEXTS: Final = ("", "NUL \x00 inside", "\ud800 lone", "back\\slash \\0000", "emoji 🦜", "'; DROP TABLE trials; --")
UNSTORABLE: Final = (math.nan, math.inf, -math.inf, 1e308)


def toy_task(seed: int, name: str = "") -> Task:
    """Returns a small binary task; the same seed is the same task."""
    rng = np.random.default_rng(seed)
    inputs = Table.of(rng.normal(size=(6, 2)))
    return Task(name or f"toy {seed}", KIND, METRICS[METRIC], inputs, np.array([0, 1] * 3), ("no", "yes"))


def toy_strategy(i: int) -> Strategy:
    """Returns the strategy of this number."""
    return Strategy("linear" if i % 2 else "random_forest", {"strength": float(i)})


def toy_trial(task: Task, run: str, number: int, **changes: Any) -> Trial:
    """Returns a trial that completed, with strategy `number`, unless told otherwise."""
    strategy = changes.pop("strategy", toy_strategy(number))
    proposal = Proposal(strategy, changes.pop("log_prob", -0.5), changes.pop("policy", "random"), "7")
    fields: dict[str, Any] = {
        "status": Status.COMPLETED,
        "fidelity": "5-fold",
        "seed": number,
        "metric": METRIC,
        "score": 0.5 + number / 64,
        "cost_s": 5.0,
        "cost_steps": 10,
        "memory_mb": 100.0,
        "number": number,
        "run": run,
        "versions": {"gstar": "0.1.0"},
    }
    return Trial(proposal, task.fingerprint, **(fields | changes))


def failed_trial(task: Task, run: str, number: int, **changes: Any) -> Trial:
    """Returns a trial that failed, with strategy `number`, unless told otherwise."""
    return toy_trial(task, run, number, **({"status": Status.FAILED, "score": None, "error": "diverged"} | changes))


def begin(experience: Experience, task: Task, **options: Any) -> str:
    """Adds a task, starts a run on it, and returns the identifier of the run."""
    experience.add_task(task, np.arange(float(N_META_FEATURES)), **options)
    return experience.start_run(task.fingerprint, {"seed": 0})


def filled(experience: Experience, n_tasks: int = 2, n_trials: int = 4) -> list[Task]:
    """Puts toy tasks with one run each into an experience; returns the tasks."""
    tasks = [toy_task(seed) for seed in range(n_tasks)]
    for task in tasks:
        run = begin(experience, task)
        experience.append([toy_trial(task, run, n) for n in range(n_trials)])
        experience.finish_run(run, status="completed", score=0.9, seconds=1.5, summary={"stop_reason": "done"})
    return tasks


def same_trial(a: Trial, b: Trial) -> bool:
    """Tells whether two trials are equal in all that is kept."""
    names = "task status fidelity seed metric score query_score cost_s cost_steps memory_mb error number run".split()  # noqa: SIM905
    if any(getattr(a, name) != getattr(b, name) for name in names) or dict(a.versions) != dict(b.versions):
        return False
    p, q = a.proposal, b.proposal
    if p.log_prob != q.log_prob and not (math.isnan(p.log_prob) and math.isnan(q.log_prob)):
        return False
    return (p.strategy, p.policy, p.policy_version) == (q.strategy, q.policy, q.policy_version)


class ExperienceContract:
    """Inherit it and give it a fixture `experience_factory`."""

    @pytest.fixture
    def experience(self, experience_factory: ExperienceFactory) -> Iterator[Experience]:
        """Is a fresh experience, closed in the end."""
        with experience_factory() as experience:
            yield experience

    def test_gives_back_what_it_got(self, experience: Experience) -> None:
        """A trial comes back equal, without its predictions."""
        task = toy_task(1)
        run = begin(experience, task)
        trials = [
            toy_trial(task, run, 0, query_score=0.25, predictions=np.ones(3), log_prob=math.nan),
            failed_trial(task, run, 1, status=Status.OUT_OF_MEMORY),
            toy_trial(task, run, 2, score=-1e299, cost_s=0.0, seed=-(2**63)),
        ]
        experience.append(trials)
        for found in (experience.history(task.fingerprint, METRIC), experience.trials(run=run)):
            assert len(found) == len(trials)
            assert all(same_trial(a, b) for a, b in zip(found, trials, strict=True))
            assert all(trial.predictions is None for trial in found)

    @pytest.mark.parametrize("text", HARD_TEXTS)
    def test_keeps_any_text(self, experience: Experience, text: str) -> None:
        """Names, errors and policies may hold any characters."""
        task = toy_task(1, name=text or "toy")
        run = begin(experience, task, family=text)
        experience.append([failed_trial(task, run, 0, error=text, policy=text)])
        (found,) = experience.history(task.fingerprint, METRIC)
        assert (found.error, found.proposal.policy) == (text, text)
        assert experience.run(run).task_name == task.name

    def test_keeps_a_megabyte_of_text(self, experience: Experience) -> None:
        """An error may be long, but not endless."""
        task = toy_task(1)
        run = begin(experience, task)
        experience.append([failed_trial(task, run, 0, error="é" * 1_000_000)])
        assert experience.trials(run=run)[0].error == "é" * 1_000_000
        with pytest.raises(UsageError, match="at most 4000000 characters"):
            experience.append([failed_trial(task, run, 1, error="e" * 4_000_001)])

    @pytest.mark.parametrize("value", UNSTORABLE)
    @pytest.mark.parametrize("name", ["score", "query_score", "cost_s", "memory_mb"])
    def test_refuses_numbers_that_cannot_be_averaged(self, experience: Experience, name: str, value: float) -> None:
        """NaN, infinities and the largest floats are refused, and nothing is kept of the batch."""
        task = toy_task(1)
        run = begin(experience, task)
        with pytest.raises(UsageError, match=f"Expected {name} to be a finite number"):
            experience.append([toy_trial(task, run, 0), toy_trial(task, run, 1, **{name: value})])
        assert experience.history(task.fingerprint, METRIC) == ()

    @pytest.mark.parametrize("seed", [2**63, -(2**63) - 1])
    def test_refuses_integers_beyond_64_bits(self, experience: Experience, seed: int) -> None:
        """A seed that a database would refuse is refused at the door."""
        task = toy_task(1)
        with pytest.raises(UsageError, match="Expected seed to be an integer"):
            experience.append([toy_trial(task, begin(experience, task), 0, seed=seed)])

    def test_minus_zero_is_zero(self, experience: Experience) -> None:
        """No store tells them apart."""
        task = toy_task(1)
        run = begin(experience, task)
        experience.append([toy_trial(task, run, 0, score=-0.0)])
        score = experience.trials(run=run)[0].score
        assert score is not None
        assert math.copysign(1.0, score) == 1.0

    def test_score_goes_with_completion(self, experience: Experience) -> None:
        """A failure has no score, a success has one."""
        task = toy_task(1)
        run = begin(experience, task)
        for wrong in (toy_trial(task, run, 0, score=None), failed_trial(task, run, 0, score=0.5)):
            with pytest.raises(UsageError, match="Expected a score of a completed trial and of no other"):
                experience.append([wrong])

    def test_is_append_only(self, experience: Experience) -> None:
        """A trial is never replaced, and a batch with a taken number changes nothing."""
        task = toy_task(1)
        run = begin(experience, task)
        experience.append([toy_trial(task, run, 0)])
        with pytest.raises(UsageError, match="append-only"):
            experience.append([toy_trial(task, run, 1), toy_trial(task, run, 0, score=0.9)])
        assert [(t.number, t.score) for t in experience.trials(run=run)] == [(0, 0.5)]

    def test_refuses_unknown_tasks_and_runs(self, experience: Experience) -> None:
        """Trials belong to a task and a run that are known."""
        task = toy_task(1)
        with pytest.raises(StorageError, match=r"Task .* not added yet"):
            experience.start_run(task.fingerprint, {})
        begin(experience, task)
        with pytest.raises(StorageError, match=r"Run 'none' .* not started yet"):
            experience.append([toy_trial(task, "none", 0)])

    def test_records_are_the_means_of_trials(self, experience: Experience) -> None:
        """Scores are averaged, costs are per training, failures are counted apart."""
        task = toy_task(1)
        run = begin(experience, task)
        one, other = toy_strategy(0), toy_strategy(1)
        experience.append([toy_trial(task, run, 0, strategy=one, score=0.5, cost_s=10.0)])
        experience.append(
            [
                toy_trial(task, run, 1, strategy=one, score=1.0, cost_s=2.0, fidelity="holdout"),
                failed_trial(task, run, 2, strategy=one),
                failed_trial(task, run, 3, strategy=other),
                toy_trial(task, run, 4, strategy=other, metric="accuracy"),
            ]
        )
        records = experience.records(KIND)
        t, a, b = records.tasks.index(task.fingerprint), records.strategies.index(one), records.strategies.index(other)
        assert (records.scores[t, a], records.costs[t, a]) == (0.75, 2.0)
        assert (records.counts[t, a], records.failures[t, a]) == (2, 1)
        assert np.isnan([records.scores[t, b], records.costs[t, b]]).all()
        assert (records.counts[t, b], records.failures[t, b]) == (0, 1)
        assert records.meta_features[t].tolist() == list(range(N_META_FEATURES))
        assert records.shapes[t].tolist() == [6.0, 2.0, 2.0]
        assert records.families[t] == task.fingerprint

    def test_records_see_every_change(self, experience: Experience) -> None:
        """What was read before never hides what came after."""
        task = toy_task(1)
        run = begin(experience, task)
        experience.append([toy_trial(task, run, 0)])
        before = experience.records(KIND)
        experience.append([toy_trial(task, run, 1)])
        after = experience.records(KIND)
        assert before.counts.sum() + 1 == after.counts.sum()

    def test_runs_tell_how_they_ended(self, experience: Experience) -> None:
        """A run is found by the beginning of its identifier."""
        task = toy_task(1)
        run = begin(experience, task)
        assert experience.run(run).status == "running"
        experience.append([toy_trial(task, run, 0)])
        experience.finish_run(run, status="completed", score=0.75, seconds=2.5, summary={"a": [1]})
        found = experience.run(run[:12])
        assert (found.id, found.task, found.status, found.score, found.seconds) == (
            run,
            task.fingerprint,
            "completed",
            0.75,
            2.5,
        )
        assert (found.settings, found.summary, found.trials) == ({"seed": 0}, {"a": [1]}, 1)
        assert [r.id for r in experience.runs(task=task.fingerprint, limit=1)] == [run]

    def test_removes_a_run(self, experience: Experience) -> None:
        """Its trials go, those of other runs stay, and so do the means of those."""
        task = toy_task(1)
        first, second = begin(experience, task), begin(experience, task)
        experience.append([toy_trial(task, first, n) for n in range(2)])
        experience.append([toy_trial(task, second, 0, score=0.25)])
        assert experience.remove_run(first) == {"weights": 0, "runs": 1, "trials": 2, "strategies": 1}
        assert [t.run for t in experience.history(task.fingerprint, METRIC)] == [second]
        records = experience.records(KIND)
        assert records.scores[records.tasks.index(task.fingerprint)].tolist().count(0.25) == 1
        assert experience.check() == []

    def test_forgets_a_task(self, experience: Experience) -> None:
        """All that came from it goes, and nothing else."""
        tasks = [toy_task(1), toy_task(2)]
        for task in tasks:
            run = begin(experience, task)
            experience.append([toy_trial(task, run, n + (0 if task is tasks[0] else 1)) for n in range(2)])
        counts = experience.forget(tasks[0].fingerprint[:16])
        assert counts == {"tasks": 1, "runs": 1, "trials": 2, "strategies": 1, "policies": 0, "weights": 0}
        assert experience.history(tasks[0].fingerprint, METRIC) == ()
        assert len(experience.history(tasks[1].fingerprint, METRIC)) == 2
        assert tasks[0].fingerprint not in experience.records(KIND).tasks
        assert experience.check() == []
        with pytest.raises(UsageError, match="No task"):
            experience.forget(tasks[0].fingerprint)

    def test_merging_twice_is_merging_once(self, experience: Experience, tmp_path: Path) -> None:
        """A union: what is known already is left as it is."""
        other = tmp_path / "other.db"
        with Experience.open(other) as source:
            tasks = filled(source)
        first = experience.merge(other)
        again = experience.merge(other)
        assert (first["tasks"], first["runs"], first["trials"], first["refused"]) == (2, 2, 8, 0)
        assert [again[name] for name in ("tasks", "strategies", "runs", "trials", "refused")] == [0] * 5
        assert len(experience.history(tasks[0].fingerprint, METRIC)) == 4
        assert experience.check() == []

    def test_policies_can_be_taken_back(self, experience: Experience) -> None:
        """One version is in use; an older one can be again."""
        weights = {"w": np.arange(3.0)}
        experience.add_policy("toy", "1", weights, {"gain": 0.1}, accepted=True)
        experience.add_policy("toy", "2", {"w": np.zeros(3)}, {"gain": 0.2}, accepted=True)
        in_use = experience.policy("toy")
        assert in_use is not None
        assert in_use.version == "2"
        experience.accept_policy("toy", "1")
        in_use = experience.policy("toy")
        assert in_use is not None
        assert (in_use.version, in_use.weights["w"].tolist(), in_use.evidence) == ("1", [0.0, 1.0, 2.0], {"gain": 0.1})
        with pytest.raises(UsageError, match="a version never changes"):
            experience.add_policy("toy", "1", weights, {})
