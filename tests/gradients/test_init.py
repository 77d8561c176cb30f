"""Every estimator estimates the same gradient."""

import numpy as np
import pytest

from gstar.errors import UsageError
from gstar.gradients import GRADIENTS, get_gradient
from tests.gradients.bandit import CONTEXTS, META, G, agree, estimates, exact_gradient

SAMPLED = ("reinforce", "leave_one_out", "self_critical", "ppo", "natural")


@pytest.mark.parametrize("name", SAMPLED)
@pytest.mark.parametrize("n", [2, 5])
def test_estimates_are_unbiased(name: str, n: int):
    found = estimates(GRADIENTS[name], n, 1000 // n, copies=24)
    assert agree(found, exact_gradient())
    assert not agree(found, np.zeros(G.size)), "the test can tell it from nothing"
    assert not agree(found, 1.5 * exact_gradient()), "and from a wrong factor"


@pytest.mark.parametrize("name", GRADIENTS)
def test_draws_repeat_and_give_finite_gradients(name: str):
    first, second = (estimates(GRADIENTS[name], 4, 2) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert np.all(np.isfinite(first))


@pytest.mark.parametrize("name", GRADIENTS)
def test_all_strategies_of_a_task_stand_together(name: str):
    draws = GRADIENTS[name].draw(G, META, CONTEXTS, 4, rng=np.random.default_rng(0))
    assert len(draws.points) == draws.log_probs.size == len(CONTEXTS) * draws.n
    if name != "evolution":
        assert draws.log_probs.ravel() == pytest.approx(G.log_prob(META, CONTEXTS, draws.points))


@pytest.mark.parametrize("name", GRADIENTS)
def test_one_strategy_per_task_is_enough(name: str):
    assert np.all(np.isfinite(estimates(GRADIENTS[name], 1, 2)))


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(UsageError, match=r"No gradient estimator 'leave_on_out'; known: \['best_of'.* Did you mean"):
        get_gradient("leave_on_out")
    assert get_gradient("ppo") is GRADIENTS["ppo"]
