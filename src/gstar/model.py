"""A fitted ensemble: what a search leaves, what predicts, and what a ``.gstar`` file holds.

The file is a zip: a manifest (versions, schema of the input, the members and their
weights, a hash of every part) and the learners' own parts, none of which is a pickle.
"""

from __future__ import annotations

import importlib.metadata
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.archive import read_archive, write_archive
from gstar.arrays import ArraySchema
from gstar.calibration import apply_temperature
from gstar.errors import DataError, GstarError, StorageError, UntrustedFileError, UsageError
from gstar.inputs import FORMS, Inputs, to_arrays
from gstar.learner import AbstractLearner, State, get_learner
from gstar.metric import TaskKind
from gstar.reading import make_inputs
from gstar.schema import Schema
from gstar.strategy import Strategy
from gstar.task import Task

Array: TypeAlias = np.ndarray

FORMAT: Final = 1
CHUNK_ROWS: Final = 20_000
"""Rows are predicted this many at a time, so that memory stays bounded."""
MAX_VALUES: Final = 100_000_000
"""Of one image or step; more are taken for a bomb."""
LIBRARIES: Final = ("gstar", "numpy", "scikit-learn", "lightgbm", "xgboost-cpu", "catboost")
_LABEL_TYPES: Final[dict[str, type]] = {"bool": bool, "int": int, "float": float, "str": str}

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
        schema: How new rows become inputs, as JSON: see `gstar.schema` and `gstar.arrays`.
        shape: ``(C, H, W)`` of images, ``(D,)`` of sequences; empty for a table.
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
        width = (len(self.classes),) if self.kind.is_classification else ()
        blend = np.empty((len(inputs), *width))
        for start in range(0, len(inputs), CHUNK_ROWS):
            rows = np.arange(start, min(start + CHUNK_ROWS, len(inputs)))
            blend[rows] = self._blend(inputs.take(rows))
        return apply_temperature(blend, self.temperature) if self.kind.is_classification else blend

    def predict_proba(self, X: Any) -> Array:
        """Returns ``(N, C)`` probabilities, columns in the order of `classes`.

        Raises:
            UsageError: If the task is a regression.
            DataError: If the rows lack a column, or have another shape.
        """
        if not self.kind.is_classification:
            raise UsageError("A regression model predicts values, not probabilities; use predict.")
        return self.predict_inputs(make_inputs(X, form=self.form, schema=self.schema, shape=self.shape))

    def predict(self, X: Any) -> Array:
        """Returns ``(N,)`` labels in the user's own type, or values."""
        raw = self.predict_inputs(make_inputs(X, form=self.form, schema=self.schema, shape=self.shape))
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
            "classes": [_tagged(label) for label in self.classes],
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
            UnknownLearnerError, MissingExtraError: If a learner that it needs is not installed.
        """
        path = Path(path)
        manifest, files = read_archive(path)
        if manifest.get("format") != FORMAT:
            raise StorageError(
                f"{path} has format {manifest.get('format')!r}, this gstar reads {FORMAT}; install a newer gstar."
            )
        try:
            model = _from_manifest(manifest, files)
            written = {str(library): str(version) for library, version in manifest["versions"].items()}
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UntrustedFileError(f"Refused {path}: its manifest is not one of a model ({error!r:.120}).") from error
        for member in model.members:
            get_learner(member.strategy.learner)
        _check_versions(path, written, model, force=force)
        return model

    def _blend(self, inputs: Inputs) -> Array:
        """Returns the weighted average over members and folds."""
        total = np.zeros((len(inputs), len(self.classes)) if self.kind.is_classification else len(inputs))
        for learner, state, weight in self._models:
            try:
                total += weight * np.asarray(learner.predict(state, inputs), float).reshape(total.shape)
            except (GstarError, MemoryError):
                raise
            except Exception as error:
                raise UntrustedFileError(
                    f"The saved {learner.name} model does not fit the rows that it should predict ({error!r:.120})."
                ) from error
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
                except (GstarError, MemoryError):
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


def _tagged(label: Any) -> list[Any]:
    """Returns a label with the name of its type, so that 1, 1.0, True and "1" stay apart."""
    name, kind = next((name, kind) for name, kind in _LABEL_TYPES.items() if isinstance(label, kind))
    return [name, kind(label)]


def _from_manifest(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Model:
    model = Model(
        TaskKind(manifest["kind"]),
        str(manifest["metric"]),
        tuple(_LABEL_TYPES[kind](label) for kind, label in manifest["classes"]),
        str(manifest["form"]),
        dict(manifest["schema"]),
        tuple(int(n) for n in manifest["shape"]),
        _members(manifest["ensemble"], files),
        float(manifest["temperature"]),
        dict(manifest["info"]),
    )
    if model.form not in FORMS or not 0 < model.temperature < np.inf:
        raise ValueError(f"form {model.form!r} or temperature {model.temperature} makes no sense")
    if model.kind.is_classification != (len(model.classes) > 1) or len(set(model.classes)) != len(model.classes):
        raise ValueError(f"a {model.kind} model cannot have {len(model.classes)} classes, or one twice")
    if model.form == "table":
        Schema.from_json(model.schema)
    else:
        ArraySchema.from_json(model.schema)
    sides = {"table": 0, "images": 3, "sequences": 1}[model.form]
    if len(model.shape) != sides or min(model.shape, default=1) < 1 or math.prod(model.shape) > MAX_VALUES:
        raise ValueError(f"{model.form} cannot have the shape {model.shape}")
    return model


def _members(entries: Sequence[Mapping[str, Any]], files: Mapping[str, bytes]) -> tuple[Member, ...]:
    """Returns the members; each file ``MEMBER/FOLD/PART`` must belong to one of them."""
    parts: dict[tuple[str, str], dict[str, bytes]] = {}
    for name, content in files.items():
        member, fold, part = name.split("/", 2)
        parts.setdefault((member, fold), {})[part] = content
    if len(parts) != sum(int(entry["folds"]) for entry in entries):
        raise ValueError("its parts are not those of its members")
    members = tuple(
        Member(
            Strategy.from_json(entry["strategy"]),
            tuple(parts[str(i), str(fold)] for fold in range(int(entry["folds"]))),
            float(entry["weight"]),
        )
        for i, entry in enumerate(entries)
    )
    if not all(m.parts and 0 < m.weight <= 1 for m in members) or abs(sum(m.weight for m in members) - 1) > 1e-6:
        raise ValueError("the weights of its members do not sum to 1, or one has no parts")
    return members


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
