"""The best of three, chosen by validation: what each adds to two others."""

import itertools
from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad

from gstar.gradients import GRADIENTS
from gstar.gradients.base import leave_one_out
from gstar.gradients.best_of import TRIES, additions
from tests.gradients.bandit import CONTEXTS, META, POINTS, REWARDS, ROW, G, agree, rewards_of

BEST_OF = GRADIENTS["best_of"]
VALID = REWARDS + np.random.default_rng(2).normal(0, 0.3, REWARDS.shape)
"""``(T, P)``: not in the order of the rewards."""


def expected_best(meta, valid: np.ndarray):
    """The mean over tasks of the expected reward of the one that validates best of three independent draws."""
    total = 0.0
    for c, rewards, scores in zip(CONTEXTS, REWARDS, valid, strict=True):
        order = np.argsort(scores)
        below = anp.cumsum(anp.exp(G.log_prob(meta, c[None], POINTS))[order])
        chances = below**TRIES - anp.concatenate([anp.zeros(1), below[:-1]]) ** TRIES
        total = total + anp.sum(chances * rewards[order])
    return total / len(CONTEXTS)


def best_estimates(n: int, repeats: int, valid: np.ndarray, copies: int = 24) -> np.ndarray:
    contexts, found = np.tile(CONTEXTS, (copies, 1)), []
    for i in range(repeats):
        draws = BEST_OF.draw(G, META, contexts, n, rng=np.random.default_rng([5, i]))
        columns = np.array([ROW[str(c)] for c in draws.points.configurations]).reshape(len(contexts), n)
        shown = np.take_along_axis(np.tile(valid, (copies, 1)), columns, axis=1)
        draws = replace(draws, extra={"valid": shown})
        rewards = rewards_of(draws.points.configurations, copies)
        found.append(BEST_OF.estimate(G, META, draws, rewards, np.zeros(0)).gradient)
    return np.array(found)


@pytest.mark.parametrize("n", [3, 5])
def test_it_estimates_the_gradient_of_the_best_of_three(n: int):
    exact = grad(lambda meta: expected_best(meta, VALID))(META)
    found = best_estimates(n, 900 // n, VALID)
    assert agree(found, exact)
    assert not agree(found, 1.5 * exact), "a wrong factor is seen"
    assert not agree(found, grad(lambda meta: expected_best(meta, REWARDS))(META)), "so is a choice by the reward"


def by_hand(rewards: np.ndarray, valid: np.ndarray, k: int) -> np.ndarray:
    """Returns ``(n,)`` the same by going through all sets of strategies."""
    n = len(rewards)

    def kept(chosen) -> float:
        return rewards[max(chosen, key=lambda j: valid[j])]

    found = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        added = [kept((*a, i)) - kept(a) for a in itertools.combinations(others, k - 1)]
        among = [kept(a) - kept([b for b in a if b != j]) for a in itertools.combinations(others, k) for j in a]
        found.append(k * (np.mean(added) - (np.mean(among) if among else 0.0)))
    return np.array(found)


@pytest.mark.parametrize(("n", "k"), [(3, 3), (4, 3), (7, 3), (5, 2), (6, 5)])
def test_it_is_what_a_strategy_adds_to_others(n: int, k: int):
    rng = np.random.default_rng([n, k])
    rewards, valid = rng.random((2, 4, n))
    expected = np.stack([by_hand(r, v, k) for r, v in zip(rewards, valid, strict=True)])
    assert additions(rewards, valid, k) == pytest.approx(expected)


def test_a_single_try_is_leave_one_out():
    rewards = np.random.default_rng(0).random((3, 5))
    assert additions(rewards, rewards, 1) == pytest.approx(leave_one_out(rewards))


def test_what_has_no_validation_is_chosen_last():
    rewards, valid = np.array([[5.0, 1.0, 2.0]]), np.array([[np.nan, 0.1, 0.2]])
    assert additions(rewards, valid) == pytest.approx(additions(rewards, np.array([[-9.0, 0.1, 0.2]])))


def test_without_validation_the_best_reward_counts():
    draws = BEST_OF.draw(G, META, CONTEXTS, 5, rng=np.random.default_rng(1))
    rewards = rewards_of(draws.points.configurations)
    plain, shown = (
        BEST_OF.estimate(G, META, d, rewards, np.zeros(0)).gradient
        for d in (draws, replace(draws, extra={"valid": rewards}))
    )
    assert plain.tolist() == shown.tolist()
