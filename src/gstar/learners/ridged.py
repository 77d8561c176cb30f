"""The common part of learners that are a `gstar.learners.ridge.Ridge` behind features: all but the features."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeAlias

import numpy as np

from gstar.errors import UntrustedFileError
from gstar.inputs import Inputs
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.learners.ridge import Ridge
from gstar.learners.shapes import TargetScale, compact, full_probabilities
from gstar.serialisation import dump_arrays, load_arrays

Array: TypeAlias = np.ndarray

_CHUNK: Final = 2**24
"""So many numbers of features are computed at once to predict."""


class Features(Protocol):
    """Is from rows to a matrix."""

    @property
    def n_columns(self) -> int:
        """F."""

    def transform(self, inputs: Any, /) -> Array:
        """Returns ``(N, F)``."""


class Rows(NamedTuple):
    """Is what a model is trained on.

    Args:
        inputs: S rows.
        target: ``(S,)`` codes of K classes that all occur, or scaled values.
        n_classes: K, or 0 for regression.
        weights: ``(S,)`` positive, or None.
    """

    inputs: Any
    target: Array
    n_classes: int
    weights: Array | None

    def take(self, rows: Array) -> Rows:
        """Returns some of the rows."""
        weights = None if self.weights is None else self.weights[rows]
        return Rows(self.inputs.take(rows), self.target[rows], self.n_classes, weights)


@dataclass(frozen=True, eq=False)
class RidgedState:
    """Is features and a linear model of them.

    Args:
        rows: What to train on; None once trained.
        spec: What the learner was told; None once trained.
        classes: ``(K,)`` codes of the classes among the rows; empty for regression.
        n_classes: C.
        scale: The scale of a regression target.
        features, ridge: What was trained; None if all rows were of one class.
    """

    rows: Rows | None
    spec: TrainingSpec | None
    classes: Array
    n_classes: int
    scale: TargetScale
    features: Any = None
    ridge: Ridge | None = None

    @property
    def steps(self) -> int:
        """1 once it is trained."""
        return int(self.rows is None)

    @property
    def done(self) -> bool:
        """Whether it is trained."""
        return self.rows is None


class AbstractRidged(AbstractLearner):
    """Trains features and a linear model of them in one step."""

    max_rows: ClassVar[int] = 10_000
    """A random part of this many rows is trained on if there are more."""

    @abstractmethod
    def train(self, rows: Rows, spec: TrainingSpec, deadline: float | None) -> tuple[Features, Ridge]:
        """Finds features, and fits the linear model."""

    @abstractmethod
    def save_features(self, features: Any) -> dict[str, bytes]:
        """Returns features as named parts."""

    @abstractmethod
    def load_features(self, parts: Mapping[str, bytes]) -> Features:
        """Builds what `save_features` returned.

        Raises:
            KeyError, ValueError: If something is missing, or of another shape.
        """

    def init(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> RidgedState:
        rows = Rows(inputs, target, 0, spec.weights)
        if len(target) > self.max_rows:
            part = np.random.default_rng(spec.seed).choice(len(target), self.max_rows, replace=False)
            rows = rows.take(np.sort(part))
        if rows.weights is not None and np.any(rows.weights > 0):
            rows = rows.take(np.flatnonzero(rows.weights > 0))
        classes, scale = np.empty(0, int), TargetScale(0.0, 1.0, None, -np.inf, np.inf)
        if spec.kind.is_classification:
            classes, codes = compact(rows.target)
            rows = rows._replace(target=codes, n_classes=len(classes))
        else:
            scale = TargetScale.fit(rows.target, spec.configuration["target"], rows.weights)
            rows = rows._replace(target=scale.forward(rows.target))
        return RidgedState(rows, spec, classes, spec.n_classes, scale)

    def step(self, state: State, steps: int, deadline: float | None) -> RidgedState:
        assert isinstance(state, RidgedState)
        if state.rows is None or state.spec is None or len(state.classes) == 1:
            return replace(state, rows=None, spec=None)
        features, ridge = self.train(state.rows, state.spec, deadline)
        return replace(state, rows=None, spec=None, features=features, ridge=ridge)

    def snapshot(self, state: State) -> State:
        return state

    def predict(self, state: State, inputs: Inputs) -> Array:
        assert isinstance(state, RidgedState)
        if state.features is None or state.ridge is None:
            return full_probabilities(np.ones((len(inputs), 1)), state.classes, state.n_classes)
        n_rows = max(1, _CHUNK // max(1, state.features.n_columns))
        starts = range(0, max(1, len(inputs)), n_rows)
        chunks = [inputs.take(np.arange(start, min(start + n_rows, len(inputs)))) for start in starts]
        prediction = np.concatenate([state.ridge.predict(state.features.transform(chunk)) for chunk in chunks])
        if state.n_classes:
            return full_probabilities(prediction, state.classes, state.n_classes)
        return state.scale.backward(prediction)

    def save(self, state: State) -> dict[str, bytes]:
        assert isinstance(state, RidgedState)
        about = {"classes": state.classes.tolist(), "n_classes": state.n_classes}
        parts = {"about.json": json.dumps(about).encode(), "scale.json": state.scale.dump()}
        if state.ridge is None:
            return parts
        return parts | self.save_features(state.features) | {"ridge.npz": dump_arrays(state.ridge.to_arrays())}

    def load(self, parts: Mapping[str, bytes]) -> RidgedState:
        about = json.loads(parts["about.json"])
        classes, scale = np.array(about["classes"], int), TargetScale.parse(parts["scale.json"])
        state = RidgedState(None, None, classes, int(about["n_classes"]), scale)
        if "ridge.npz" not in parts:
            return state
        try:
            features, ridge = self.load_features(parts), Ridge.from_arrays(load_arrays(parts["ridge.npz"]))
            if features.n_columns != len(ridge.centre):
                raise ValueError("features and coefficients do not agree")
        except (KeyError, IndexError, ValueError, TypeError, OSError, EOFError) as error:
            message = f"A model part is not a {self.name} as gstar saves it ({error!r:.200})."
            raise UntrustedFileError(message) from error
        return replace(state, features=features, ridge=ridge)
