"""Evolution strategies estimate the gradient of the reward smoothed over perturbations."""

import numpy as np
import pytest

from gstar.gradients.evolution import SCALE, Evolution
from tests.gradients.bandit import CONTEXTS, META, G, agree, estimates, exact_gradient

EVOLUTION = Evolution()


def test_it_estimates_the_gradient_of_the_smoothed_reward():
    rng = np.random.default_rng(0)
    smoothed = np.mean([exact_gradient(META + SCALE * rng.standard_normal(G.size)) for _ in range(400)], axis=0)
    found = estimates(EVOLUTION, 16, 500)
    assert agree(found, smoothed)
    assert not agree(found, np.zeros(G.size))


def test_pairs_lie_on_two_sides_and_share_their_random_numbers():
    draws = EVOLUTION.draw(G, META, CONTEXTS, 7, rng=np.random.default_rng(1))
    assert draws.n == 6
    assert draws.extra["noise"].shape == (3, G.size)
    for pair, noise in enumerate(draws.extra["noise"]):
        for side, sign in ((0, 1.0), (1, -1.0)):
            points = draws.points.take(np.arange(3) * 6 + 2 * pair + side)
            expected = G.log_prob(META + sign * noise, CONTEXTS, points)
            assert draws.log_probs[:, 2 * pair + side] == pytest.approx(expected)


def test_without_a_difference_there_is_no_gradient():
    draws = EVOLUTION.draw(G, META, CONTEXTS, 4, rng=np.random.default_rng(1))
    assert np.all(EVOLUTION.estimate(G, META, draws, np.full((3, 4), 2.0), np.zeros(0)).gradient == 0)
