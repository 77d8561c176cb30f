"""``gstar predict`` and ``gstar evaluate``: what a model says, and how good it is."""

from __future__ import annotations

import csv
import json as json_format
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gstar.cli import options
from gstar.cli.files import check_text_output, writing
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
    """Predicts rows, images or sequences: `prediction`, and `p_LABEL` per class, after the name if there is one.

    Example: gstar predict churn.gstar new.csv --out scored.csv
    """
    check_text_output(out, model, data)
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
        str | None,
        typer.Option("--target", metavar="COL", help="The column, or array, to compare with; as at fit if not given."),
    ] = None,
    force: Force = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Scores a model on rows, images or sequences with the target, by every metric that fits.

    Example: gstar evaluate churn.gstar test.csv
    """
    loaded = _load(model, force=force)
    scores, n_rows = _scores(loaded, model, data, target or loaded.info.get("target"))
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


def _scores(model: Model, path: str, data: str, target: str | None) -> tuple[dict[str, float], int]:
    """Returns the scores, and of how many rows."""
    from gstar.evaluation import evaluate as score
    from gstar.evaluation import evaluate_rows
    from gstar.files import read_frame
    from gstar.sources import new_rows, target_of_table

    if model.form != "table":
        rows = new_rows(
            data, form=model.form, schema=model.schema, shape=model.shape, target=target or None, labelled=True
        )
        for note in rows.notes:
            say(f"Note: {note}")
        return evaluate_rows(model, rows, target or "the target")
    if not (target := target or target_of_table(Path(data))):
        raise UsageError(f"{path} does not know its target's column; name it with --target.")
    return score(model, read_frame(data), str(target))


def _predictions(model: Model, data: str) -> tuple[list[str], list[list[Any]]]:
    """Returns the columns and the rows to write; what has a name has it first."""
    from gstar.reading import make_inputs
    from gstar.sources import new_rows

    if model.form == "table":
        return _columns(model, model.predict_inputs(make_inputs(data, schema=model.schema)))
    rows = new_rows(data, form=model.form, schema=model.schema, shape=model.shape)
    for note in rows.notes:
        say(f"Note: {note}")
    columns, cells = _columns(model, model.predict_inputs(rows.inputs))
    if not rows.names:
        return columns, cells
    return [rows.title, *columns], [[name, *row] for name, row in zip(rows.names, cells, strict=True)]


def _columns(model: Model, raw: np.ndarray) -> tuple[list[str], list[list[Any]]]:
    if not model.kind.is_classification:
        return ["prediction"], [[value] for value in raw.tolist()]
    names = ["prediction", *(f"p_{label}" for label in model.classes)]
    best = raw.argmax(axis=1).tolist()
    return names, [[model.classes[code], *row] for code, row in zip(best, raw.tolist(), strict=True)]
