"""Factors on the learning rate: where they start, where they end, how often they restart."""

from __future__ import annotations

import numpy as np
import pytest

from gstar.schedule import rate_factors
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


def test_every_point_of_the_space_gives_factors_in_range():
    rng = np.random.default_rng(0)
    for _ in range(50):
        factors = rate_factors(SCHEDULE_SPACE.sample(rng), 30)
        assert factors.shape == (30,)
        assert np.all((factors > 0) & (factors <= 1 + 1e-12))
