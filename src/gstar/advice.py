"""What a policy would try on a task, without training anything."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from gstar.budget import Budget, fold_plan
from gstar.errors import MissingExtraError, UsageError
from gstar.experience import Experience
from gstar.learner import available_learners
from gstar.machine import cores
from gstar.metafeatures import compute
from gstar.policies import get_policy
from gstar.policies.gaussian import GaussianPolicy
from gstar.policy import Context
from gstar.task import Task
from gstar.trial import Proposal

TOP: Final = 10


def check_learnable(task: Task) -> None:
    """Raises `MissingExtraError` if no learner but the constant one fits a task, as networks are not installed."""
    if set(available_learners(task.form, task.kind)) <= {"constant"}:
        raise MissingExtraError(
            f"No learner for {task.form} is installed; install those of networks with: pip install 'gstar[deep]'."
        )


def recommend(
    task: Task,
    experience: Experience,
    *,
    policy: str = "gaussian",
    budget_s: float | None = 60.0,
    learners: Sequence[str] = (),
    limit: int = TOP,
    seed: int = 0,
) -> list[Proposal]:
    """Returns the proposals of a policy in the order in which it would try them, before any has a score.

    Args:
        task: The task.
        experience: What is known.
        policy: Name of a policy.
        budget_s: Time for a fit; what does not fit in is not proposed. None: no limit.
        learners: Names of the learners that may be used; none: all.
        limit: The most proposals to return.
        seed: Seed of everything random.

    Raises:
        UsageError: If no learner fits.
    """
    fitting = available_learners(task.form, task.kind, also=learners)
    usable = {name: learner for name, learner in fitting.items() if not learners or name in learners}
    if not usable:
        raise UsageError(f"None of the learners {list(learners)} fits a {task.kind} task; these do: {list(fitting)}.")
    plan = fold_plan(task, Budget(time.monotonic(), budget_s, None), usable, cores())
    context = Context(
        task.fingerprint,
        task.kind,
        task.form,
        task.metric.name,
        len(task),
        task.inputs.n_features,
        task.n_classes,
        compute(task),
        tuple(name for name in usable if name != "constant"),
        budget_left_s=budget_s,
        folds=plan.folds * plan.repeats,
        cores=cores(),
        has_order=task.order is not None,
    )
    chooser = get_policy(policy, experience.knowledge(task.kind, task.metric.name))
    if isinstance(chooser, GaussianPolicy):
        return chooser.rank(context, limit)
    rng = np.random.default_rng(seed)
    proposals: list[Proposal] = []
    while len(proposals) < limit:
        proposal = chooser.ask([replace(context, pending=tuple(p.strategy for p in proposals))], rng)[0]
        if proposal is None:
            break
        proposals.append(proposal)
    return proposals
