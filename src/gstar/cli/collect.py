"""``gstar collect``: fills experience on purpose, from a folder of old tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gstar.cli import options
from gstar.cli.screen import say, show, show_json


def collect(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="It holds manifest.csv with columns name, file, target, task.")
    ],
    *,
    budget: options.Budget = None,
    trial: Annotated[str, typer.Option("--trial", metavar="TIME", help="Time for one training.")] = "15s",
    max_rows: Annotated[
        int, typer.Option("--max-rows", metavar="N", min=50, help="Longer tables are cut to a random part.")
    ] = 4000,
    experience: options.Place = None,
    learners: options.Learners = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Tries the same strategies on many tables, so that the next fit starts warmer.

    It may be stopped at any time: what is remembered already is not tried again.

    Example: gstar collect old_tables --budget 30m
    """
    from gstar.collect import collect as gather
    from gstar.collect import read_manifest, strategies_to_try
    from gstar.learner import available_learners
    from gstar.metric import TaskKind
    from gstar.settings import read_duration_s

    settings = options.given(budget=budget, experience=experience, learners=learners)
    files = read_manifest(Path(folder))
    wanted = settings["learners"] or ()
    strategies = {
        kind: strategies_to_try(
            {
                name: learner
                for name, learner in available_learners("table", kind, also=wanted).items()
                if not wanted or name in wanted
            }
        )
        for kind in TaskKind
    }
    with options.opened(settings, tell_first_use=True) as remembered:
        made = gather(
            files,
            strategies,
            remembered,
            budget_s=settings.budget_s or 60.0,
            trial_s=read_duration_s(trial),
            max_rows=max_rows,
            seed=settings["seed"],
            report=say,
        )
    if json:
        show_json({"tasks": len(files), "trials": made})
    else:
        show(f"Tried {made} strategies on {len(files)} tables; what was remembered already was not tried again.")
