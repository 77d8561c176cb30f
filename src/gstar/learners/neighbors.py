"""Nearest neighbours on scaled columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np

from gstar.inputs import Table
from gstar.learner import TrainingSpec
from gstar.learners.fitted import AbstractFitted
from gstar.space import Categorical, Integer, Scalar, Space

Array: TypeAlias = np.ndarray

MAX_ROWS = 20_000
"""More rows are not remembered: prediction would be too slow."""


class Neighbors(AbstractFitted):
    """Votes among the nearest support rows."""

    name: ClassVar[str] = "neighbors"
    handles_weights: ClassVar[bool] = False
    max_rows: ClassVar[int | None] = MAX_ROWS
    space: ClassVar[Space] = Space(
        {
            "neighbors": Integer(1, 100, log=True, default=15),
            "votes": Categorical(("distance", "uniform")),
            "distance": Categorical((1, 2), default=1),
            "target": Categorical(("standard", "log"), default="log"),
            "numbers": Categorical(("quantile", "standard")),
            "categories": Categorical(("target", "onehot")),
        }
    )

    def encoding(self, spec: TrainingSpec, table: Table) -> Mapping[str, Scalar]:
        return {name: spec.configuration[name] for name in ("numbers", "categories")}

    def estimator(self, spec: TrainingSpec, matrix: Array) -> Any:
        from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

        kind = KNeighborsClassifier if spec.kind.is_classification else KNeighborsRegressor
        return kind(
            n_neighbors=max(1, min(int(spec.configuration["neighbors"] or 1), len(matrix) // 2)),
            weights=str(spec.configuration["votes"]),
            p=int(spec.configuration["distance"] or 2),
            algorithm="brute",
            n_jobs=spec.threads,
        )

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        return 0.03 + 3e-9 * min(rows, MAX_ROWS) * rows * 0.2 * (features + 10)
