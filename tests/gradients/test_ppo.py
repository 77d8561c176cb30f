"""PPO's clip lets go of strategies whose ratio has gone far enough."""

import numpy as np
import pytest

from gstar.gradients.base import leave_one_out, score_gradient
from gstar.gradients.ppo import CLIP, PPO
from tests.gradients.bandit import CONTEXTS, META, POINTS, G, rewards_of

ESTIMATOR = PPO()
DRAWS = ESTIMATOR.draw(G, META, CONTEXTS, 6, rng=np.random.default_rng(0))
REWARDS = rewards_of(DRAWS.points.configurations)


def test_at_the_first_epoch_it_is_leave_one_out():
    found = ESTIMATOR.estimate(G, META, DRAWS, REWARDS, np.zeros(0)).gradient
    assert found == pytest.approx(score_gradient(G, META, DRAWS, leave_one_out(REWARDS)))


def test_where_every_good_strategy_has_gone_far_nothing_pulls():
    points = POINTS.take(np.tile(np.arange(2), 3))
    log_probs = np.asarray(G.log_prob(META, CONTEXTS, points)).reshape(3, 2)
    gone = log_probs - np.log1p(2 * CLIP) * np.array([1.0, -1.0])
    rewards = np.tile([1.0, 0.0], (3, 1))
    draws = type(DRAWS)(CONTEXTS, points, gone)
    assert np.all(ESTIMATOR.estimate(G, META, draws, rewards, np.zeros(0)).gradient == 0)
    back = ESTIMATOR.estimate(G, META, draws, rewards[:, ::-1], np.zeros(0)).gradient
    assert np.abs(back).max() > 1e-3, "the wrong way is never clipped"
