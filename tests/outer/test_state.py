"""Settings that make sense, and the state between two iterations."""

from dataclasses import replace

import numpy as np
import pytest

from gstar.errors import UsageError
from gstar.gradients import MAX_SIZE, Natural, get_gradient
from gstar.outer import Convergence, OuterSettings, OuterState


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": 0}, "Expected positive tasks"),
        ({"strategies": 0}, "Expected positive tasks, strategies"),
        ({"iterations": 0}, "Expected positive"),
        ({"rate": 0.0}, "Expected positive"),
        ({"rate": float("nan")}, "Expected positive"),
        ({"reuse": -1}, "Expected positive"),
        ({"ahead": -1}, "Expected positive"),
        ({"entropy_halving": 0}, "Expected positive.*entropy_halving"),
        ({"estimator": "reinforc"}, "No gradient estimator 'reinforc'.*Did you mean 'reinforce'"),
        ({"estimator": "natural", "natural": False}, "leave `natural` out"),
        ({"estimator": "evolution", "reuse": 1}, "'evolution' cannot use trials of an earlier g"),
        ({"estimator": "exact", "reuse": 1}, "'exact' cannot use trials of an earlier g"),
        (
            {"estimator": "best_of", "ahead": 1},
            "'best_of' cannot use trials of an earlier g; leave reuse and ahead at 0",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict, message: str):
    with pytest.raises(UsageError, match=message):
        OuterSettings(**changes)


@pytest.mark.parametrize(
    ("natural", "size", "is_natural"),
    [(None, MAX_SIZE, True), (None, MAX_SIZE + 1, False), (False, 2, False), (True, MAX_SIZE + 1, True)],
)
def test_a_small_g_takes_natural_steps(natural: bool | None, size: int, is_natural: bool):
    gradient = OuterSettings(estimator="ppo", natural=natural).gradient(size)
    assert isinstance(gradient, Natural) is is_natural
    assert (gradient.inner if isinstance(gradient, Natural) else gradient) is get_gradient("ppo")


def test_evolution_takes_plain_steps_unless_it_is_told():
    assert OuterSettings(estimator="evolution").gradient(2) is get_gradient("evolution")
    assert isinstance(OuterSettings(estimator="evolution", natural=True).gradient(2), Natural)


def test_natural_is_not_turned_twice():
    assert OuterSettings(estimator="natural").gradient(3) is get_gradient("natural")


def test_the_rate_falls_with_every_lowering():
    state = OuterState.begin(np.zeros(2), get_gradient("leave_one_out"))
    settings = OuterSettings(rate=0.4, convergence=Convergence(factor=0.5))
    assert [replace(state, lowered=k).rate(settings) for k in range(3)] == [0.4, 0.2, 0.1]
    assert replace(state, lowered=2).rate(replace(settings, convergence=None)) == 0.4


def test_what_is_settled_is_the_mean_of_the_trail():
    state = OuterState.begin(np.array([1.0, 2.0]), get_gradient("leave_one_out"))
    assert state.settled.tolist() == [1.0, 2.0]
    assert replace(state, trail=np.array([[0.0, 4.0], [2.0, 6.0]])).settled.tolist() == [1.0, 5.0]


def test_a_state_begins_with_the_memory_of_its_estimator():
    meta = np.ones(3)
    state = OuterState.begin(meta, get_gradient("reinforce"))
    meta[0] = 9.0
    assert state.start.tolist() == [1.0, 1.0, 1.0], "later changes do not reach it"
    assert (state.memory.tolist(), state.trail.shape, state.adam.mean.tolist()) == ([0, 0], (0, 3), [0, 0, 0])
