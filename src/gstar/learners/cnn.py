"""A residual convolutional network on images, or on sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np

from gstar.encoding import TableEncoder
from gstar.inputs import Images, Inputs
from gstar.learners.network import AbstractNetwork, batch_rows, network_space
from gstar.learners.rnn import sequence_arrays, sequence_structure
from gstar.space import Categorical, Integer, Scalar, Space

Array: TypeAlias = np.ndarray

SMALL_SIDE: Final = 20
"""Images are halved once for every time that their shorter side has so many pixels."""
MAX_STEPS: Final = 256
"""Longer sequences are read in strides."""


class CNN(AbstractNetwork):
    """Convolves in stages of half the size and twice the channels, pools over all places, and answers.

    References:
        He, Zhang, Ren, Sun: Deep residual learning for image recognition (2016),
        https://arxiv.org/abs/1512.03385
    """

    name: ClassVar[str] = "cnn"
    forms: ClassVar[frozenset[str]] = frozenset({"images", "sequences"})
    space: ClassVar[Space] = network_space(
        {
            "depth": Integer(1, 4, default=3),
            "width": Categorical((8, 16, 32, 64), default=16),
            "augment": Categorical(("shift", "mirror", "none")),
        },
        rate=5e-3,
        batch_size=32,
        epochs=20,
    )
    default_schedule: ClassVar[Mapping[str, Scalar]] = {"kind": "cosine", "warm_up": 0.0}

    def arrays(self, encoder: TableEncoder | None, inputs: Inputs) -> tuple[Array, ...]:
        if isinstance(inputs, Images):
            is_small = inputs.pixels.dtype == np.uint8
            return (inputs.pixels if is_small else np.asarray(inputs.pixels, np.float32),)
        return sequence_arrays(inputs)

    def structure(self, arrays: tuple[Array, ...], inputs: Inputs) -> dict[str, Any]:
        if isinstance(inputs, Images):
            _, channels, height, width = arrays[0].shape
            return {"network": "images", "channels": channels, "stride": max(1, min(height, width) // SMALL_SIDE + 1)}
        return {"network": "sequences", **sequence_structure(arrays, MAX_STEPS)}

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        width, depth = float(configuration.get("width") or 16), float(configuration.get("depth") or 3)
        epochs, batch = float(configuration.get("epochs") or 20), batch_rows(configuration, rows)
        places = min(features, 1000) / 4
        return 0.2 + epochs * rows * (1.5e-3 * (1 + depth) / batch + 2e-9 * places * width**2 * depth)
