"""Random convolutions on sequences, and a linear model of what they answer: strong, quick, and without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from gstar.learner import TrainingSpec
from gstar.learners.convolutions import GROUP, Features
from gstar.learners.ridge import Ridge
from gstar.learners.ridged import AbstractRidged, Rows
from gstar.serialisation import dump_arrays, load_arrays
from gstar.space import Categorical, Integer, Scalar, Space


class Rocket(AbstractRidged):
    """Convolves sequences with random kernels, and fits a linear model to how often and how much each is met.

    References:
        Dempster, Petitjean, Webb: ROCKET: exceptionally fast and accurate time series classification using random
        convolutional kernels (2020), https://arxiv.org/abs/1910.13051

    Differences from the paper:
        1. Kernels also see the changes from step to step (as in MultiRocket, 2022), and ten share a dilation.
        2. All are padded, so that a sequence may be shorter than a kernel; thresholds are drawn from their answers.
        3. The linear model finds its strength by leaving rows out, and gives probabilities: see `gstar.learners.ridge`.
        4. Means, deviations, extremes and the length are columns, too.
    """

    name: ClassVar[str] = "rocket"
    forms: ClassVar[frozenset[str]] = frozenset({"sequences"})
    space: ClassVar[Space] = Space(
        {
            "kernels": Integer(100, 2000, log=True, default=1000),
            "differences": Categorical((True, False)),
            "target": Categorical(("standard", "log"), default="standard"),
        }
    )

    def train(self, rows: Rows, spec: TrainingSpec, deadline: float | None) -> tuple[Features, Ridge]:
        n_kernels, differences = int(spec.configuration["kernels"] or 1), bool(spec.configuration["differences"])
        rng = np.random.default_rng(spec.seed)
        features = Features.fit(rows.inputs, n_kernels, differences, rng, deadline=deadline)
        return features, Ridge.fit(features.transform(rows.inputs), rows.target, rows.n_classes, rows.weights)

    def save_features(self, features: Any) -> dict[str, bytes]:
        assert isinstance(features, Features)
        return {"rocket.npz": dump_arrays(features.to_arrays())}

    def load_features(self, parts: Mapping[str, bytes]) -> Features:
        return Features.from_arrays(load_arrays(parts["rocket.npz"]))

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        kernels = float(configuration.get("kernels", 1000) or 1000)
        rows = min(rows, self.max_rows)
        convolving = 3.5e-9 * (rows + GROUP) * features * kernels
        return 0.1 + 1e-4 * kernels + convolving + 5e-10 * rows * min(rows, 2 * kernels) * kernels
