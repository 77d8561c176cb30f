"""What every peer's runner shares: reads the rows that it is given, times fit and predict, writes predictions."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Given:
    """Is what a method gets to see.

    Args:
        X: ``(S, F)`` support rows; nominal columns are pandas categories, missing cells null.
        y: ``(S,)`` labels as text, or values.
        kind: ``"binary"``, ``"multiclass"`` or ``"regression"``.
        budget_s: Seconds for the fit; 0 for methods without a budget.
        n_cores: How many may be used.
        seed: Seed of everything random.
    """

    X: pd.DataFrame
    y: np.ndarray
    kind: str
    budget_s: float
    n_cores: int
    seed: int

    @property
    def is_classification(self) -> bool:
        return self.kind != "regression"

    @property
    def nominal(self) -> list[str]:
        return [c for c in self.X if isinstance(self.X[c].dtype, pd.CategoricalDtype)]


def plain_names(X: pd.DataFrame) -> pd.DataFrame:
    """Renames columns for libraries that refuse some characters."""
    return X.set_axis([f"x{i}" for i in range(X.shape[1])], axis=1)


def run(fit: Callable[[Given], Any], package: str, chosen: Callable[[Any], str] = lambda _: "") -> None:
    """Does what the file named on the command line asks for.

    Args:
        fit: Returns something with ``predict``, and for classes ``predict_proba`` and ``classes_``.
        package: Whose version is written down.
        chosen: Says in a word or two what the method decided on.
    """
    with open(sys.argv[1], encoding="utf-8") as file:
        asked = json.load(file)
    support, X_query = pd.read_parquet(asked["support"]), pd.read_parquet(asked["query"])
    X, target = support.drop(columns=asked["target"]), support[asked["target"]]
    is_regression = asked["kind"] == "regression"
    y = target.to_numpy(float) if is_regression else target.astype(str).to_numpy(object)
    start = time.perf_counter()
    model = fit(Given(X, y, asked["kind"], asked["budget_s"], asked["n_cores"], asked["seed"]))
    fitted = time.perf_counter()
    prediction = model.predict(X_query) if is_regression else model.predict_proba(X_query)
    ended = time.perf_counter()
    np.savez(
        asked["out"],
        prediction=np.asarray(prediction, float),
        classes=np.array([] if is_regression else [str(c) for c in model.classes_], str),
        seconds=[fitted - start, ended - fitted],
        about=[f"{package} {importlib.metadata.version(package)}", chosen(model)],
    )
