"""Random convolutions on sequences, and a linear model of what they answer: strong, quick, and without torch."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final, TypeAlias

import numpy as np

from gstar.errors import UntrustedFileError
from gstar.inputs import Inputs, Sequences
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.learners.convolutions import GROUP, Features
from gstar.learners.ridge import Ridge
from gstar.learners.shapes import TargetScale, compact, full_probabilities
from gstar.space import Categorical, Integer, Scalar, Space

Array: TypeAlias = np.ndarray

MAX_ROWS: Final = 10_000
"""A random part of this many rows is trained on if there are more."""


@dataclass(frozen=True, eq=False)
class RocketState:
    """Is kernels and a linear model of their answers.

    Args:
        rows: Sequences and their classes, renumbered, or scaled values; None once trained.
        spec: What the learner was told; None in a loaded state.
        classes: ``(K,)`` codes of the classes among the rows; empty for regression.
        n_classes: C.
        scale: The scale of a regression target.
        features, ridge: What was trained.
    """

    rows: tuple[Sequences, Array, Array | None] | None
    spec: TrainingSpec | None
    classes: Array
    n_classes: int
    scale: TargetScale
    features: Features | None = None
    ridge: Ridge | None = None

    @property
    def steps(self) -> int:
        """1 once it is trained."""
        return int(self.rows is None)

    @property
    def done(self) -> bool:
        """Whether it is trained."""
        return self.rows is None


class Rocket(AbstractLearner):
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

    def init(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> RocketState:
        assert isinstance(inputs, Sequences)
        weights = spec.weights
        if len(target) > MAX_ROWS:
            part = np.sort(np.random.default_rng(spec.seed).choice(len(target), MAX_ROWS, replace=False))
            inputs, target, weights = inputs.take(part), target[part], None if weights is None else weights[part]
        classes, scale = np.empty(0, int), TargetScale(0.0, 1.0, None, -np.inf, np.inf)
        if weights is not None and np.any(weights > 0):
            kept = np.flatnonzero(weights > 0)
            inputs, target, weights = inputs.take(kept), target[kept], weights[kept]
        if spec.kind.is_classification:
            classes, target = compact(target)
        else:
            scale = TargetScale.fit(target, spec.configuration["target"], weights)
            target = scale.forward(target)
        return RocketState((inputs, target, weights), spec, classes, spec.n_classes, scale)

    def step(self, state: State, steps: int, deadline: float | None) -> RocketState:
        assert isinstance(state, RocketState)
        if state.rows is None or state.spec is None or len(state.classes) == 1:
            return replace(state, rows=None, spec=None)
        sequences, target, weights = state.rows
        configuration, rng = state.spec.configuration, np.random.default_rng(state.spec.seed)
        n_kernels, differences = int(configuration["kernels"] or 1), bool(configuration["differences"])
        features = Features.fit(sequences, n_kernels, differences, rng, deadline=deadline)
        ridge = Ridge.fit(features.transform(sequences), target, len(state.classes), weights)
        return replace(state, rows=None, spec=None, features=features, ridge=ridge)

    def snapshot(self, state: State) -> State:
        return state

    def predict(self, state: State, inputs: Inputs) -> Array:
        assert isinstance(state, RocketState)
        assert isinstance(inputs, Sequences)
        if state.features is None or state.ridge is None:
            return full_probabilities(np.ones((len(inputs), 1)), state.classes, state.n_classes)
        prediction = state.ridge.predict(state.features.transform(inputs))
        if state.n_classes:
            return full_probabilities(prediction, state.classes, state.n_classes)
        return state.scale.backward(prediction)

    def save(self, state: State) -> dict[str, bytes]:
        assert isinstance(state, RocketState)
        about = {"classes": state.classes.tolist(), "n_classes": state.n_classes}
        parts = {"about.json": json.dumps(about).encode(), "scale.json": state.scale.dump()}
        if state.features is not None and state.ridge is not None:
            content = io.BytesIO()
            arrays = state.features.to_arrays() | state.ridge.to_arrays()
            np.savez(content, allow_pickle=False, **arrays)
            parts["rocket.npz"] = content.getvalue()
        return parts

    def load(self, parts: Mapping[str, bytes]) -> RocketState:
        about = json.loads(parts["about.json"])
        classes, scale = np.array(about["classes"], int), TargetScale.parse(parts["scale.json"])
        state = RocketState(None, None, classes, int(about["n_classes"]), scale)
        if "rocket.npz" not in parts:
            return state
        try:
            with np.load(io.BytesIO(parts["rocket.npz"]), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            features, ridge = Features.from_arrays(arrays), Ridge.from_arrays(arrays)
            if features.n_columns != len(ridge.centre):
                raise ValueError("kernels and coefficients do not agree")
        except (KeyError, IndexError, ValueError, TypeError, OSError, EOFError) as error:
            message = f"A model part is not a rocket as gstar saves it ({error!r:.200})."
            raise UntrustedFileError(message) from error
        return replace(state, features=features, ridge=ridge)

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        kernels = float(configuration.get("kernels", 1000) or 1000)
        rows = min(rows, MAX_ROWS)
        convolving = 3.5e-9 * (rows + GROUP) * features * kernels
        return 0.1 + 1e-4 * kernels + convolving + 5e-10 * rows * min(rows, 2 * kernels) * kernels
