"""``gstar demo``: a real table to try things on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gstar.cli import options
from gstar.cli.files import check_output, writing
from gstar.cli.screen import show
from gstar.errors import UsageError

TABLES = ("penguins.csv", "penguins_new.csv")


def demo(
    folder: Annotated[str, typer.Argument(metavar="[FOLDER]", help="Where the tables go.")] = ".",
    debug: options.Debug = False,
) -> None:
    """Writes a real table to try gstar on, in two parts, and says what to do with it."""
    from importlib.resources import files

    for name in TABLES:
        content = (files("gstar.demo") / name).read_text(encoding="utf-8")
        path = Path(folder) / name
        check_output(path)
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") != content:
            raise UsageError(f"{path} exists and is another table; choose another folder: gstar demo FOLDER")
        with writing(str(path)) as stream:
            stream.write(content)
    train, new = (Path(folder) / name for name in TABLES)
    show(
        f"Wrote {train} (275 penguins) and {new} (69 others). Now try:",
        f"  gstar fit {train} --target species --budget 20s --out penguins.gstar",
        f"  gstar predict penguins.gstar {new}",
        f"  gstar evaluate penguins.gstar {new}",
    )
