"""Self-critical: the last draw is the mode, and rewards are compared with its."""

import numpy as np
import pytest

from gstar.gradients.base import score_gradient
from gstar.gradients.self_critical import SelfCritical
from tests.gradients.bandit import CONTEXTS, META, G, rewards_of

CRITIC = SelfCritical()


def test_the_last_strategy_of_a_task_is_the_most_probable_one():
    draws = CRITIC.draw(G, META, CONTEXTS, 5, rng=np.random.default_rng(0))
    assert draws.n == 5
    assert draws.points.configurations[4::5] == G.mode(META, CONTEXTS).configurations


def test_the_mode_does_not_count_in_what_g_expects():
    draws = CRITIC.draw(G, META, CONTEXTS, 3, rng=np.random.default_rng(1))
    rewards = rewards_of(draws.points.configurations)
    assert draws.expected(rewards) == pytest.approx(rewards[:, :2].mean(axis=1))


def test_the_mode_does_not_pull_and_is_the_baseline():
    draws = CRITIC.draw(G, META, CONTEXTS, 3, rng=np.random.default_rng(1))
    rewards = rewards_of(draws.points.configurations)
    advantages = np.c_[rewards[:, :2] - rewards[:, 2:], np.zeros(3)] * 3 / 2
    found = CRITIC.estimate(G, META, draws, rewards, np.zeros(0)).gradient
    assert found == pytest.approx(score_gradient(G, META, draws, advantages))
