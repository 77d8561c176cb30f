"""Linear models: logistic regression, ridge, elastic net, on scaled, bent or splined numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np

from gstar.inputs import Table
from gstar.learner import TrainingSpec
from gstar.learners.fitted import AbstractFitted
from gstar.space import Categorical, Condition, Real, Scalar, Space

Array: TypeAlias = np.ndarray


class Linear(AbstractFitted):
    """Fits a linear model with an L2 or an elastic-net penalty.

    With ``numbers: spline`` it is a generalised additive model.
    """

    name: ClassVar[str] = "linear"
    space: ClassVar[Space] = Space(
        {
            "strength": Real(1e-4, 1e2, log=True, default=0.01),
            "penalty": Categorical(("ridge", "elastic")),
            "l1_share": Real(0.05, 0.95, default=0.5),
            "target": Categorical(("standard", "log"), default="log"),
            "numbers": Categorical(("spline", "standard", "quantile")),
            "categories": Categorical(("onehot", "target")),
        },
        {"l1_share": Condition("penalty", ("elastic",))},
    )

    def encoding(self, spec: TrainingSpec, table: Table) -> Mapping[str, Scalar]:
        return {name: spec.configuration[name] for name in ("numbers", "categories")}

    def estimator(self, spec: TrainingSpec, matrix: Array) -> Any:
        from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge, SGDClassifier

        rows = float(len(matrix) if spec.weights is None else np.sum(spec.weights))
        strength = float(spec.configuration["strength"] or 0.0)
        l1_share = float(spec.configuration.get("l1_share", 0.0) or 0.0)
        if spec.kind.is_classification:
            if l1_share:
                return SGDClassifier(
                    loss="log_loss",
                    penalty="elasticnet",
                    alpha=max(strength, 1e-5) / 10,
                    l1_ratio=l1_share,
                    max_iter=60,
                    average=True,
                    random_state=spec.seed,
                )
            return LogisticRegression(C=1.0 / max(strength * rows, 1e-9), max_iter=300, tol=1e-4)
        if l1_share:
            return ElasticNet(alpha=strength, l1_ratio=l1_share, max_iter=2000)
        return Ridge(alpha=strength * rows)

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        width = features * (8 if configuration.get("numbers") == "spline" else 2)
        return 0.03 + 4e-8 * rows * width * max(1, classes) + 1e-9 * rows * width * min(width, 200)
