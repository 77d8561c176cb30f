"""Convolutions that nobody trained, and a linear model of what they answer: strong, quick, and without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np

from gstar.inputs import Images
from gstar.learner import TrainingSpec
from gstar.learners import convolutions, patches
from gstar.learners.ridge import Ridge
from gstar.learners.ridged import AbstractRidged, Rows
from gstar.serialisation import dump_arrays, load_arrays
from gstar.space import Categorical, Integer, Scalar, Space

Features: TypeAlias = convolutions.Features | patches.Features

_PARTS: Final[dict[str, type[Features]]] = {
    "rocket.npz": convolutions.Features,
    "rocket_images.npz": patches.Features,
}
"""How features are called in a saved model."""


class Rocket(AbstractRidged):
    """Fits a linear model to how often and how much random kernels, or patches of images, are met.

    References:
        Dempster, Petitjean, Webb: ROCKET: exceptionally fast and accurate time series classification using random
        convolutional kernels (2020), https://arxiv.org/abs/1910.13051

    Differences from the paper:
        1. Kernels also see the changes from step to step (as in MultiRocket, 2022), and ten share a dilation.
        2. All are padded, so that a sequence may be shorter than a kernel; thresholds are drawn from their answers.
        3. The linear model finds its strength by leaving rows out, and gives probabilities: see `gstar.learners.ridge`.
        4. Means, deviations, extremes and the length are columns, too.
        5. Images have kernels of their own, see `gstar.learners.patches`; `differences` is nothing to them.
    """

    name: ClassVar[str] = "rocket"
    forms: ClassVar[frozenset[str]] = frozenset({"images", "sequences"})
    space: ClassVar[Space] = Space(
        {
            "kernels": Integer(100, 2000, log=True, default=1000),
            "differences": Categorical((True, False)),
            "target": Categorical(("standard", "log"), default="standard"),
        }
    )

    def train(self, rows: Rows, spec: TrainingSpec, deadline: float | None) -> tuple[Features, Ridge]:
        n_kernels, differences = int(spec.configuration["kernels"] or 1), bool(spec.configuration["differences"])
        rng, inputs = np.random.default_rng(spec.seed), rows.inputs
        features: Features
        if isinstance(inputs, Images):
            features = patches.Features.fit(inputs, n_kernels, rng, deadline=deadline)
        else:
            features = convolutions.Features.fit(inputs, n_kernels, differences, rng, deadline=deadline)
        return features, Ridge.fit(features.transform(inputs), rows.target, rows.n_classes, rows.weights)

    def save_features(self, features: Any) -> dict[str, bytes]:
        name = next(name for name, kind in _PARTS.items() if isinstance(features, kind))
        return {name: dump_arrays(features.to_arrays())}

    def load_features(self, parts: Mapping[str, bytes]) -> Features:
        name = next((name for name in _PARTS if name in parts), "rocket.npz")
        return _PARTS[name].from_arrays(load_arrays(parts[name]))

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        kernels = float(configuration.get("kernels", 1000) or 1000)
        rows = min(rows, self.max_rows)
        convolving = 3.5e-9 * (rows + convolutions.GROUP) * features * kernels
        return 0.1 + 1e-4 * kernels + convolving + 5e-10 * rows * min(rows, 2 * kernels) * kernels
