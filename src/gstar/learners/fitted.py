"""The common part of learners that are one scikit-learn estimator behind an encoding."""

from __future__ import annotations

import json
import time
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np

from gstar.encoding import TableEncoder
from gstar.inputs import Inputs, Table
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.learners import trees
from gstar.learners.shapes import TargetScale, compact, full_probabilities
from gstar.serialisation import dump_sklearn, load_sklearn
from gstar.space import Scalar

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class FittedState:
    """Is an encoding and an estimator behind it.

    Args:
        encoder: The encoding.
        estimator: A scikit-learn estimator; fitted once `steps` > 0.
        classes: ``(K,)`` codes of the classes among the rows; empty for regression.
        n_classes: C.
        scale: The scale of a regression target.
        matrix, target, weights: The encoded rows; empty in a loaded state.
        limit: Steps after which it is done.
    """

    encoder: TableEncoder
    estimator: Any
    classes: Array
    n_classes: int
    scale: TargetScale
    matrix: Array
    target: Array
    weights: Array | None
    limit: int
    steps: int = 0

    @property
    def done(self) -> bool:
        """Whether it has all its steps."""
        return self.steps >= self.limit


class AbstractFitted(AbstractLearner):
    """Trains one scikit-learn estimator, at once or, for forests, in steps of more trees."""

    max_rows: ClassVar[int | None] = None
    """A random part of this many rows is trained on if there are more."""

    @abstractmethod
    def encoding(self, spec: TrainingSpec, table: Table) -> Mapping[str, Scalar]:
        """Returns the options of the encoding."""

    @abstractmethod
    def estimator(self, spec: TrainingSpec, matrix: Array) -> Any:
        """Returns the estimator, not fitted."""

    def limit(self, spec: TrainingSpec) -> int:
        """Returns how many steps the training has."""
        return int(spec.configuration.get("trees", 1) or 1)

    def init(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> FittedState:
        assert isinstance(inputs, Table)
        weights = spec.weights
        if self.max_rows is not None and len(target) > self.max_rows:
            part = np.sort(np.random.default_rng(spec.seed).choice(len(target), self.max_rows, replace=False))
            inputs, target, weights = inputs.take(part), target[part], None if weights is None else weights[part]
        if weights is not None and np.sum(weights > 0) < len(target):
            weights = np.maximum(weights, 1e-12 * max(float(np.max(weights)), 1.0))
        options = self.encoding(spec, inputs)
        encoder, matrix = TableEncoder.fit(inputs, target, spec.kind, options, weights=weights, seed=spec.seed)
        classes, scale = np.empty(0, int), TargetScale(0.0, 1.0, None, -np.inf, np.inf)
        if spec.kind.is_classification:
            classes, target = compact(target)
        else:
            scale = TargetScale.fit(target, spec.configuration.get("target", "standard"), weights)
            target = scale.forward(target)
        return FittedState(
            encoder,
            self.estimator(spec, matrix),
            classes,
            spec.n_classes,
            scale,
            matrix,
            target,
            weights,
            self.limit(spec),
        )

    def step(self, state: State, steps: int, deadline: float | None) -> FittedState:
        assert isinstance(state, FittedState)
        if len(state.classes) == 1:
            return replace(state, steps=state.limit)
        steps = min(steps, state.limit - state.steps)
        given = self._given(state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if state.limit == 1:
                state.estimator.fit(state.matrix, state.target, **given)
                return replace(state, steps=1)
            state.estimator.n_estimators = state.steps + steps
            state.estimator.fit(state.matrix, state.target, **given)
        late = deadline is not None and time.monotonic() > deadline
        return replace(state, steps=state.steps + steps, limit=state.steps + steps if late else state.limit)

    def _given(self, state: FittedState) -> dict[str, Array]:
        """Returns the row weights under the name that the estimator, or the end of its pipeline, knows."""
        if state.weights is None or not self.handles_weights:
            return {}
        steps = getattr(state.estimator, "steps", None)
        return {f"{steps[-1][0]}__sample_weight" if steps else "sample_weight": state.weights}

    def snapshot(self, state: State) -> State:
        """Returns the state itself: more trees only make it better, and it is kept as it is at the end."""
        assert isinstance(state, FittedState)
        if state.limit == 1 or state.done:
            return state
        kept = clone_shallow(state.estimator)
        return replace(state, estimator=kept)

    def predict(self, state: State, inputs: Inputs) -> Array:
        assert isinstance(state, FittedState)
        assert isinstance(inputs, Table)
        if len(state.classes) == 1:
            return full_probabilities(np.ones((len(inputs), 1)), state.classes, state.n_classes)
        matrix = state.encoder.transform(inputs)
        if state.n_classes:
            return full_probabilities(state.estimator.predict_proba(matrix), state.classes, state.n_classes)
        return state.scale.backward(state.estimator.predict(matrix))

    def save(self, state: State) -> dict[str, bytes]:
        assert isinstance(state, FittedState)
        about = {"classes": state.classes.tolist(), "n_classes": state.n_classes, "steps": state.steps}
        parts = state.encoder.save() | {"about.json": json.dumps(about).encode(), "scale.json": state.scale.dump()}
        if len(state.classes) != 1:
            parts |= _dump(state.estimator)
        return parts

    def load(self, parts: Mapping[str, bytes]) -> FittedState:
        about = json.loads(parts["about.json"])
        return FittedState(
            TableEncoder.load(parts),
            _load(parts),
            np.array(about["classes"], int),
            int(about["n_classes"]),
            TargetScale.parse(parts["scale.json"]),
            np.empty((0, 0)),
            np.empty(0),
            None,
            int(about["steps"]),
            int(about["steps"]),
        )


def _dump(estimator: Any) -> dict[str, bytes]:
    if type(estimator).__name__ in trees.KINDS:
        return {"forest.npz": trees.dump_forest(estimator)}
    return {"estimator.skops": dump_sklearn(estimator)}


def _load(parts: Mapping[str, bytes]) -> Any:
    """Returns the estimator; None if all rows were of one class."""
    if "forest.npz" in parts:
        return trees.load_forest(parts["forest.npz"])
    return load_sklearn(parts["estimator.skops"]) if "estimator.skops" in parts else None


def clone_shallow(forest: Any) -> Any:
    """Returns a forest that keeps the trees it has now when the given one grows on."""
    from copy import copy

    kept = copy(forest)
    kept.estimators_ = list(forest.estimators_)
    kept.n_estimators = len(kept.estimators_)
    return kept
