"""How good a model is on rows with a known target, by every metric of its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gstar.columns import parse_number, plain_string, shorten
from gstar.errors import DataError, did_you_mean
from gstar.metric import METRICS

if TYPE_CHECKING:
    import pandas as pd

    from gstar.arrays import Rows
    from gstar.model import Model

Array: TypeAlias = np.ndarray


def evaluate(model: Model, frame: pd.DataFrame, target: str) -> tuple[dict[str, float], int]:
    """Scores a model on the rows of a frame that have a target.

    Args:
        model: The model.
        frame: Rows with the columns of the model and the target.
        target: Name of the target's column.

    Returns:
        The published value of each metric that fits the kind of task (NaN where it is not
        defined, such as the area under the curve with one class), and how many rows counted.

    Raises:
        DataError: If the target is missing, or has labels that the model does not know.
    """
    if target not in frame.columns:
        near = did_you_mean(target, map(str, frame.columns))
        raise DataError(f"No column {target!r} with the target to compare with.{near}")
    present = _present(frame[target])
    rows = frame[present]
    truth = _truth(model, rows[target])
    predictions = model.predict_proba(rows) if model.kind.is_classification else model.predict(rows)
    return _scores(model, truth, predictions), len(rows)


def evaluate_rows(model: Model, rows: Rows, target: str) -> tuple[dict[str, float], int]:
    """Scores a model on images or sequences with a target; see `evaluate`.

    Args:
        model: The model.
        rows: In the shape of the fit.
        target: What messages call their target.
    """
    import pandas as pd

    column = pd.Series(rows.target, name=target)
    present = _present(column)
    truth = _truth(model, column[present])
    predictions = model.predict_inputs(rows.inputs.take(np.flatnonzero(present)))
    return _scores(model, truth, predictions), len(truth)


def _present(column: pd.Series[Any]) -> Array:
    present = column.notna().to_numpy(dtype=bool)
    if not present.any():
        raise DataError(f"Expected values in column {column.name!r} to compare with, but all are missing.")
    return present


def _truth(model: Model, column: pd.Series[Any]) -> Array:
    return _codes(model, column) if model.kind.is_classification else _values(column)


def _scores(model: Model, truth: Array, predictions: Array) -> dict[str, float]:
    fitting = [metric for metric in METRICS.values() if model.kind in metric.kinds]
    with np.errstate(all="ignore"):
        return {metric.name: metric.published(metric.score(truth, predictions)) for metric in fitting}


def _codes(model: Model, column: pd.Series[Any]) -> Array:
    code_of = {plain_string(label): code for code, label in enumerate(model.classes)}
    codes = np.array([code_of.get(plain_string(label), -1) for label in column])
    if (codes < 0).any():
        unknown = sorted({plain_string(label) for label, code in zip(column, codes, strict=True) if code < 0})
        raise DataError(
            f"Expected the labels {shorten(list(code_of))} in column {column.name!r}, got {shorten(unknown)} in "
            f"{(codes < 0).sum()} rows; mend or remove these rows."
        )
    return codes


def _values(column: pd.Series[Any]) -> Array:
    values = np.array([parse_number(str(value)) for value in column])
    odd = np.flatnonzero(~np.isfinite(values))
    if len(odd):
        raise DataError(
            f"Expected finite numbers in column {column.name!r}, got {shorten([str(column.iloc[i]) for i in odd])}."
        )
    return values
