"""The natural gradient: the Fisher matrix is the covariance of scores, steps have length 1 in it."""

import numpy as np
import pytest
from autograd import elementwise_grad, jacobian

from gstar.distribution import TreeDistribution
from gstar.errors import UsageError
from gstar.gradients import GRADIENTS, MAX_SIZE, Natural
from gstar.gradients.natural import DAMPING, LEAST_FISHER, fisher_matrix
from gstar.gradients.ppo import PPO
from gstar.space import Categorical, Real, Space
from tests.gradients.bandit import CONTEXTS, META, POINTS, G, exact_gradient

NATURAL = GRADIENTS["natural"]


def test_the_fisher_matrix_is_the_covariance_of_scores():
    expected = np.zeros((G.size, G.size))
    for context in CONTEXTS:
        scores = jacobian(lambda m, c=context: G.log_prob(m, c[None], POINTS))(META)
        masses = np.exp(G.log_prob(META, context[None], POINTS))
        expected += (scores.T * masses) @ scores / len(CONTEXTS)
    assert fisher_matrix(G, META, CONTEXTS) == pytest.approx(expected, abs=1e-9)


def test_that_of_numbers_is_the_covariance_of_sampled_scores():
    g = TreeDistribution(Space({"x": Real(0.0, 1.0)}))
    meta = np.array([0.1, -0.5])
    points = g.draw(meta, g.no_context, np.random.default_rng(0).random((20_000, 1)))
    scores = elementwise_grad(lambda raw: g.log_prob_of(raw, points))(np.tile(meta, (len(points), 1)))
    products = scores[:, :, None] * scores[:, None]
    error = products.std(axis=0) / np.sqrt(len(products))
    assert np.all(np.abs(products.mean(axis=0) - fisher_matrix(g, meta, g.no_context)) <= 3 * error)


def test_the_direction_is_that_of_the_solved_gradient_and_its_length_is_1():
    gradient = exact_gradient()
    step = NATURAL.turn(G, META, CONTEXTS, gradient)
    fisher = fisher_matrix(G, META, CONTEXTS)
    fisher += np.eye(G.size) * (DAMPING * np.trace(fisher) / G.size + LEAST_FISHER)
    solved = np.linalg.solve(fisher, gradient)
    assert step == pytest.approx(solved / np.sqrt(solved @ gradient))
    assert step @ fisher @ step == pytest.approx(1.0)


@pytest.mark.parametrize("spread", [0.5, 0.1, 0.02])
def test_a_short_step_moves_g_by_half_its_square_less_what_damping_takes(spread: float):
    g = TreeDistribution(Space({"x": Real(0.0, 1.0)}))
    meta = g.start(np.random.default_rng(0), spread=spread)
    step = NATURAL.turn(g, meta, g.no_context, np.array([1.0, 0.3]))
    share = step @ fisher_matrix(g, meta, g.no_context) @ step
    assert 0.3 < share < 1.0
    assert g.kl(meta + 0.02 * step, meta, g.no_context)[0] == pytest.approx(share * 0.02**2 / 2, rel=0.2)


def test_zeros_stay_zeros():
    assert np.all(NATURAL.turn(G, META, CONTEXTS, np.zeros(G.size)) == 0)


@pytest.mark.parametrize("name", [n for n, gradient in GRADIENTS.items() if gradient.suits_natural])
def test_rounding_errors_are_not_followed_but_small_differences_are(name: str):
    inner = GRADIENTS[name]
    natural = inner if isinstance(inner, Natural) else Natural(inner)
    draws = natural.draw(G, META, CONTEXTS, 6, rng=np.random.default_rng(0))
    wobble = np.random.default_rng(1).standard_normal(draws.log_probs.shape)
    for rewards, moves in ((0.1 + 1e-17 * wobble, False), (0.1 + 1e-12 * wobble, True), (1e-30 * wobble, True)):
        gradient = natural.estimate(G, META, draws, rewards, natural.start()).gradient
        assert np.any(gradient != 0) == moves
        assert np.any(natural.turn(G, META, CONTEXTS, gradient) != 0) == moves


def test_where_g_is_certain_a_step_is_bounded():
    g = TreeDistribution(Space({"a": Categorical(("x", "y"))}))
    step = NATURAL.turn(g, np.array([40.0, -40.0]), g.no_context, np.array([-1e-3, 1e-3]))
    assert np.linalg.norm(step) == pytest.approx(LEAST_FISHER**-0.5)


def test_too_large_a_g_is_refused():
    g = TreeDistribution(Space({"a": Categorical(tuple(range(MAX_SIZE + 1)))}))
    with pytest.raises(UsageError, match="at most 100 meta-parameters, got 101; use natural=False"):
        NATURAL.turn(g, np.zeros(g.size), g.no_context, np.ones(g.size))


def test_it_is_as_its_inner_estimator_but_for_the_turn():
    natural = Natural(PPO())
    assert (natural.epochs, natural.handles_reuse, natural.is_scaled) == (PPO.epochs, True, True)
    assert not Natural(GRADIENTS["exact"]).handles_reuse
    assert (Natural(GRADIENTS["exact"]).is_sampled, natural.is_sampled) == (False, True)
    assert Natural(GRADIENTS["reinforce"]).start().shape == (2,)
    assert np.all(GRADIENTS["ppo"].turn(G, META, CONTEXTS, META) == META)
