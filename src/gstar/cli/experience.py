"""``gstar experience``: the state and the care of all that is remembered."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gstar.cli import options
from gstar.cli.runs import counted
from gstar.cli.screen import say, show, show_facts, show_json, show_table
from gstar.cli.text import size, without_password
from gstar.errors import StorageError

if TYPE_CHECKING:
    from gstar.experience import ExperienceStatus

app = typer.Typer(help="The state and the care of all that is remembered.", no_args_is_help=True)


@app.command()
def status(experience: options.Place = None, json: options.Json = False, debug: options.Debug = False) -> None:
    """Says where it is, and what is in it."""
    with options.opened(options.given(experience=experience)) as remembered:
        found = remembered.status()
    if json:
        show_json(dataclasses.asdict(found))
        return
    kept = "kept" if found.keeps else found.warning or f"not kept (mode {found.mode})"
    show_facts(
        [
            ("Place", without_password(found.place)),
            ("Mode", f"{found.mode}; new trials are {kept}"),
            ("Size", size(found.size_bytes)),
            ("Schema", found.schema),
            ("Journal", f"{found.journal_mode}: {found.journal_reason}"),
            ("Tasks", f"{found.tasks} {_in_brackets(found.by_kind)}"),
            ("Strategies", found.strategies),
            ("Trials", found.trials),
            ("Runs", found.runs),
            ("Policies", found.policies),
            ("Weights", _weights_line(found)),
        ]
    )
    if found.by_learner:
        show_table(
            ("learner", "completed", "other"),
            ((name, counts["completed"], counts["other"]) for name, counts in found.by_learner.items()),
            right=("completed", "other"),
            title="Trials by learner:",
        )


@app.command()
def check(experience: options.Place = None, json: options.Json = False, debug: options.Debug = False) -> None:
    """Looks for damage; exit code 4 if there is any."""
    with options.opened(options.given(experience=experience)) as remembered:
        problems = remembered.check()
    if json:
        show_json({"whole": not problems, "problems": problems})
    else:
        show(*(problems or ["The experience is whole."]))
    if problems:
        say("Keep a copy of the file, then take what can be read into a new one: gstar experience merge OLD")
        raise typer.Exit(StorageError.exit_code)


@app.command()
def backup(
    to: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="Where the copy goes; beside the experience if not given.")
    ] = None,
    experience: options.Place = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Copies it to a file.

    It may be in use meanwhile. An existing file is never replaced.
    """
    settings = options.given(experience=experience)
    with options.opened(settings) as remembered:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
        place = Path(to) if to else Path(f"{remembered.status().place}.{now}.bak")
        remembered.backup(place)
    if json:
        show_json({"backup": str(place), "bytes": place.stat().st_size})
    else:
        show(f"Copied the experience to {place} ({size(place.stat().st_size)}).")


@app.command()
def merge(
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The file of another experience.")],
    experience: options.Place = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Takes in another experience.

    Doing so twice changes nothing.
    """
    with options.opened(options.given(experience=experience)) as remembered:
        counts = remembered.merge(other)
    if json:
        show_json({"other": other, **counts})
    else:
        show(f"Merged {other}: {counted(counts)}.")


@app.command()
def forget(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Its name, or its fingerprint or the beginning of it.")],
    experience: options.Place = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Removes a task and all that came from it.

    What is removed is overwritten in the file, but not in backups and merged copies.
    """
    with options.opened(options.given(experience=experience)) as remembered:
        removed = remembered.forget(task)
    if json:
        show_json({"task": task, "removed": removed})
    else:
        show(f"Forgot {task}: {counted(removed)}. Backups and merged copies are not touched.")


def _weights_line(found: ExperienceStatus) -> str:
    room = f"room for {size(found.weights_room)}" if found.weights_room else "none are kept or used: --weights off"
    return f"{found.weights} networks ({size(found.weights_bytes)}); {room}"


def _in_brackets(counts: dict[str, int] | object) -> str:
    parts = [f"{n} {kind}" for kind, n in counts.items()] if isinstance(counts, dict) else []
    return f"({', '.join(parts)})" if parts else ""
