"""Options that several commands share."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from gstar.cli.screen import say

if TYPE_CHECKING:
    from gstar.experience import Experience
    from gstar.settings import Settings

Data: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A table (CSV, TSV, Parquet, ARFF or JSON lines, also with .gz), a folder of images, or an .npz file.",
    ),
]
ModelFile: TypeAlias = Annotated[str, typer.Argument(metavar="MODEL", help="A model that `gstar fit` wrote.")]
Target: TypeAlias = Annotated[
    str | None,
    typer.Option("--target", metavar="COL", help="The column, or array, to predict. A folder of images needs none."),
]
Form: TypeAlias = Annotated[
    str | None,
    typer.Option("--form", metavar="FORM", help="table, images or sequences, where shapes leave a doubt."),
]
ImageSize: TypeAlias = Annotated[
    int | None,
    typer.Option("--image-size", metavar="N", help="The longer side of images in pixels. Default: at most 64."),
]
SequenceId: TypeAlias = Annotated[
    str | None,
    typer.Option("--sequence-id", metavar="COL", help="Column that names the sequence of each row."),
]
Time: TypeAlias = Annotated[
    str | None, typer.Option("--time", metavar="COL", help="Column that orders the steps of a sequence.")
]
Metric: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="roc_auc, log_loss, accuracy, balanced_accuracy, f1, rmse, mae, r2. Default: what fits the task.",
    ),
]
OrderedBy: TypeAlias = Annotated[
    str | None, typer.Option("--ordered-by", metavar="COL", help="Column of time: later rows validate.")
]
GroupBy: TypeAlias = Annotated[
    str | None, typer.Option("--group-by", metavar="COL", help="Column whose groups must not straddle a split.")
]
Budget: TypeAlias = Annotated[
    str | None, typer.Option("--budget", metavar="TIME", help="Time for everything: 60s, 5m, 1h30m. Default: 60s.")
]
Place: TypeAlias = Annotated[
    str | None,
    typer.Option("--experience", metavar="on|off|frozen|URL", help="What is remembered, and where. Default: on."),
]
Room: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="off|on|SIZE",
        help="Room for weights of networks, which similar tasks can begin with. Default: off.",
    ),
]
Policy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--policy", metavar="NAME", help="gaussian, portfolio, random, gradient or gradient:FILE. Default: gaussian."
    ),
]
Learners: TypeAlias = Annotated[
    str | None, typer.Option("--learners", metavar="A,B", help="The learners that may be used. Default: all.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def given(**flags: Any) -> Settings:
    """Returns the settings, flags first; None is a flag that was not given."""
    from gstar.settings import settle

    return settle(flags)


@contextlib.contextmanager
def warnings_told() -> Iterator[None]:
    """Makes lines on stderr of the warnings of what is done within."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: say(f"Warning: {message}")
        yield


@contextlib.contextmanager
def opened(
    settings: Settings, *, writes: bool = True, tell_first_use: bool = False, keeps_weights: bool = True
) -> Iterator[Experience]:
    """Yields the experience that the settings name; warnings become lines on stderr.

    Args:
        settings: They name its place and mode.
        writes: Whether the command may write to it; if not, none is made where there is none.
        tell_first_use: Whether to say where it is kept if it is new.
        keeps_weights: Whether the command keeps weights if there is room for them.
    """
    from gstar.cli.text import without_password
    from gstar.experience import Experience

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mode = settings.mode if writes or settings.mode == "off" else "frozen"
        experience = Experience.open(settings.experience, mode=mode, weights_mb=settings["weights"])
    for warning in caught:
        say(f"Warning: {warning.message}")
    with experience:
        if tell_first_use and settings.mode == "on" and not experience.warning and not experience.runs(limit=1):
            kept = keeps_weights and settings["weights"] and experience.weights is not None
            too = " Weights of networks are kept too (--weights)." if kept else ""
            say(
                f"Every trial is remembered in {without_password(settings.experience)}, never a row of your data.{too} "
                "To switch that off: --experience off"
            )
        if tell_first_use and settings["weights"] and experience.weights is None:
            say("Note: no weights are kept or used: they lie beside an experience that is a file, and this one is not.")
        yield experience
