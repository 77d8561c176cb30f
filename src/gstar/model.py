"""A fitted ensemble: what a search leaves, what predicts, and what a ``.gstar`` file holds.

The file is a zip: a manifest (versions, schema of the input, the members and their
weights, a hash of every part) and the learners' own parts, none of which is a pickle.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.archive import read_archive, write_archive
from gstar.calibration import apply_temperature
from gstar.errors import DataError, MissingExtraError, StorageError, UnknownLearnerError, UntrustedFileError, UsageError
from gstar.inputs import Inputs, to_arrays
from gstar.learner import AbstractLearner, State, get_learner, learner_names
from gstar.metric import TaskKind
from gstar.reading import make_inputs
from gstar.strategy import Strategy
from gstar.task import Task

Array: TypeAlias = np.ndarray

FORMAT: Final = 1
CHUNK_ROWS: Final = 20_000
"""Rows are predicted this many at a time, so that memory stays bounded."""
LIBRARIES: Final = ("gstar", "numpy", "scikit-learn", "lightgbm", "xgboost-cpu", "catboost")
_LABEL_TYPES: Final = {"str": str, "bool": bool, "int": int, "float": float}

logger = logging.getLogger("gstar")


@dataclass(frozen=True, eq=False)
class Member:
    """Is one strategy of an ensemble with the models it led to, one per fold.

    Args:
        strategy: How they were trained.
        parts: What the learner saved, per fold; their predictions are averaged.
        weight: In the ensemble.
    """

    strategy: Strategy
    parts: tuple[Mapping[str, bytes], ...]
    weight: float


@dataclass(frozen=True, eq=False)
class Model:
    """Is an ensemble that predicts.

    Args:
        kind: Kind of task.
        metric: Name of the metric it was chosen by.
        classes: C labels in the user's own type; empty for regression.
        form: ``"table"``, ``"images"`` or ``"sequences"``.
        schema: How a frame becomes a table, as JSON; empty for arrays.
        shape: Shape of one image or step; empty for a table.
        members: What is averaged; weights sum to 1.
        temperature: See `gstar.calibration`.
        info: What a person may want to know, as JSON values.
    """

    kind: TaskKind
    metric: str
    classes: tuple[Any, ...]
    form: str
    schema: Mapping[str, Any]
    shape: tuple[int, ...]
    members: tuple[Member, ...]
    temperature: float = 1.0
    info: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(task: Task, members: Sequence[Member], *, temperature: float, info: Mapping[str, Any]) -> Model:
        """Builds a model of a task."""
        return Model(
            task.kind,
            task.metric.name,
            tuple(_plain(label) for label in task.classes),
            task.form,
            task.schema,
            _shape_of(task.inputs),
            tuple(members),
            temperature,
            {"name": task.name, **info},
        )

    def predict_inputs(self, inputs: Inputs) -> Array:
        """Returns ``(N, C)`` probabilities or ``(N,)`` values."""
        if _shape_of(inputs) != self.shape:
            raise DataError(f"Expected {self.form} of shape {self.shape} as at fit, got {_shape_of(inputs)}.")
        rows = np.arange(len(inputs))
        chunks = [rows[i : i + CHUNK_ROWS] for i in range(0, max(1, len(rows)), CHUNK_ROWS)]
        blend = np.concatenate([self._blend(inputs.take(chunk)) for chunk in chunks])
        return apply_temperature(blend, self.temperature) if self.kind.is_classification else blend

    def predict_proba(self, X: Any) -> Array:
        """Returns ``(N, C)`` probabilities, columns in the order of `classes`.

        Raises:
            UsageError: If the task is a regression.
            DataError: If the rows lack a column, or have another shape.
        """
        if not self.kind.is_classification:
            raise UsageError("A regression model predicts values, not probabilities; use predict.")
        return self.predict_inputs(make_inputs(X, form=self.form, schema=self.schema))

    def predict(self, X: Any) -> Array:
        """Returns ``(N,)`` labels in the user's own type, or values."""
        raw = self.predict_inputs(make_inputs(X, form=self.form, schema=self.schema))
        return self.labels[np.argmax(raw, axis=1)] if self.kind.is_classification else raw

    @cached_property
    def labels(self) -> Array:
        """``(C,)`` the classes as an array: of numbers or truth values where all are, else of objects."""
        kinds = {type(label) for label in self.classes}
        if len(kinds) == 1 and kinds <= {bool, int, float}:
            return np.array(self.classes)
        labels = np.empty(len(self.classes), object)
        labels[:] = self.classes
        return labels

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model to a file; an older one stays until the new one is whole.

        Raises:
            StorageError: If the file cannot be written.
        """
        files: dict[str, bytes] = {}
        members = []
        for i, member in enumerate(self.members):
            for fold, parts in enumerate(member.parts):
                files |= {f"{i}/{fold}/{name}": content for name, content in parts.items()}
            members.append({"strategy": member.strategy.to_json(), "folds": len(member.parts), "weight": member.weight})
        manifest = {
            "format": FORMAT,
            "versions": _versions(),
            "kind": self.kind,
            "metric": self.metric,
            "classes": [[type(label).__name__, label] for label in self.classes],
            "form": self.form,
            "schema": self.schema,
            "shape": list(self.shape),
            "temperature": self.temperature,
            "info": dict(self.info),
            "ensemble": members,
        }
        write_archive(Path(path), manifest, files)

    @staticmethod
    def load(path: str | os.PathLike[str], *, force: bool = False) -> Model:
        """Reads a model; nothing in the file is run.

        Args:
            path: The file.
            force: Whether to load a model that another major version of a library wrote.

        Raises:
            StorageError: If the file cannot be read, or was written by an incompatible version.
            UntrustedFileError: If it is not a model, or not what it says.
        """
        path = Path(path)
        manifest, files = read_archive(path)
        if manifest.get("format") != FORMAT:
            raise StorageError(
                f"{path} has format {manifest.get('format')!r}, this gstar reads {FORMAT}; install a newer gstar."
            )
        try:
            model = _from_manifest(manifest, files)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UntrustedFileError(f"Refused {path}: its manifest is not one of a model ({error!r:.120}).") from error
        _check_versions(path, manifest["versions"], model, force=force)
        return model

    def _blend(self, inputs: Inputs) -> Array:
        """Returns the weighted average over members and folds."""
        total: Array | None = None
        for learner, state, weight in self._models:
            part = weight * np.asarray(learner.predict(state, inputs), float)
            total = part if total is None else total + part
        assert total is not None
        return total

    @cached_property
    def _models(self) -> list[tuple[AbstractLearner, State, float]]:
        return list(self._loaded())

    def _loaded(self) -> Iterator[tuple[AbstractLearner, State, float]]:
        for member in self.members:
            learner = get_learner(member.strategy.learner)
            for parts in member.parts:
                try:
                    state = learner.load(parts)
                except (MissingExtraError, UntrustedFileError):
                    raise
                except Exception as error:
                    raise UntrustedFileError(
                        f"The parts of a {learner.name} model are damaged or not its own ({error!r:.120})."
                    ) from error
                yield learner, state, member.weight / len(member.parts)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_models"}


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _shape_of(inputs: Inputs) -> tuple[int, ...]:
    """Returns the part of the shape that must stay: channels and size, or values per step."""
    arrays = to_arrays(inputs)
    if "pixels" in arrays:
        return tuple(arrays["pixels"].shape[1:])
    return tuple(arrays["steps"].shape[2:]) if "steps" in arrays else ()


def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _from_manifest(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Model:
    members = []
    for i, entry in enumerate(manifest["ensemble"]):
        strategy = Strategy.from_json(entry["strategy"])
        if strategy.learner not in learner_names():
            raise UnknownLearnerError(f"no learner {strategy.learner!r} is installed")
        parts = tuple(
            {name.split("/", 2)[2]: content for name, content in files.items() if name.startswith(f"{i}/{fold}/")}
            for fold in range(int(entry["folds"]))
        )
        weight = float(entry["weight"])
        if not parts or not all(parts) or not 0 < weight <= 1:
            raise ValueError(f"member {i} has no parts or a weight outside (0, 1]")
        members.append(Member(strategy, parts, weight))
    if not members:
        raise ValueError("there are no members")
    return Model(
        TaskKind(manifest["kind"]),
        str(manifest["metric"]),
        tuple(_LABEL_TYPES[kind](label) for kind, label in manifest["classes"]),
        str(manifest["form"]),
        dict(manifest["schema"]),
        tuple(int(n) for n in manifest["shape"]),
        tuple(members),
        float(manifest["temperature"]),
        dict(manifest["info"]),
    )


def _check_versions(path: Path, written: Mapping[str, str], model: Model, *, force: bool) -> None:
    """Refuses another major version of a library that matters here; tells of another minor one."""
    here = _versions()
    used = {"gstar", "scikit-learn"} | {m.strategy.learner.replace("xgboost", "xgboost-cpu") for m in model.members}
    for library in sorted(used & set(written) & set(here)):
        then, now = written[library].split("."), here[library].split(".")
        if then[0] != now[0] and not force:
            raise StorageError(
                f"{path} was written with {library} {written[library]}, here is {here[library]}; "
                f"install that version, or load it with force if you must."
            )
        if then[:2] != now[:2]:
            logger.warning("%s was written with %s %s, here is %s", path, library, written[library], here[library])
