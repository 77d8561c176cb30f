"""Advice is what the policy would try, in its order, without training."""

import numpy as np
import pytest

from gstar.advice import recommend
from gstar.errors import UsageError
from gstar.experience import Experience
from gstar.reading import make_task


@pytest.fixture
def task():
    rng = np.random.default_rng(0)
    return make_task(rng.normal(size=(60, 3)), rng.integers(0, 2, 60))


@pytest.fixture
def nothing():
    with Experience.open(mode="off", shipped=False) as experience:
        yield experience


@pytest.mark.parametrize("policy", ["gaussian", "portfolio", "random"])
def test_every_policy_gives_different_proposals(task, nothing, policy):
    found = recommend(task, nothing, policy=policy, limit=5)
    assert len({p.strategy for p in found}) == 5
    assert {p.policy for p in found} == {policy}


def test_it_repeats(task, nothing):
    first, second = (recommend(task, nothing, policy="random", limit=3, seed=4) for _ in range(2))
    assert [p.strategy for p in first] == [p.strategy for p in second]


def test_learners_are_limited(task, nothing):
    assert {p.strategy.learner for p in recommend(task, nothing, learners=["linear"], limit=3)} == {"linear"}
    with pytest.raises(UsageError, match="No learner 'lineer'"):
        recommend(task, nothing, learners=["lineer"])


def test_no_budget_is_no_limit(task, nothing):
    assert recommend(task, nothing, budget_s=None, limit=2)
