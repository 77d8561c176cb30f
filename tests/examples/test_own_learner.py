"""The example of a researcher's own learner, space and tasks."""

import numpy as np
import pytest

from examples.own_learner import KernelVoting, learn, main
from gstar.inputs import Table
from gstar.learner import TrainingSpec
from gstar.metric import TaskKind


def test_near_rows_vote():
    learner = KernelVoting()
    rows, target = Table.of(np.array([[0.0], [1.0], [5.0]])), np.array([0, 0, 1])
    spec = TrainingSpec(TaskKind.BINARY, 2, {"width": 0.5, "power": 2})
    state = learner.step(learner.init(rows, target, spec), 1, None)
    found = learner.predict(state, Table.of(np.array([[0.4], [4.8], [1e6]])))
    assert found.sum(axis=1) == pytest.approx(np.ones(3))
    assert found.argmax(axis=1).tolist() == [0, 1, 1]
    assert learner.predict(learner.load(learner.save(state)), rows).tolist() == learner.predict(state, rows).tolist()


def test_g_learns_how_to_train_it():
    g, result, rewards = learn(15)
    assert result.n_failed == 0
    assert np.mean(rewards[-3:]) > np.mean(rewards[:3]) + 0.05
    assert g.mode(result.meta, g.no_context).configurations[0]["kernel_voting.width"] < 0.3


def test_it_says_what_it_learned(capsys: pytest.CaptureFixture):
    assert main(["--iterations", "1"]) == 0
    out = capsys.readouterr().out
    assert "16 trainings" in out
    assert "stopped by: iterations" in out
