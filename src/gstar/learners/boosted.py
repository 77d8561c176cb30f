"""What the boosters share: encoded rows, targets, and the state between two rounds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from gstar.encoding import TableEncoder
from gstar.inputs import Inputs, Table
from gstar.learner import TrainingSpec
from gstar.learners.shapes import TargetScale, compact, full_probabilities

Array: TypeAlias = np.ndarray


@dataclass(eq=False)
class Watched:
    """Is the rows that are looked at again and again while a booster grows, so that only new trees are predicted.

    Args:
        inputs: The rows.
        matrix: The same, encoded, in the form that the library predicts fastest.
        raw: Sum of the first `steps` trees on them, before any link function; None before the first look.
        steps: How many trees that are.
    """

    inputs: Inputs
    matrix: Any
    raw: Array | None = None
    steps: int = 0


@dataclass(frozen=True, eq=False)
class BoostedState:
    """Is a booster after some rounds. The booster may have grown on; `steps` says how many count.

    Args:
        encoder: The encoding.
        booster: The library's own object; None where there is nothing to learn.
        rest: What the learner needs to train on: its data, its parameters; None once loaded.
        classes: ``(K,)`` codes of the classes among the rows; empty for regression.
        n_classes: C.
        scale: The scale of a regression target.
        limit: Rounds after which it is done.
        steps: Rounds that count.
        answer: ``(K,)`` probabilities, or one value, where there is nothing to learn; else empty.
        watched: The validation rows, or None.
    """

    encoder: TableEncoder
    booster: Any
    rest: Any
    classes: Array
    n_classes: int
    scale: TargetScale
    limit: int
    steps: int = 0
    answer: tuple[float, ...] = ()
    watched: Watched | None = None

    @property
    def done(self) -> bool:
        """Whether it has all its rounds, or nothing to learn."""
        return self.steps >= self.limit

    @property
    def is_trivial(self) -> bool:
        """Whether there is nothing to learn, so that the answer is always the same."""
        return bool(self.answer)

    def finished(self) -> BoostedState:
        """Returns the state as done."""
        return replace(self, limit=self.steps)


def encode_rows(
    inputs: Inputs, target: Array, spec: TrainingSpec, categories: str
) -> tuple[TableEncoder, Array, Array, Array, TargetScale]:
    """Returns the encoding, the matrix, the renumbered or scaled target, the classes and the scale."""
    assert isinstance(inputs, Table)
    options = {"numbers": "none", "categories": categories}
    encoder, matrix = TableEncoder.fit(inputs, target, spec.kind, options, seed=spec.seed)
    if spec.kind.is_classification:
        classes, target = compact(target)
        return encoder, matrix, target, classes, TargetScale(0.0, 1.0, None, -np.inf, np.inf)
    scale = TargetScale.fit(target, spec.configuration.get("target", "standard"))
    return encoder, matrix, scale.forward(target), np.empty(0, int), scale


def category_columns(encoder: TableEncoder, inputs: Table) -> list[int]:
    """Returns the places of native categories in the encoded matrix."""
    if encoder.options["categories"] != "native":
        return []
    first = inputs.numbers.shape[1] + 4 * inputs.dates.shape[1]
    return list(range(first, first + inputs.codes.shape[1]))


def finish_prediction(state: BoostedState, raw: Array) -> Array:
    """Turns what a booster predicts into probabilities of all classes, or values."""
    if not state.n_classes:
        return state.scale.backward(raw)
    if raw.ndim == 1:
        raw = np.stack([1 - raw, raw], axis=1)
    return full_probabilities(raw, state.classes, state.n_classes)


def watch(encoder: TableEncoder, spec: TrainingSpec, prepare: Callable[[Array], Any] = np.asarray) -> Watched | None:
    """Returns the validation rows, encoded once, in the form that the library wants."""
    if spec.validation is None:
        return None
    inputs = spec.validation[0]
    assert isinstance(inputs, Table)
    return Watched(inputs, prepare(encoder.transform(inputs)))


def rounds_to_stop(rows: int, rate: float, most: float) -> float:
    """Returns about how many rounds help: more rows, more of them; a learning rate divides them."""
    return min(most, (6.0 + 0.2 * math.sqrt(rows)) / max(rate, 1e-4))


def trivial_answer(matrix: Array, target: Array, classes: Array) -> tuple[float, ...]:
    """Returns the only answer there is if the target or all columns are constant, else nothing."""
    known = np.nan_to_num(matrix, nan=-1e30)
    if np.ptp(target) > 0 and np.any(known != known[:1]):
        return ()
    if not len(classes):
        return (float(np.mean(target)),)
    return tuple((np.bincount(target, minlength=len(classes)) / len(target)).tolist())


def trivial_state(
    encoder: TableEncoder, classes: Array, n_classes: int, scale: TargetScale, answer: tuple[float, ...]
) -> BoostedState:
    """Returns a state that one step completes."""
    return BoostedState(encoder, None, None, classes, n_classes, scale, 1, answer=answer)


def trivial_prediction(state: BoostedState, rows: int) -> Array:
    """Returns the same answer for every row."""
    if not state.n_classes:
        return state.scale.backward(np.full(rows, state.answer[0]))
    return full_probabilities(np.tile(state.answer, (rows, 1)), state.classes, state.n_classes)


def save_boosted(state: BoostedState, name: str, content: bytes | None) -> dict[str, bytes]:
    """Returns the parts of a state; the booster's own bytes under the given name."""
    about = {
        "classes": state.classes.tolist(),
        "n_classes": state.n_classes,
        "steps": state.steps,
        "answer": state.answer,
    }
    parts = state.encoder.save() | {"about.json": json.dumps(about).encode(), "scale.json": state.scale.dump()}
    return parts if content is None else parts | {name: content}


def load_boosted(parts: Mapping[str, bytes], booster: Any) -> BoostedState:
    """Builds a state that predicts, from the parts and the library's own object."""
    about = json.loads(parts["about.json"])
    steps = int(about["steps"])
    return BoostedState(
        TableEncoder.load(parts),
        booster,
        None,
        np.array(about["classes"], int),
        int(about["n_classes"]),
        TargetScale.parse(parts["scale.json"]),
        steps,
        steps,
        tuple(float(p) for p in about["answer"]),
    )
