"""``gstar predict`` and ``gstar evaluate``: what a model says, and how good it is."""

from __future__ import annotations

import csv
import json as json_format
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gstar.cli import options
from gstar.cli.files import check_output, writing
from gstar.cli.screen import say, show_facts, show_json
from gstar.cli.text import csv_cell, json_value, number
from gstar.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from gstar.model import Model

Force = Annotated[bool, typer.Option("--force", help="Also load a model of another major version of a library.")]


def predict(
    model: options.ModelFile,
    data: options.Data,
    *,
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Where the predictions go; - or nothing: to stdout.")
    ] = None,
    force: Force = False,
    json: Annotated[bool, typer.Option("--json", help="Write a line of JSON per row instead of CSV.")] = False,
    debug: options.Debug = False,
) -> None:
    """Predicts the rows of a table: `prediction`, and `p_LABEL` per class.

    Example: gstar predict churn.gstar new.csv --out scored.csv
    """
    if out is not None and out != "-":
        check_output(Path(out))
    loaded = _load(model, force=force)
    names, rows = _predictions(loaded, data)
    with writing(out) as stream:
        if json:
            stream.writelines(
                json_format.dumps(dict(zip(names, map(json_value, row), strict=True))) + "\n" for row in rows
            )
        else:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow([csv_cell(name) for name in names])
            writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    if out is not None and out != "-":
        say(f"Wrote {len(rows)} predictions to {out}")


def evaluate(
    model: options.ModelFile,
    data: options.Data,
    *,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COL", help="The column to compare with; as at fit if not given.")
    ] = None,
    force: Force = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Scores a model on a table with the target, by every metric that fits.

    Example: gstar evaluate churn.gstar test.csv
    """
    from gstar.evaluation import evaluate as score
    from gstar.reading import read_frame

    loaded = _load(model, force=force)
    column = target or loaded.info.get("target")
    if not column:
        raise UsageError(f"{model} does not know its target's column; name it with --target.")
    scores, n_rows = score(loaded, read_frame(data), str(column))
    if json:
        show_json({"model": model, "data": data, "rows": n_rows, "metric": loaded.metric, "scores": scores})
        return
    show_facts([("rows", n_rows)])
    chosen = {loaded.metric: "  (what the model was chosen by)"}
    show_facts((name, f"{number(value)}{chosen.get(name, '')}") for name, value in scores.items())


def _load(path: str, *, force: bool) -> Model:
    from gstar.model import Model

    handler = logging.Handler()
    handler.emit = lambda record: say(f"Note: {record.getMessage()}")  # type: ignore[method-assign]
    logger = logging.getLogger("gstar")
    logger.addHandler(handler)
    try:
        return Model.load(path, force=force)
    finally:
        logger.removeHandler(handler)


def _predictions(model: Model, data: str) -> tuple[list[str], list[list[Any]]]:
    """Returns the columns and the rows to write."""
    from gstar.reading import make_inputs

    raw: np.ndarray = model.predict_inputs(make_inputs(data, form=model.form, schema=model.schema))
    if not model.kind.is_classification:
        return ["prediction"], [[value] for value in raw.tolist()]
    names = ["prediction", *(f"p_{label}" for label in model.classes)]
    best = raw.argmax(axis=1).tolist()
    return names, [[model.classes[code], *row] for code, row in zip(best, raw.tolist(), strict=True)]
