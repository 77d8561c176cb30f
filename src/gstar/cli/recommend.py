"""``gstar recommend``: what would be tried on a task, and why, without training anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gstar.cli import options
from gstar.cli.screen import say, show, show_json, show_table
from gstar.cli.text import duration, number
from gstar.errors import UsageError

if TYPE_CHECKING:
    from gstar.trial import Proposal

PREDICTING: Final = "gaussian"
"""Ranks if the user names no policy: unlike a fixed portfolio it predicts scores."""


def recommend(
    data: options.Data,
    *,
    target: options.Target = None,
    budget: options.Budget = None,
    metric: options.Metric = None,
    ordered_by: options.OrderedBy = None,
    group_by: options.GroupBy = None,
    form: options.Form = None,
    image_size: options.ImageSize = None,
    sequence_id: options.SequenceId = None,
    time: options.Time = None,
    experience: options.Place = None,
    policy: options.Policy = None,
    learners: options.Learners = None,
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="How many strategies to show.")] = 10,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Ranks strategies for a table, images or sequences from what is known, without training.

    Example: gstar recommend train.csv --target churn
    """
    from gstar.advice import check_learnable
    from gstar.advice import recommend as advise
    from gstar.reading import make_task

    settings = options.given(budget=budget, metric=metric, experience=experience, learners=learners)
    task = make_task(
        data,
        target=target,
        metric=settings["metric"],
        ordered_by=ordered_by,
        group_by=group_by,
        form=form,
        image_size=image_size,
        sequence_id=sequence_id,
        time=time,
    )
    if not settings["learners"]:
        check_learnable(task)
    for note in task.notes:
        say(f"Note: {note}")
    with options.opened(settings, writes=False) as remembered:
        proposals = advise(
            task,
            remembered,
            policy=policy or PREDICTING,
            budget_s=settings.budget_s,
            learners=settings["learners"] or (),
            limit=top,
            seed=settings["seed"],
        )
    if not proposals:
        raise UsageError("The policy has nothing to propose with these learners and this budget; allow more of them.")
    if json:
        show_json([_as_json(rank, proposal) for rank, proposal in enumerate(proposals, 1)])
        return
    rows = (_row(rank, proposal) for rank, proposal in enumerate(proposals, 1))
    show_table(("rank", "learner", "score", "+-", "time", "why"), rows, right=("rank", "score", "+-", "time"))
    show(
        "", f"score: predicted {task.metric.name}, on a scale where 0 is a middling strategy and 1 the best known one."
    )


def _as_json(rank: int, proposal: Proposal) -> dict[str, Any]:
    return {
        "rank": rank,
        "predicted_score": proposal.predicted_score,
        "predicted_deviation": proposal.predicted_deviation,
        "predicted_seconds": proposal.predicted_cost_s,
        "reason": proposal.reason,
        "strategy": proposal.strategy.to_json(),
    }


def _row(rank: int, proposal: Proposal) -> tuple[object, ...]:
    score, deviation = number(proposal.predicted_score), number(proposal.predicted_deviation)
    return rank, proposal.strategy.learner, score, deviation, duration(proposal.predicted_cost_s), proposal.reason
