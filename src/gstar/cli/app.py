"""The commands put together, and how errors leave the program."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from gstar.cli import collect, config, demo, doctor, experience, fit, learners, meta_train, predict, recommend, runs
from gstar.cli.screen import say, show
from gstar.cli.text import one_line
from gstar.errors import GstarError, did_you_mean

USAGE: Final[type[Exception]] = typer.BadParameter.__bases__[0]
"""What a wrong command line raises; where the class lives depends on the version of typer."""


BROKEN_PIPE: Final = 141
"""The exit code of a program that writes to a pipe whose reader has gone, as a shell tells it."""


@dataclass(frozen=True)
class Start:
    """Is when the program began, for budgets that count from there.

    Args:
        called: Time by `time.monotonic` when `gstar.cli.main` was called.
    """

    called: float

    @property
    def at(self) -> float:
        """Time by `time.monotonic` when the process was started."""
        from gstar.machine import startup_s

        return min(self.called, time.monotonic() - startup_s())


app = typer.Typer(
    name="gstar",
    help="Learns how to train models: a table in, a model out, every trial remembered.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from gstar import __version__

        show(f"gstar {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Learns how to train models: a table in, a model out, every trial remembered."""


app.command("fit", short_help="Fits a model to a table within a budget.")(fit.fit)
app.command("predict", short_help="Predicts the rows of a table.")(predict.predict)
app.command("evaluate", short_help="Scores a model on a table with the target.")(predict.evaluate)
app.command("recommend", short_help="Ranks strategies for a table, without training.")(recommend.recommend)
app.command("collect", short_help="Fills experience from a folder of tables.")(collect.collect)
app.command("meta-train", short_help="Learns on your tasks which strategies suit which.")(meta_train.meta_train)
app.add_typer(runs.app, name="runs")
app.add_typer(experience.app, name="experience")
app.command("learners", short_help="What can be trained, and how configured.")(learners.learners)
app.command("doctor", short_help="Says what is installed, kept where, and missing.")(doctor.doctor)
app.add_typer(config.app, name="config")
app.command("demo", short_help="Writes a real table to try gstar on.")(demo.demo)


def run(arguments: Sequence[str], *, called: float) -> int:
    """Runs one command and returns its exit code.

    Args:
        arguments: Those after the program's name.
        called: Time by `time.monotonic` when the program was called.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(args=list(arguments), prog_name="gstar", standalone_mode=False, obj=Start(called))
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BaseException as error:
        if "--debug" in arguments and not isinstance(error, SystemExit):
            traceback.print_exc()
        return _leave(error)


def _leave(error: BaseException) -> int:
    """Says what went wrong, in one line; returns the exit code."""
    if isinstance(error, SystemExit):  # typer's way out when nobody reads the output any more
        return BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return 130
    code, message = 1, f"Unexpected {type(error).__name__}: {one_line(error)}. Run it again with --debug to see where."
    if isinstance(error, USAGE):
        message = _usage_line(error)
        if message.startswith("Usage:"):  # a command without arguments: its help
            sys.stderr.write(f"{message}\n")
            return 2
        code = 2
    elif isinstance(error, GstarError):
        code, message = error.exit_code, str(error)
    elif isinstance(error, MemoryError):
        message = "There is not enough memory for this; take part of the rows or columns."
    say(f"gstar: {message}")
    return code


def _usage_line(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "gstar"
    message = str(getattr(error, "format_message", lambda: str(error))())
    if message.startswith("Usage:"):
        return message
    near = ""
    if message.startswith("No such command") and context is not None and "Did you mean" not in message:
        near = did_you_mean(message.split("'")[1], getattr(context.command, "commands", ()))
    return f"{message}{near} See: {command} --help"
