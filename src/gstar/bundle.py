"""Named arrays, as in an ``.npz`` file, to images, sequences or a table: which array is what.

The inputs are the array named ``x``, ``images``, ``sequences``, ``data`` or so, else the one with
most dimensions; the target is the array named ``y``, ``label`` or so, or as the user says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from gstar.arrays import ArraySchema, Rows, as_images, as_sequences, could_be_images, guess_form
from gstar.columns import shorten
from gstar.errors import DataError, UsageError, did_you_mean
from gstar.npz import Header, read_headers, read_members, refuse_objects

if TYPE_CHECKING:
    import pandas as pd

Array: TypeAlias = np.ndarray

_INPUTS: Final = ("x", "images", "sequences", "series", "inputs", "data")
_TARGETS: Final = ("y", "target", "targets", "label", "labels")
_LENGTHS: Final = ("lengths", "length")
_CLASSES: Final = ("class_names", "classes", "label_names", "target_names")
_FORM_OF_KEY: Final = {"images": "images", "sequences": "sequences", "series": "sequences"}


@dataclass(frozen=True)
class Bundle:
    """Is a file of named arrays and the parts that they play.

    Args:
        path: The file.
        headers: The header of each array.
        inputs: Name of the inputs.
        target: Name of the target, or empty.
        lengths: Name of the lengths of sequences, or empty.
        classes: Name of the names of the classes, or empty.
        form: What the inputs are.
    """

    path: Path
    headers: Mapping[str, Header]
    inputs: str
    target: str
    lengths: str
    classes: str
    form: str

    @staticmethod
    def open(path: Path, *, target: str | None = None, form: str | None = None, key: str = "") -> Bundle:
        """Finds out what is what, from the headers alone.

        Args:
            path: The file.
            target: Name of the target; None: one of the usual names.
            form: What the inputs are; None: told by their name, shape and type.
            key: Name of the inputs at fit, if there is one.

        Raises:
            DataError: If an array is missing, or several could be the inputs.
        """
        headers = read_headers(path)
        if target is not None and target not in headers:
            near = did_you_mean(target, headers)
            raise DataError(f"No array {target!r} for the target in '{path}'; there are {_listed(headers)}.{near}")
        if target is not None and headers[target].shape[1:] not in ((), (1,)):
            raise DataError(f"Expected one target per row in '{path}', but {target!r} is {headers[target]}.")
        found = target or _named(headers, _TARGETS)
        inputs = _inputs(path, headers, found, key)
        refuse_objects(path, {name: headers[name] for name in (inputs, found) if name})
        n_rows = headers[inputs].shape[:1]
        lengths = next((name for name in headers if name.lower() in _LENGTHS and headers[name].shape == n_rows), "")
        classes = next((name for name in headers if name.lower() in _CLASSES and headers[name].dtype.kind in "US"), "")
        return Bundle(path, headers, inputs, found, lengths, classes, form or _form(inputs, headers[inputs], lengths))

    def rows(self, schema: ArraySchema | None = None, *, labelled: bool = True) -> Rows:
        """Returns images or sequences.

        Args:
            schema: As at fit, for new rows.
            labelled: Whether the target is wanted.
        """
        if labelled and not self.target:
            raise UsageError(
                f"Expected the name of the target's array in '{self.path}', one of: {_listed(self.headers)}."
            )
        parts = [self.inputs, *([self.target, self.classes] if labelled else [])]
        if self.form == "sequences":
            parts.append(self.lengths)
        used = [part for part in parts if part]
        arrays = read_members(self.path, self.headers, used)
        x = arrays[self.inputs]
        if self.form == "images":
            rows = as_images(x, schema, key=self.inputs)
        else:
            rows = Rows(as_sequences(x, arrays.get(self.lengths)), schema or ArraySchema(self.inputs))
        if not labelled:
            return rows
        target = _labels(arrays[self.target], arrays.get(self.classes), len(x), self.target)
        return replace(rows, target=target, notes=tuple(self._notes(used)))

    def frame(self) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Returns a table, and notes: columns ``x0, x1, ...``, and one for each array with a value per row."""
        import pandas as pd

        header = self.headers[self.inputs]
        if len(header.shape) != 2:
            raise DataError(f"Expected a table as (N, F), but {self.inputs!r} in '{self.path}' is {header}.")
        others = [n for n, h in self.headers.items() if h.shape == header.shape[:1] and not h.dtype.hasobject]
        names = [self.inputs, *others, *filter(None, [self.classes])]
        arrays = read_members(self.path, self.headers, dict.fromkeys(names))
        frame = pd.DataFrame(arrays[self.inputs], columns=[f"x{j}" for j in range(header.shape[1])])
        columns = {name: arrays[name] for name in others}
        if self.target in columns:
            labels = _labels(columns[self.target], arrays.get(self.classes), len(frame), self.target)
            columns[self.target] = np.asarray(labels)
        note = f"Took {self.inputs!r} {header} as a table; if its rows are sequences, say form sequences."
        return pd.concat([frame, pd.DataFrame(columns)], axis=1), (note,)

    def _notes(self, used: Iterable[str]) -> list[str]:
        """Tells what was guessed and what was left."""
        notes = []
        header = self.headers[self.inputs]
        if self.form == "sequences" and not self.lengths and len(header.shape) == 3 and could_be_images(header.shape):
            notes.append(
                f"Took {self.inputs!r} {header} as sequences of {header.shape[1]} steps with {header.shape[2]} values "
                "each; if they are images, say form images."
            )
        unused = [name for name in self.headers if name not in {*used}]
        return [*notes, *([f"Did not use {shorten(unused)} in '{self.path.name}'."] if unused else [])]


def _listed(headers: Mapping[str, Header]) -> str:
    shown = [f"{name} {header}" for name, header in list(headers.items())[:8]]
    return ", ".join(shown) + (", ..." if len(headers) > 8 else "") if shown else "none"


def _named(headers: Mapping[str, Header], names: Iterable[str]) -> str:
    """Returns the first array that has one of these names, small or large."""
    of = {name.lower(): name for name in reversed(list(headers))}
    return next((of[name] for name in names if name in of), "")


def _inputs(path: Path, headers: Mapping[str, Header], target: str, key: str) -> str:
    if key in headers and key != target:
        return key
    if (named := _named(headers, _INPUTS)) and len(headers[named].shape) > 1:
        return named
    if named and headers[named].dtype.hasobject:
        return named  # to be refused, with the reason
    several = {name: header for name, header in headers.items() if len(header.shape) > 1 and name != target}
    if target:
        several = {name: h for name, h in several.items() if h.shape[:1] == headers[target].shape[:1]}
    most = max((len(header.shape) for header in several.values()), default=0)
    candidates = [name for name, header in several.items() if len(header.shape) == most]
    if len(candidates) != 1:
        why = f"{shorten(candidates)} could all be it" if candidates else "none has one row per value of the target"
        raise DataError(
            f"Expected one array with the inputs in '{path}', but {why}; name it 'x'. There are: {_listed(headers)}."
        )
    return candidates[0]


def _form(inputs: str, header: Header, lengths: str) -> str:
    if inputs.lower() in _FORM_OF_KEY:
        return _FORM_OF_KEY[inputs.lower()]
    if lengths and len(header.shape) in (2, 3):
        return "sequences"
    return guess_form(header.shape, header.dtype)


def _labels(y: Array, names: Array | None, n_rows: int, title: str) -> Array:
    """Returns one label per row, by its name where the file has names."""
    labels = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if labels.shape != (n_rows,):
        raise DataError(f"Expected one target per row, got {n_rows} rows and {title!r} of shape {y.shape}.")
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if names is None or labels.dtype.kind not in "iu" or not n_rows:
        return labels
    names = np.char.decode(names, "utf-8", "replace") if names.dtype.kind == "S" else names
    if names.ndim != 1 or labels.min() < 0 or labels.max() >= len(names) or len(np.unique(names)) < len(names):
        return labels
    return np.asarray(names[labels])
