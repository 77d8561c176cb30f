"""The moving baseline of REINFORCE."""

import numpy as np
import pytest

from gstar.gradients.base import score_gradient
from gstar.gradients.reinforce import RATE, Reinforce
from tests.gradients.bandit import CONTEXTS, META, G, estimates, rewards_of

REINFORCE = Reinforce()


def test_the_memory_is_the_moving_mean_of_rewards():
    memory, means = REINFORCE.start(), []
    for i in range(5):
        draws = REINFORCE.draw(G, META, CONTEXTS, 3, rng=np.random.default_rng(i))
        rewards = rewards_of(draws.points.configurations)
        weights = (1 - RATE) ** np.arange(len(means))[::-1]
        baseline = float(weights @ means / weights.sum()) if means else 0.0
        found = REINFORCE.estimate(G, META, draws, rewards, memory)
        assert found.gradient == pytest.approx(score_gradient(G, META, draws, rewards - baseline))
        memory = found.memory
        means.append(rewards.mean())


def test_the_baseline_lowers_the_variance():
    with_memory = estimates(REINFORCE, 4, 300)[50:]
    without = np.array(
        [
            score_gradient(G, META, d, rewards_of(d.points.configurations) + 5.0)
            for d in (REINFORCE.draw(G, META, CONTEXTS, 4, rng=np.random.default_rng([9, i])) for i in range(250))
        ]
    )
    assert with_memory.var(axis=0).sum() < 0.5 * without.var(axis=0).sum()
