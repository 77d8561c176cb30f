"""Estimators of the policy gradient, one file each, one interface.

reinforce       a moving baseline
leave_one_out   the other strategies of the task as the baseline: the default
best_of         what the best of three reaches, not what one does
self_critical   the most probable strategy as the baseline
ppo             several clipped steps with the same trials
exact           all rewards known
evolution       antithetic perturbations of g
natural         leave-one-out, in the metric of the distribution
"""

from __future__ import annotations

from typing import Final

from gstar.errors import UsageError, did_you_mean
from gstar.gradients.base import AbstractGradient, Draws, Estimate
from gstar.gradients.best_of import BestOf
from gstar.gradients.evolution import Evolution
from gstar.gradients.exact import Exact
from gstar.gradients.leave_one_out import LeaveOneOut
from gstar.gradients.natural import MAX_SIZE, Natural
from gstar.gradients.ppo import PPO
from gstar.gradients.reinforce import Reinforce
from gstar.gradients.self_critical import SelfCritical

__all__ = ["GRADIENTS", "MAX_SIZE", "AbstractGradient", "Draws", "Estimate", "Natural", "get_gradient"]

GRADIENTS: Final[dict[str, AbstractGradient]] = {
    gradient.name: gradient
    for gradient in (Reinforce(), LeaveOneOut(), BestOf(), SelfCritical(), PPO(), Exact(), Evolution(), Natural())
}


def get_gradient(name: str) -> AbstractGradient:
    """Returns an estimator by name.

    Raises:
        UsageError: If nothing has this name.
    """
    if name not in GRADIENTS:
        known = sorted(GRADIENTS)
        raise UsageError(f"No gradient estimator {name!r}; known: {known}.{did_you_mean(name, known)}")
    return GRADIENTS[name]
