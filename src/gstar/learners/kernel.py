"""Kernel machines for small data: random Fourier-like features of the Nystroem method, then a linear model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np

from gstar.inputs import Table
from gstar.learner import TrainingSpec
from gstar.learners.fitted import AbstractFitted
from gstar.space import Categorical, Integer, Real, Scalar, Space

Array: TypeAlias = np.ndarray


class Kernel(AbstractFitted):
    """Fits a linear model on the kernel values to a sample of support rows.

    References:
        Williams, Seeger: Using the Nystroem method to speed up kernel machines (2000),
        https://papers.nips.cc/paper/1866-using-the-nystrom-method-to-speed-up-kernel-machines
    """

    name: ClassVar[str] = "kernel"
    max_rows: ClassVar[int | None] = 20_000
    space: ClassVar[Space] = Space(
        {
            "reach": Real(0.1, 10.0, log=True, default=1.0),
            "strength": Real(1e-6, 1.0, log=True, default=1e-3),
            "landmarks": Integer(50, 800, log=True, default=400),
            "target": Categorical(("standard", "log"), default="log"),
            "numbers": Categorical(("quantile", "standard")),
            "categories": Categorical(("onehot", "target")),
        }
    )

    def encoding(self, spec: TrainingSpec, table: Table) -> Mapping[str, Scalar]:
        return {name: spec.configuration[name] for name in ("numbers", "categories")}

    def estimator(self, spec: TrainingSpec, matrix: Array) -> Any:
        from sklearn.kernel_approximation import Nystroem
        from sklearn.linear_model import LogisticRegression, Ridge
        from sklearn.pipeline import make_pipeline

        reach = float(spec.configuration["reach"] or 1.0)
        width = float(np.sum(np.var(matrix, axis=0))) or 1.0
        landmarks = min(int(spec.configuration["landmarks"] or 50), len(matrix))
        kernel = Nystroem(gamma=1.0 / (2 * width * reach**2), n_components=landmarks, random_state=spec.seed)
        strength = float(spec.configuration["strength"] or 0.0)
        if spec.kind.is_classification:
            return make_pipeline(kernel, LogisticRegression(C=1.0 / max(strength * len(matrix), 1e-9), max_iter=200))
        return make_pipeline(kernel, Ridge(alpha=strength * len(matrix)))

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        landmarks = min(rows, int(configuration.get("landmarks", 400) or 400))
        fits = 60 * max(1, classes) if classes else 1
        return 0.03 + 1.2e-9 * landmarks**3 + 6e-10 * rows * landmarks * (features + fits)
