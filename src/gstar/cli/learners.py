"""``gstar learners``: what can be trained, and how it can be configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gstar.cli import options
from gstar.cli.screen import show, show_facts, show_json, show_table

if TYPE_CHECKING:
    from gstar.learner import AbstractLearner

NAME = Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them, with its parameters.")]


def learners(name: NAME = None, json: options.Json = False, debug: options.Debug = False) -> None:
    """Lists the learners that are installed; of one, what can be configured."""
    from gstar.catalogue import lines_of, needs, summary, takes
    from gstar.learner import find_learner, learner_names

    if json:
        show_json([_as_json(find_learner(n)) for n in ([name] if name else learner_names())])
        return
    if name is None:
        found = [find_learner(n) for n in learner_names()]
        rows = ((one.name, takes(one), needs(one), summary(one)) for one in found)
        show_table(("learner", "takes", "needs", "what it does"), rows)
        show(
            "",
            "gstar learners NAME shows what can be configured; gstar fit DATA --learners A,B uses some of them only.",
        )
        return
    learner = find_learner(name)
    show_facts([("Learner", name), ("Takes", takes(learner)), ("Needs", needs(learner) or "nothing more")])
    show("", summary(learner))
    lines = [tuple(vars(line).values()) for line in lines_of(learner.space)]
    show_table(("parameter", "values", "default", "when"), lines, title="Configuration:")
    show("", *_rest(learner))


def _rest(learner: AbstractLearner) -> list[str]:
    """Returns what else is part of its strategies."""
    parts = ["which rows it trains on"]
    parts += ["in which order they are shown"] if learner.handles_pace else []
    parts += ["how the learning rate moves"] if learner.has_schedule else []
    parts += ["with which weights it begins"] if learner.handles_initial else []
    return [f"Its strategies also say {', '.join(parts)}."]


def _as_json(learner: AbstractLearner) -> dict[str, Any]:
    from gstar.catalogue import needs, summary

    return {
        "name": learner.name,
        "summary": summary(learner),
        "forms": sorted(learner.forms),
        "kinds": sorted(learner.kinds),
        "needs": needs(learner),
        "space": learner.space.to_json(),
        "has_schedule": learner.has_schedule,
        "handles_pace": learner.handles_pace,
        "handles_initial": learner.handles_initial,
        "handles_control": learner.handles_control,
    }
