"""A small world in which the reward of every strategy is known."""

import autograd.numpy as anp
import numpy as np
from autograd import grad

from gstar.distribution import TreeDistribution
from gstar.gradients import AbstractGradient
from gstar.space import Categorical, Condition, Integer, Space

SPACE = Space(
    {"learner": Categorical(("a", "b", "c")), "depth": Integer(1, 3), "kind": Categorical(("x", "y"))},
    {"depth": Condition("learner", ("a",)), "kind": Condition("learner", ("b",))},
)
G = TreeDistribution(SPACE, context_size=1)
POINTS, _ = G.enumerate()
CONTEXTS = np.array([[-1.0], [0.3], [1.2]])
META = 0.5 * np.random.default_rng(0).standard_normal(G.size)
REWARDS = np.random.default_rng(1).random((len(CONTEXTS), len(POINTS))) + np.array([[0.0], [3.0], [-1.0]])
"""``(T, P)``: some tasks are easy for every strategy."""
ROW = {str(c): i for i, c in enumerate(POINTS.configurations)}


def rewards_of(configurations, copies: int = 1) -> np.ndarray:
    """Returns ``(T * copies, n)`` rewards of the strategies drawn for the three tasks, each so many times."""
    columns = np.array([ROW[str(c)] for c in configurations]).reshape(len(CONTEXTS) * copies, -1)
    return np.take_along_axis(np.tile(REWARDS, (copies, 1)), columns, axis=1)


def expected_reward(meta):
    """The mean over tasks of the sum over all strategies of probability x reward."""
    sums = [anp.sum(anp.exp(G.log_prob(meta, c[None], POINTS)) * r) for c, r in zip(CONTEXTS, REWARDS, strict=True)]
    return sum(sums) / len(sums)


def exact_gradient(meta: np.ndarray = META) -> np.ndarray:
    """Returns ``(W,)`` its gradient."""
    return grad(expected_reward)(meta)


def estimates(gradient: AbstractGradient, n: int, repeats: int, copies: int = 1) -> np.ndarray:
    """Returns ``(repeats, W)`` independent estimates from copies of all tasks, the memory handed on."""
    memory, found, contexts = gradient.start(), [], np.tile(CONTEXTS, (copies, 1))
    for i in range(repeats):
        draws = gradient.draw(G, META, contexts, n, rng=np.random.default_rng([7, i]))
        estimate = gradient.estimate(G, META, draws, rewards_of(draws.points.configurations, copies), memory)
        memory = estimate.memory
        found.append(estimate.gradient)
    return np.array(found)


def agree(found: np.ndarray, expected: np.ndarray, errors: float = 3.0) -> bool:
    """Tells whether the mean of estimates is within some standard errors of what is expected, in every part."""
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    return bool(np.all(np.abs(found.mean(axis=0) - expected) <= errors * error + 1e-9))
