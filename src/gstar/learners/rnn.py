"""A recurrent network on sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np

from gstar.encoding import TableEncoder
from gstar.inputs import Inputs, Sequences
from gstar.learners.network import AbstractNetwork, batch_rows, network_space
from gstar.space import Categorical, Integer, Scalar, Space

Array: TypeAlias = np.ndarray

MAX_STEPS: Final = 64
"""Longer sequences are folded: the network reads several steps at once."""


class RNN(AbstractNetwork):
    """Reads sequences step by step, in one direction or both, and answers from the ends and the mean.

    References:
        Cho et al.: Learning phrase representations using RNN encoder-decoder (2014), https://arxiv.org/abs/1406.1078
    """

    name: ClassVar[str] = "rnn"
    forms: ClassVar[frozenset[str]] = frozenset({"sequences"})
    space: ClassVar[Space] = network_space(
        {
            "cell": Categorical(("lstm", "gru")),
            "bidirectional": Categorical((True, False)),
            "depth": Integer(1, 3, default=1),
            "width": Categorical((16, 32, 64, 128), default=32),
        },
        rate=5e-3,
        batch_size=32,
        epochs=30,
    )

    def arrays(self, encoder: TableEncoder | None, inputs: Inputs) -> tuple[Array, ...]:
        return sequence_arrays(inputs)

    def structure(self, arrays: tuple[Array, ...], inputs: Inputs) -> dict[str, Any]:
        return {"network": "recurrent", **sequence_structure(arrays, MAX_STEPS)}

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        width, depth = float(configuration.get("width") or 32), float(configuration.get("depth") or 1)
        both, slow = 1.0 + bool(configuration.get("bidirectional", True)), 1 + 2 * (configuration.get("cell") == "gru")
        epochs, batch = float(configuration.get("epochs") or 30), batch_rows(configuration, rows)
        reads = min(features, MAX_STEPS) * depth * both
        return 0.2 + epochs * rows * reads * (slow * 3e-5 / batch + 4e-10 * width**2)


def sequence_arrays(inputs: Inputs) -> tuple[Array, ...]:
    """Returns ``(N, T, D)`` float32 steps and ``(N,)`` int64 lengths."""
    assert isinstance(inputs, Sequences)
    return np.asarray(inputs.steps, np.float32), np.asarray(inputs.lengths, np.int64)


def sequence_structure(arrays: tuple[Array, ...], most: int) -> dict[str, Any]:
    """Returns the sizes of sequences, and in which strides they have at most so many steps."""
    steps, lengths = arrays
    return {
        "channels": steps.shape[2],
        "gaps": bool((np.isnan(steps).any(2) & (np.arange(steps.shape[1]) < lengths[:, None])).any()),
        "stride": -(-int(lengths.max()) // most),
    }
