"""Predicts the same for every row: the yardstick that is always there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from gstar.inputs import Inputs
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.space import Scalar, Space

Array: TypeAlias = np.ndarray


@dataclass(frozen=True)
class ConstantState:
    """Is the answer: class frequencies, or the mean."""

    answer: tuple[float, ...]
    is_classification: bool
    steps: int = 0

    @property
    def done(self) -> bool:
        """Whether it was trained."""
        return self.steps > 0


class Constant(AbstractLearner):
    """Predicts class frequencies (smoothed by one row per class), or the mean."""

    name: ClassVar[str] = "constant"
    space: ClassVar[Space] = Space({})
    forms: ClassVar[frozenset[str]] = frozenset({"table", "images", "sequences"})

    def init(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> ConstantState:
        weights = np.ones(len(target)) if spec.weights is None else np.asarray(spec.weights, float)
        if weights.sum() <= 0:
            weights = np.ones(len(target))
        if spec.kind.is_classification:
            counts = np.bincount(target.astype(int), weights, minlength=spec.n_classes) + 1.0
            return ConstantState(tuple((counts / counts.sum()).tolist()), True)
        return ConstantState((float(np.average(target, weights=weights)),), False)

    def step(self, state: State, steps: int, deadline: float | None) -> ConstantState:
        assert isinstance(state, ConstantState)
        return ConstantState(state.answer, state.is_classification, 1)

    def snapshot(self, state: State) -> State:
        return state

    def predict(self, state: State, inputs: Inputs) -> Array:
        assert isinstance(state, ConstantState)
        if state.is_classification:
            return np.tile(state.answer, (len(inputs), 1))
        return np.full(len(inputs), state.answer[0])

    def save(self, state: State) -> dict[str, bytes]:
        assert isinstance(state, ConstantState)
        return {"constant.json": json.dumps([state.answer, state.is_classification]).encode()}

    def load(self, parts: Mapping[str, bytes]) -> ConstantState:
        answer, is_classification = json.loads(parts["constant.json"])
        return ConstantState(tuple(float(v) for v in answer), bool(is_classification), 1)

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        return 0.01
