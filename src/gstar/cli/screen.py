"""What is printed where: results on stdout, all else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from gstar.cli.text import clean, json_value, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE: Final = 4000
"""Columns where the output is no terminal, so that no line is ever wrapped."""


def console(*, stderr: bool = False) -> Console:
    """Returns a console that takes all text as it is: no markup, no emoji names, no colours of its own."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    is_terminal = getattr(stream, "isatty", lambda: False)()
    return Console(
        file=stream, markup=False, emoji=False, highlight=False, soft_wrap=False, width=None if is_terminal else WIDE
    )


def say(message: object) -> None:
    """Prints one line of progress or warning on stderr."""
    print(one_line(message), file=sys.stderr, flush=True)  # noqa: T201


def show(*lines: object) -> None:
    """Prints lines of a result on stdout."""
    for line in lines:
        print(clean(line), file=sys.stdout)  # noqa: T201


def show_json(value: Any) -> None:
    """Prints a result as JSON on stdout."""
    print(json.dumps(json_value(value), indent=1, ensure_ascii=False, allow_nan=False))  # noqa: T201


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = (), title: str = ""
) -> None:
    """Prints a table on stdout.

    Args:
        columns: Their heads.
        rows: Cells; they are made harmless.
        right: The columns that are aligned to the right; they and all but the last are never wrapped.
        title: A line above it.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in set(right) else "left",
            no_wrap=column != columns[-1],
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(clean(cell) for cell in row))
    if title:
        show("", title)
    _print(table)


def show_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Prints names and values on stdout, one pair a line, long values below each other."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, clean(value))
    _print(table)


def _print(table: Table) -> None:
    screen = console()
    with screen.capture() as captured:
        screen.print(table)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
