"""Learners of tables on images and sequences: every place is a column.

They need no torch, train in a moment, and are what a network has to beat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, TypeAlias

import numpy as np

from gstar.inputs import Images, Inputs, Sequences, Table
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.learners.kernel_ridge import KernelRidge
from gstar.learners.lightgbm import LightGBM
from gstar.learners.linear import Linear
from gstar.learners.mlp import MLP
from gstar.space import Scalar

Array: TypeAlias = np.ndarray

MAX_PLACES: Final = 1024
"""Larger images are averaged over blocks, and longer sequences are read at fewer places."""
MAX_READINGS: Final = 64
"""At how many places a sequence is read at most, evenly over its own length."""
INHERITED: Final = (
    "space",
    "has_schedule",
    "handles_weights",
    "handles_pace",
    "handles_control",
    "requires",
    "extra",
    "patience",
    "default_schedule",
    "preload",
)
"""What a learner of places takes over from the learner of tables in it."""


def flatten(inputs: Inputs) -> Table:
    """Returns images and sequences as a table of numbers; a table stays what it is.

    Args:
        inputs: N rows.

    Returns:
        A table with one column per channel and place; for sequences, with the logarithm of the length.
    """
    if isinstance(inputs, Images):
        return Table.of(numbers=pooled(inputs.pixels, MAX_PLACES).reshape(len(inputs), -1).astype(float))
    if isinstance(inputs, Sequences):
        return Table.of(numbers=np.c_[_read_evenly(inputs), np.log(inputs.lengths)])
    return inputs


def pooled(pixels: Array, max_places: int) -> Array:
    """Returns ``(N, C, h, w)`` means over the smallest blocks that lead to at most so many values."""
    n, channels, height, width = pixels.shape
    block = 1
    while channels * -(-height // block) * -(-width // block) > max_places:
        block += 1
    if block == 1:
        return pixels
    margins = [(0, 0), (0, 0), (0, -height % block), (0, -width % block)]
    padded = np.pad(pixels.astype(np.float32), margins, mode="edge")
    h, w = padded.shape[2] // block, padded.shape[3] // block
    return np.asarray(padded.reshape(n, channels, h, block, w, block).mean(axis=(3, 5)))


def _read_evenly(sequences: Sequences) -> Array:
    """Returns ``(N, R * D)`` values at R even places of each sequence, linear in between."""
    n, _, channels = sequences.steps.shape
    readings = int(np.clip(MAX_PLACES // channels, 8, MAX_READINGS))
    places = np.linspace(0, 1, readings)[None] * (np.asarray(sequences.lengths)[:, None] - 1)
    left = np.floor(places).astype(int)
    right = np.minimum(left + 1, np.asarray(sequences.lengths)[:, None] - 1)
    share, rows = (places - left)[..., None], np.arange(n)[:, None]
    values = (1 - share) * sequences.steps[rows, left] + share * sequences.steps[rows, right]
    return np.asarray(values.reshape(n, readings * channels), float)


class AbstractFlattened(AbstractLearner):
    """Hands flattened rows to a learner of tables."""

    inner: ClassVar[AbstractLearner]
    forms: ClassVar[frozenset[str]] = frozenset({"images", "sequences"})

    def __init_subclass__(cls) -> None:
        for name in INHERITED:
            setattr(cls, name, getattr(cls.inner, name))

    def init(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> State:
        valid = spec.validation and (flatten(spec.validation[0]), spec.validation[1])
        flat = TrainingSpec(**{**vars(spec), "validation": valid})
        return self.inner.init(flatten(inputs), target, flat)

    def step(self, state: State, steps: int, deadline: float | None) -> State:
        return self.inner.step(state, steps, deadline)

    def snapshot(self, state: State) -> State:
        return self.inner.snapshot(state)

    def predict(self, state: State, inputs: Inputs) -> Array:
        return self.inner.predict(state, flatten(inputs))

    def save(self, state: State) -> dict[str, bytes]:
        return self.inner.save(state)

    def load(self, parts: Mapping[str, bytes]) -> State:
        return self.inner.load(parts)

    def steps_to_check(self, state: State) -> int:
        return self.inner.steps_to_check(state)

    def adjust(
        self, state: State, *, rate_factor: float = 1.0, drop_share: float = 0.0, balance: bool = False
    ) -> State:
        return self.inner.adjust(state, rate_factor=rate_factor, drop_share=drop_share, balance=balance)

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        return self.inner.work(rows, min(features, MAX_PLACES), classes, configuration)


class FlatLinear(AbstractFlattened):
    """A linear model of all places."""

    name: ClassVar[str] = "flat_linear"
    inner: ClassVar[AbstractLearner] = Linear()


class FlatKernelRidge(AbstractFlattened):
    """Ridge regression on all places, or on Gaussian kernels of them, that finds its settings by leaving rows out."""

    name: ClassVar[str] = "flat_kernel_ridge"
    inner: ClassVar[AbstractLearner] = KernelRidge()


class FlatLightGBM(AbstractFlattened):
    """Boosted trees on all places."""

    name: ClassVar[str] = "flat_lightgbm"
    inner: ClassVar[AbstractLearner] = LightGBM()


class FlatMLP(AbstractFlattened):
    """A multi-layer perceptron on all places."""

    name: ClassVar[str] = "flat_mlp"
    inner: ClassVar[AbstractLearner] = MLP()
