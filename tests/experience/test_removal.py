from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gstar.errors import UsageError
from gstar.experience import Experience
from gstar.experience.removal import without
from gstar.testing.experience import KIND, begin, filled, toy_task, toy_trial


def test_forgets_by_name_and_by_the_beginning_of_a_fingerprint(place: Path):
    with Experience.open(place) as experience:
        tasks = filled(experience, 3)
        assert experience.forget("toy 1")["tasks"] == 1
        assert experience.forget(tasks[0].fingerprint[:8])["strategies"] == 0
        assert experience.forget(tasks[2].fingerprint) == {
            "tasks": 1,
            "runs": 1,
            "trials": 4,
            "strategies": 4,
            "policies": 0,
            "weights": 0,
        }
        status = experience.status()
        assert (status.tasks, status.strategies, status.trials, status.runs) == (0, 0, 0, 0)
        assert len(experience.records(KIND)) == 0


@pytest.mark.parametrize("name", ["", "toy", "%", "_oy 1", "nothing"])
def test_forgets_nothing_that_is_not_named_exactly(place: Path, name: str):
    with Experience.open(place) as experience:
        filled(experience)
        with pytest.raises(UsageError, match="No task"):
            experience.forget(name)
        assert experience.status().tasks == 2


def test_asks_back_if_several_tasks_have_the_name(place: Path):
    with Experience.open(place) as experience:
        for seed in (1, 2):
            begin(experience, toy_task(seed, name="churn"))
        with pytest.raises(UsageError, match=r"'churn' fits 2 tasks: [0-9a-f]{32} \(churn\)"):
            experience.forget("churn")
        assert experience.status().tasks == 2


def test_forgets_the_traces_in_evidence(place: Path):
    with Experience.open(place) as experience:
        one, other = (task.fingerprint for task in filled(experience))
        evidence = {"tasks": [one, other], "gains": {one: 0.1, other: 0.2}, "folds": [{"task": one, "gain": 1}]}
        experience.add_policy("toy", "1", {"w": np.ones(1)}, evidence)
        experience.add_policy("toy", "2", {"w": np.ones(1)}, {"tasks": [other]})
        assert experience.forget(one)["policies"] == 1
        newest, oldest = experience.policies("toy")
        assert oldest.evidence == {"tasks": [other], "gains": {other: 0.2}, "folds": []}
        assert newest.evidence == {"tasks": [other]}
    assert one.encode() not in place.read_bytes()


def test_without_keeps_what_merely_looks_alike():
    assert without({"a": "ab", "b": ["abc", 1, None]}, "ab") == {"b": ["abc", 1, None]}
    assert without([{"x": {"task": "ab", "y": 1}}], "ab") == [{"x": {"y": 1}}]
    assert without(3, "ab") == 3


def test_the_means_of_other_runs_stay_exact(place: Path):
    task = toy_task(1)
    with Experience.open(place) as experience:
        runs = [begin(experience, task) for _ in range(3)]
        for n, run in enumerate(runs):
            experience.append([toy_trial(task, run, 0, score=0.1 * (n + 1), cost_s=float(n))])
        experience.remove_run(runs[1])
        records = experience.records(KIND)
        assert records.scores[0, 0] == (0.1 + 0.1 * 3) / 2
        assert records.counts.tolist() == [[2]]
        assert experience.check() == []
