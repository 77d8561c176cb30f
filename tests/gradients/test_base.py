"""What all estimators share: draws, importance weights, the score function, the baseline."""

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gstar.gradients import GRADIENTS, Draws
from gstar.gradients.base import IMPORTANCE_CLIP, ascend, importance, leave_one_out, score_gradient
from tests.distribution.central import central
from tests.gradients.bandit import (
    CONTEXTS,
    META,
    POINTS,
    REWARDS,
    G,
    agree,
    exact_gradient,
    expected_reward,
    rewards_of,
)

LEAVE_ONE_OUT = GRADIENTS["leave_one_out"]
RAW = np.arange(G.size) % G.map.raw_size
NEAR = META + 0.15 * np.random.default_rng(3).standard_normal(G.size) * ~np.isin(RAW, [3, 4])
"""Meta-parameters so near that no importance weight is clipped; the depth's tails would be, at any distance."""


def drawn(n: int, seed: int, meta: np.ndarray = META) -> Draws:
    return LEAVE_ONE_OUT.draw(G, meta, CONTEXTS, n, rng=np.random.default_rng(seed))


def test_the_yardstick_itself_is_a_central_difference():
    assert exact_gradient() == pytest.approx(central(expected_reward, META), abs=1e-8)


def test_draws_carry_their_log_probabilities():
    draws = drawn(5, 0)
    assert draws.n == 5
    assert draws.log_probs.ravel().tolist() == G.log_prob(META, CONTEXTS, draws.points).tolist()


def test_importance_weights_are_1_on_policy_and_clipped_off_it():
    draws = drawn(200, 1)
    assert importance(draws.log_probs, draws) == pytest.approx(np.ones((3, 200)))
    weights = importance(draws.log_probs + 1000.0, draws)
    assert np.all(weights == IMPORTANCE_CLIP)
    assert np.all(importance(draws.log_probs - 1000.0, draws) == 0)


def test_off_policy_estimates_are_unbiased_within_the_clip():
    for context in CONTEXTS[:, None]:
        assert np.exp(G.log_prob(NEAR, context, POINTS) - G.log_prob(META, context, POINTS)).max() < IMPORTANCE_CLIP
    found = []
    for i in range(150):
        draws = LEAVE_ONE_OUT.draw(G, META, np.tile(CONTEXTS, (16, 1)), 8, rng=np.random.default_rng(i))
        rewards = rewards_of(draws.points.configurations, copies=16)
        found.append(LEAVE_ONE_OUT.estimate(G, NEAR, draws, rewards, np.zeros(0)).gradient)
    assert agree(np.array(found), exact_gradient(NEAR))
    assert not agree(np.array(found), exact_gradient(META)), "it is the gradient at the new place"


def test_the_score_gradient_is_the_derivative_of_the_weighted_log_probability():
    draws = drawn(4, 2)
    advantages = np.random.default_rng(0).standard_normal((3, 4))
    now = np.asarray(G.log_prob(NEAR, CONTEXTS, draws.points)).reshape(3, 4)
    weights = importance(now, draws)

    def constant_weights(theta):
        log_probs = anp.reshape(G.log_prob(theta, CONTEXTS, draws.points), (3, 4))
        return anp.mean(weights * advantages * log_probs)

    assert score_gradient(G, NEAR, draws, advantages) == pytest.approx(central(constant_weights, NEAR), abs=1e-7)


def test_where_all_strategies_are_tried_their_probabilities_say_what_g_expects():
    draws = GRADIENTS["exact"].draw(G, META, CONTEXTS, 99, rng=np.random.default_rng(0))
    by_task = (np.exp(G.log_prob(META, CONTEXTS, draws.points)).reshape(REWARDS.shape) * REWARDS).sum(axis=1)
    assert draws.expected(REWARDS) == pytest.approx(by_task)
    assert draws.expected(REWARDS) != pytest.approx(REWARDS.mean(axis=1), abs=0.01)
    assert drawn(4, 2).expected(REWARDS).tolist() == REWARDS.mean(axis=1).tolist()


def test_ascend_is_the_gradient():
    assert ascend(lambda x: anp.sum(x**2), np.array([1.0, -2.0])).tolist() == [2.0, -4.0]


@given(st.lists(st.lists(st.floats(-10, 10), min_size=4, max_size=4), min_size=1, max_size=3), st.floats(-50, 50))
@settings(max_examples=50, deadline=None)
def test_leave_one_out_subtracts_the_mean_of_the_others_and_forgets_an_offset(rows: list[list[float]], offset: float):
    rewards = np.array(rows)
    found = leave_one_out(rewards)
    for t, k in np.ndindex(*rewards.shape):
        others = np.delete(rewards[t], k)
        assert found[t, k] == pytest.approx(rewards[t, k] - others.mean(), abs=1e-9)
    assert leave_one_out(rewards + offset) == pytest.approx(found, abs=1e-9)


def test_a_single_strategy_has_no_others():
    assert leave_one_out(np.array([[3.0], [4.0]])).tolist() == [[3.0], [4.0]]


def test_an_offset_per_task_changes_no_leave_one_out_gradient():
    draws = drawn(6, 4)
    rewards = rewards_of(draws.points.configurations)
    plain, moved = (
        LEAVE_ONE_OUT.estimate(G, META, draws, r, np.zeros(0)).gradient
        for r in (rewards, rewards + np.array([[64.0], [-128.0], [0.5]]))
    )
    assert moved == pytest.approx(plain, abs=1e-12)
    assert np.abs(plain).max() > 1e-3
    assert REWARDS.mean() != 0
