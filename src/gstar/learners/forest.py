"""Random forests and extremely randomised trees, grown in steps of a few trees."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np

from gstar.encoding import TREE_ENCODING
from gstar.inputs import Table
from gstar.learner import TrainingSpec
from gstar.learners.fitted import AbstractFitted
from gstar.space import Categorical, Integer, Parameter, Real, Scalar, Space

Array: TypeAlias = np.ndarray

ROWS_PER_LEAF: Final = 4000
"""Leaves hold at least one row per this many: bounds the size of the forest on long tables."""

_SHARED: Final[dict[str, Parameter]] = {
    "trees": Integer(50, 300, log=True, default=120),
    "max_features": Categorical(("sqrt", 0.33, 0.6, 1.0), default=0.6),
    "min_leaf": Integer(1, 20, log=True, default=2),
    "target": Categorical(("standard", "log"), default="standard"),
    **TREE_ENCODING,
}


def _options(spec: TrainingSpec, matrix: Array) -> dict[str, Any]:
    return {
        "n_estimators": 1,
        "max_features": spec.configuration["max_features"],
        "min_samples_leaf": max(int(spec.configuration["min_leaf"] or 1), len(matrix) // ROWS_PER_LEAF),
        "n_jobs": spec.threads,
        "random_state": spec.seed,
        "warm_start": True,
    }


def _work(rows: int, features: int, classes: int, configuration: Mapping[str, Scalar], per_cell: float) -> float:
    share = configuration.get("max_features", "sqrt")
    tried = features**0.5 if share == "sqrt" else features * float(share or 1.0)
    trees = float(configuration.get("trees", 120) or 120)
    return 0.05 + trees * (5e-4 + per_cell * rows * math.log2(rows + 2) * (tried + 2))


class RandomForest(AbstractFitted):
    """Averages trees, each grown on a bootstrap sample with the best of some features at each split.

    References:
        Breiman: Random forests (2001), https://doi.org/10.1023/A:1010933404324
    """

    name: ClassVar[str] = "random_forest"
    steps_per_check: ClassVar[int] = 20
    space: ClassVar[Space] = Space(
        {
            **_SHARED,
            "max_features": Categorical(("sqrt", 0.33, 0.6, 1.0), default=0.33),
            "sample": Real(0.3, 1.0, default=1.0),
        },
    )

    def encoding(self, spec: TrainingSpec, table: Table) -> Mapping[str, Scalar]:
        return {"numbers": "none", "categories": spec.configuration["categories"]}

    def estimator(self, spec: TrainingSpec, matrix: Array) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        kind = RandomForestClassifier if spec.kind.is_classification else RandomForestRegressor
        sample = float(spec.configuration["sample"] or 1.0)
        return kind(max_samples=None if sample >= 1.0 else sample, **_options(spec, matrix))

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        return _work(rows, features, classes, configuration, 2e-8)


class ExtraTrees(AbstractFitted):
    """Averages trees with random thresholds, each grown on all rows.

    References:
        Geurts, Ernst, Wehenkel: Extremely randomized trees (2006), https://doi.org/10.1007/s10994-006-6226-1
    """

    name: ClassVar[str] = "extra_trees"
    steps_per_check: ClassVar[int] = 20
    space: ClassVar[Space] = Space(dict(_SHARED))

    def encoding(self, spec: TrainingSpec, table: Table) -> Mapping[str, Scalar]:
        return {"numbers": "none", "categories": spec.configuration["categories"]}

    def estimator(self, spec: TrainingSpec, matrix: Array) -> Any:
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        kind = ExtraTreesClassifier if spec.kind.is_classification else ExtraTreesRegressor
        return kind(**_options(spec, matrix))

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        return _work(rows, features, classes, configuration, 8e-9)
