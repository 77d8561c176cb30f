"""What every world makes of scores that are missing or absurd."""

import numpy as np
import pytest

from gstar.world import AbstractWorld, DrawnTasks, Outcomes

TASKS = DrawnTasks(np.zeros((2, 0)), ["a", "b"])


class Halved(AbstractWorld):
    """Is worth half of a score."""

    context_size = 0
    failed_reward = -3.0

    def draw(self, n, rng, *, iteration):
        raise NotImplementedError

    def train(self, tasks, draws, *, seed):
        raise NotImplementedError

    def reward(self, tasks, scores):
        return scores / 2


@pytest.mark.parametrize(
    ("score", "reward"),
    [(1.0, 0.5), (-6.0, -3.0), (-7.0, -3.0), (-1e300, -3.0), (np.nan, -3.0), (-np.inf, -3.0), (np.inf, -3.0)],
)
def test_every_score_has_a_finite_reward(score: float, reward: float):
    scores = np.array([[1.0, score], [2.0, 4.0]])
    assert Halved().rewards(TASKS, Outcomes(scores, scores)).tolist() == [[0.5, reward], [1.0, 2.0]]


def test_a_failed_trial_is_worth_no_more_than_the_worst_that_completed():
    rewards = Halved().rewards(TASKS, Outcomes(np.array([[np.nan, -50.0]]), np.ones((1, 2))))
    assert rewards[0, 0] <= rewards[0, 1]


def test_a_world_whose_rewards_are_never_numbers_gives_the_failed_one():
    class Broken(Halved):
        def reward(self, tasks, scores):
            return scores * np.nan

    assert Broken().rewards(TASKS, Outcomes(np.ones((2, 1)), np.ones((2, 1)))).tolist() == [[-3.0], [-3.0]]


def test_tasks_are_counted():
    assert len(TASKS) == 2
