"""A tiny learner on images that can begin with the weights of another model, for tests: one number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from safetensors.numpy import load, save

from gstar.inputs import Inputs
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.space import Categorical, Configuration, Scalar, Space
from gstar.weights import WEIGHTS


@dataclass(frozen=True)
class BeginsState:
    """Is the number, of the body, and that of the head."""

    body: float
    head: float
    steps: int = 0

    @property
    def done(self) -> bool:
        return self.steps > 0


class Begins(AbstractLearner):
    """Predicts class 1 with a probability that its body says: 0.5 from scratch; trained it is 0.25 more."""

    name: ClassVar[str] = "begins"
    space: ClassVar[Space] = Space({"width": Categorical((8, 16)), "epochs": Categorical((1, 2))})
    forms: ClassVar[frozenset[str]] = frozenset({"images"})
    handles_initial: ClassVar[bool] = True

    def init(self, inputs: Inputs, target: np.ndarray, spec: TrainingSpec) -> BeginsState:
        start = 0.5 if spec.initial is None else float(load(spec.initial[WEIGHTS])["body"][0])
        return BeginsState(start + (0.0 if spec.frozen else 0.1), 7.0)

    def step(self, state: State, steps: int, deadline: float | None) -> State:
        assert isinstance(state, BeginsState)
        return BeginsState(state.body, state.head, 1)

    def snapshot(self, state: State) -> State:
        return state

    def predict(self, state: State, inputs: Inputs) -> np.ndarray:
        assert isinstance(state, BeginsState)
        p = np.full(len(inputs), min(state.body, 0.95))
        return np.stack([1 - p, p], axis=1)

    def save(self, state: State) -> dict[str, bytes]:
        assert isinstance(state, BeginsState)
        tensors = {"body": np.array([state.body]), "head.bias": np.array([7.0]), "entry.scaling.mean": np.array([9.0])}
        return {WEIGHTS: save(tensors), "about.json": b"{}"}

    def load(self, parts: Mapping[str, bytes]) -> BeginsState:
        return BeginsState(float(load(parts[WEIGHTS])["body"][0]), 7.0, 1)

    def has_same_body(self, a: Mapping[str, Scalar], b: Mapping[str, Scalar]) -> bool:
        return a.get("width") == b.get("width")

    def with_body(self, configuration: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> Configuration:
        return {**configuration, "width": other["width"]}

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        return 0.01
