"""A residual network on tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np

from gstar.encoding import TableEncoder
from gstar.inputs import Inputs, Table
from gstar.learner import TrainingSpec
from gstar.learners.network import AbstractNetwork, batch_rows, network_space
from gstar.space import Categorical, Integer, Scalar, Space

Array: TypeAlias = np.ndarray


class MLP(AbstractNetwork):
    """Embeds numbers and categories, and refines them in residual blocks.

    References:
        Gorishniy, Rubachev, Khrulkov, Babenko: Revisiting deep learning models for tabular data (2021),
        https://arxiv.org/abs/2106.11959
    """

    name: ClassVar[str] = "mlp"
    space: ClassVar[Space] = network_space(
        {
            "numbers": Categorical(("quantile", "standard")),
            "embedding": Categorical(("piecewise", "periodic", "none")),
            "categories": Categorical(("embedding", "onehot")),
            "depth": Integer(1, 6, default=2),
            "width": Categorical((32, 64, 128, 256), default=128),
            "target": Categorical(("standard", "log")),
        },
        rate=1.5e-3,
        batch_size=128,
        epochs=30,
    )

    def encoder(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> TableEncoder:
        options = {"numbers": spec.configuration["numbers"]}
        return TableEncoder.fit(
            _without_codes(inputs), target, spec.kind, options, weights=spec.weights, seed=spec.seed
        )[0]

    def arrays(self, encoder: TableEncoder | None, inputs: Inputs) -> tuple[Array, ...]:
        assert isinstance(inputs, Table)
        assert encoder is not None
        matrix = encoder.transform(_without_codes(inputs)).astype(np.float32)
        return matrix, inputs.codes.astype(np.int64)

    def structure(self, arrays: tuple[Array, ...], inputs: Inputs) -> dict[str, Any]:
        assert isinstance(inputs, Table)
        return {"network": "table", "numbers": arrays[0].shape[1], "levels": inputs.levels.tolist()}

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        width, depth = float(configuration.get("width") or 128), float(configuration.get("depth") or 2)
        epochs = float(configuration.get("epochs") or 30)
        batch = batch_rows(configuration, rows)
        weights = width * (min(features, 150) * 13 + 2 * depth * width + classes)
        return 0.1 + epochs * rows * ((8e-4 + 4e-4 * depth) / batch + 2.5e-10 * weights)


def _without_codes(inputs: Inputs) -> Table:
    """Returns the table without its categories, which the network embeds itself."""
    assert isinstance(inputs, Table)
    none = np.empty((len(inputs), 0), np.int32)
    return Table(inputs.numbers, none, inputs.dates, inputs.texts, np.empty(0, np.int64))
