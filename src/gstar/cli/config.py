"""``gstar config``: what is set, and where."""

from __future__ import annotations

from typing import Annotated

import typer

from gstar.cli import options
from gstar.cli.screen import show_json, show_table
from gstar.cli.text import without_password

app = typer.Typer(help="What is set, and where.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """What is set, and where."""


@app.command("show")
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Also say where each value comes from.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Shows the value of every setting: flag > GSTAR_* > project file > user file > default."""
    from gstar.settings import SETTINGS

    values = options.given().values
    shown = {name: "" if one.value is None else without_password(_text(one.value)) for name, one in values.items()}
    if json:
        told = {name: shown[name] if isinstance(one.value, str) else one.value for name, one in values.items()}
        show_json({name: {"value": told[name], "origin": one.origin} for name, one in values.items()})
        return
    columns = ("setting", "value", *(["origin"] if origin else []), "meaning")
    show_table(
        columns,
        (
            (name, shown[name], *([one.origin] if origin else []), SETTINGS[name].meaning)
            for name, one in values.items()
        ),
    )


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
