"""The exact gradient has no noise, whatever the draws are."""

import numpy as np
import pytest

from gstar.distribution import CandidateDistribution, TreeDistribution
from gstar.gradients import GRADIENTS
from gstar.space import Real, Space
from tests.distribution.central import central
from tests.gradients.bandit import CONTEXTS, META, POINTS, REWARDS, G, exact_gradient

EXACT = GRADIENTS["exact"]


def gradient_of(g, meta, contexts, rewards, seed: int = 0) -> np.ndarray:
    draws = EXACT.draw(g, meta, contexts, 99, rng=np.random.default_rng(seed))
    return EXACT.estimate(g, meta, draws, rewards, np.zeros(0)).gradient


def test_it_is_the_exact_gradient_and_forgets_offsets():
    assert gradient_of(G, META, CONTEXTS, REWARDS) == pytest.approx(exact_gradient(), abs=1e-12)
    moved = REWARDS + np.array([[5.0], [-3.0], [0.0]])
    assert gradient_of(G, META, CONTEXTS, moved, 1) == pytest.approx(exact_gradient(), abs=1e-12)


def test_it_is_exact_on_candidates():
    g = CandidateDistribution(POINTS.take(np.array([0, 2, 4])), G)
    rewards = REWARDS[:, [0, 2, 4]]

    def expected(meta: np.ndarray) -> float:
        return float((np.exp(g.log_probs(meta, CONTEXTS)) * rewards).sum(axis=1).mean())

    assert gradient_of(g, META, CONTEXTS, rewards) == pytest.approx(central(expected, META), abs=1e-8)


def test_it_sums_over_parts_of_a_real_range():
    g = TreeDistribution(Space({"x": Real(0.0, 1.0)}), cells=200)
    meta = np.array([0.2, -0.3])
    fine = (np.arange(4000) + 0.5) / 4000

    def expected(m: np.ndarray) -> float:
        log_p = g.log_prob(m, g.no_context, g.points([{"x": float(x)} for x in fine]))
        return float(np.mean(np.exp(log_p) * np.sin(3 * fine)))

    rewards = np.sin(3 * np.array([c["x"] for c in g.enumerate()[0].configurations]))[None]
    assert gradient_of(g, meta, g.no_context, rewards) == pytest.approx(central(expected, meta), rel=1e-3)
