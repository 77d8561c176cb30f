"""A run's way into experience: all of it, or as much as can be written, told once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gstar.errors import StorageError
from gstar.experience import Experience
from gstar.journal import Journal
from gstar.metafeatures import compute
from gstar.reading import make_task
from gstar.testing.policy import toy_strategies, toy_trial
from gstar.trial import Proposal


@pytest.fixture
def task():
    return make_task(np.random.default_rng(0).normal(size=(20, 2)), list("ab" * 10))


def trials_of(task, n):
    made = [toy_trial(Proposal(s, 0.0, "toy"), 0.5 + 0.1 * i) for i, s in enumerate(toy_strategies(n))]
    return [replace(trial, task=task.fingerprint, number=i) for i, trial in enumerate(made)]


def test_all_trials_are_there_with_the_run_also_those_from_before_it(task, tmp_path):
    first, *others = trials_of(task, 3)
    with Experience.open(tmp_path / "e.sqlite", shipped=False) as experience:
        journal = Journal(experience, task)
        journal.add(first)
        (named,) = journal.begin(compute(task), {"seed": 1}, [first])
        assert named.run == journal.run != ""
        for trial in others:
            journal.add(replace(trial, run=journal.run))
        journal.end("completed", 1.5, score=0.7, weights={"0": 1.0})
        assert [t.number for t in experience.trials(run=journal.run)] == [0, 1, 2]
        (run,) = experience.runs()
        assert (run.status, run.score, run.seconds) == ("completed", 0.7, 1.5)
    assert journal.notes == []


def test_what_cannot_be_written_is_told_once_and_not_tried_again(task, tmp_path, monkeypatch):
    with Experience.open(tmp_path / "e.sqlite", shipped=False) as experience:
        journal = Journal(experience, task)
        journal.begin(compute(task), {}, [])
        asked = []

        def refuse(trials):
            asked.append(trials)
            raise StorageError("no space left")

        monkeypatch.setattr(experience, "append", refuse)
        for trial in trials_of(task, 2):
            journal.add(trial)
            journal.write()
        journal.end("completed", 1.0, score=0.7)
    assert len(asked) == 1
    assert journal.notes == ["This run is not fully remembered: no space left"]


def test_an_experience_that_is_off_is_no_reason_for_a_note(task):
    with Experience.open(mode="off") as experience:
        journal = Journal(experience, task)
        (trial,) = journal.begin(compute(task), {}, trials_of(task, 1))
        journal.end("failed", 1.0)
    assert trial.score == 0.5
    assert journal.notes == []
