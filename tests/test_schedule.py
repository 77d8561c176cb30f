"""Factors on the learning rate: where they start, where they end, how often they restart."""

from __future__ import annotations

import numpy as np
import pytest

from gstar.schedule import factors_at, rate_factors
from gstar.strategy import SCHEDULE_SPACE


def test_no_schedule_is_constant():
    assert rate_factors({}, 4).tolist() == [1, 1, 1, 1]
    assert rate_factors({"kind": "constant"}, 0).tolist() == []


def test_decay_ends_at_its_final_factor():
    factors = rate_factors({"kind": "decay", "decay_final": 0.1}, 50)
    assert factors[0] == 1.0
    assert factors[-1] == pytest.approx(0.1)
    assert np.all(np.diff(factors) < 0)


@pytest.mark.parametrize("cycles", [2, 4, 8])
def test_restarts_go_up_as_often_as_they_say(cycles):
    factors = rate_factors({"kind": "restarts", "restarts_cycles": cycles}, 400)
    assert np.sum(np.diff(factors) > 0.5) == cycles - 1
    assert factors[0] == pytest.approx(1.0)
    assert factors.min() >= 0.05


def test_a_cosine_falls_from_one_to_a_hundredth():
    factors = rate_factors({"kind": "cosine", "warm_up": 0.0}, 101)
    assert factors[[0, 50, 100]].tolist() == pytest.approx([1.0, 0.505, 0.01])
    assert np.all(np.diff(factors) < 0)


def test_one_cycle_has_its_peak_where_the_rise_ends():
    factors = rate_factors({"kind": "one_cycle", "one_cycle_rise": 0.25}, 401)
    assert np.argmax(factors) == 100
    assert factors[[0, 100, 400]].tolist() == pytest.approx([0.04, 1.0, 0.01])


def test_steps_drop_at_even_intervals():
    factors = rate_factors({"kind": "step", "step_factor": 0.5, "step_drops": 3, "warm_up": 0.0}, 401)
    assert np.flatnonzero(np.diff(factors)).tolist() == [99, 199, 299]
    assert factors[-1] == pytest.approx(0.125)


@pytest.mark.parametrize("kind", ["cosine", "step", "schedule_free"])
def test_warm_up_rises_over_its_share_of_the_training(kind):
    schedule = SCHEDULE_SPACE.complete({"kind": kind, "warm_up": 0.2})
    factors = factors_at(schedule, np.array([0.0, 0.1, 0.2]))
    assert factors.tolist() == pytest.approx([0.01, 0.5, 1.0])


def test_schedule_free_is_constant_after_its_warm_up():
    factors = factors_at({"kind": "schedule_free", "warm_up": 0.05}, np.array([0.05, 0.5, 1.0]))
    assert factors.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "recorded",
    [
        {"kind": "constant"},
        {"kind": "decay", "decay_final": 0.1},
        {"kind": "restarts", "restarts_cycles": 4},
    ],
)
def test_recorded_schedules_stay_valid(recorded):
    SCHEDULE_SPACE.validate(recorded)


def test_every_point_of_the_space_gives_factors_in_range():
    rng = np.random.default_rng(0)
    for _ in range(50):
        factors = rate_factors(SCHEDULE_SPACE.sample(rng), 30)
        assert factors.shape == (30,)
        assert np.all((factors > 0) & (factors <= 1 + 1e-12))
