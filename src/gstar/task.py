"""What to learn: support rows, a target, a kind and a metric; perhaps query rows.

A `Task` is a frozen value. `gstar.reading` makes one from a file, a frame or arrays;
learners never see it: they get `inputs`, `target`, `kind` and the number of classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from gstar.errors import DataError
from gstar.inputs import Inputs, form_of, to_arrays
from gstar.metric import Metric, TaskKind

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class Task:
    """Is data to learn from, and how success is measured.

    Args:
        name: What a person calls it; never used to recognise it.
        kind: Binary, multiclass or regression.
        metric: Scores predictions on held-out rows.
        inputs: S support rows.
        target: ``(S,)`` int64 class codes 0..C-1, or float64 values.
        classes: The C labels in the user's own type, in the order of the codes; empty for
            regression.
        weights: ``(S,)`` non-negative row weights, or None.
        order: ``(S,)`` sortable values, later rows larger, or None: validate on the later rows.
        groups: ``(S,)`` int64 group of each row, or None: groups never straddle a split.
        schema: How new rows become inputs (JSON values, see `gstar.schema`); empty for arrays.
        notes: What was done to the data that the user should know, one sentence each.
    """

    name: str
    kind: TaskKind
    metric: Metric
    inputs: Inputs
    target: Array
    classes: tuple[Any, ...] = ()
    weights: Array | None = None
    order: Array | None = None
    groups: Array | None = None
    schema: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.target):
            raise DataError(f"Expected one target per row, got {len(self.inputs)} rows and {len(self.target)} targets.")

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def n_classes(self) -> int:
        """The number of classes C; 0 for regression."""
        return len(self.classes)

    @property
    def form(self) -> str:
        """``"table"``, ``"images"`` or ``"sequences"``."""
        return form_of(self.inputs)

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that recognise the same data, target and kind again."""
        digest = hashlib.blake2b(f"{self.kind}|{self.form}".encode(), digest_size=16)
        for name, array in [*to_arrays(self.inputs).items(), ("target", self.target)]:
            digest.update(f"|{name}{array.shape}".encode())
            if array.dtype == object:
                digest.update("\x1f".join(map(str, array.ravel())).encode("utf-8", "surrogatepass"))
            else:
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def take(self, rows: Array) -> Task:
        """Returns the task with these support rows only."""
        names = ("weights", "order", "groups")
        pick: dict[str, Any] = {name: None if (a := getattr(self, name)) is None else a[rows] for name in names}
        return replace(self, inputs=self.inputs.take(rows), target=self.target[rows], **pick)
