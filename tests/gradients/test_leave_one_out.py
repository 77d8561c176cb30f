"""Leave-one-out removes what all strategies of a task share."""

from gstar.gradients.leave_one_out import LeaveOneOut
from gstar.gradients.reinforce import Reinforce
from tests.gradients.bandit import estimates


def test_its_variance_is_below_that_of_reinforce_where_tasks_differ():
    mine, plain = (estimates(e, 4, 300)[50:].var(axis=0).sum() for e in (LeaveOneOut(), Reinforce()))
    assert mine < 0.25 * plain
