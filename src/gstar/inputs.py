"""The three forms of rows that learners see: `Table`, `Images`, `Sequences`.

Each is a few plain arrays, so that a worker process can map them from a file instead of
copying them, and each can `take` a subset of its rows. How a person's frame becomes a
`Table`, at fit and again at predict, is the business of `gstar.schema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class Table:
    """Is rows of a table in four blocks, one per kind of column.

    Args:
        numbers: ``(N, Fn)`` float64, NaN where missing.
        codes: ``(N, Fc)`` int32 category codes 0..levels-1, -1 where missing or never seen.
        dates: ``(N, Fd)`` float64 seconds since 1970-01-01 UTC, NaN where missing.
        texts: ``(N, Ft)`` object array of str, "" where missing.
        levels: ``(Fc,)`` int64 number of categories of each column of `codes`.
    """

    numbers: Array
    codes: Array
    dates: Array
    texts: Array
    levels: Array

    def __len__(self) -> int:
        return int(self.numbers.shape[0])

    @property
    def n_features(self) -> int:
        """The number of columns in all four blocks."""
        return int(self.numbers.shape[1] + self.codes.shape[1] + self.dates.shape[1] + self.texts.shape[1])

    def take(self, rows: Array) -> Table:
        """Returns the rows at these positions, in this order."""
        return Table(self.numbers[rows], self.codes[rows], self.dates[rows], self.texts[rows], self.levels)

    @staticmethod
    def of(
        numbers: Array | None = None,
        codes: Array | None = None,
        dates: Array | None = None,
        texts: Array | None = None,
        levels: Array | None = None,
    ) -> Table:
        """Builds a table from the blocks that are there; the others have no columns."""
        present = [block for block in (numbers, codes, dates, texts) if block is not None]
        n = len(present[0])
        codes = np.empty((n, 0), np.int32) if codes is None else np.asarray(codes, np.int32)
        if levels is None:
            levels = codes.max(axis=0, initial=-1) + 1
        return Table(
            np.empty((n, 0)) if numbers is None else np.asarray(numbers, float),
            codes,
            np.empty((n, 0)) if dates is None else np.asarray(dates, float),
            np.empty((n, 0), object) if texts is None else np.asarray(texts, object),
            np.asarray(levels, np.int64),
        )


@dataclass(frozen=True, eq=False)
class Images:
    """Is images.

    Args:
        pixels: ``(N, C, H, W)`` float32 or uint8.
    """

    pixels: Array

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def n_features(self) -> int:
        """The number of values per image."""
        return int(np.prod(self.pixels.shape[1:]))

    def take(self, rows: Array) -> Images:
        """Returns the images at these positions, in this order."""
        return Images(self.pixels[rows])


@dataclass(frozen=True, eq=False)
class Sequences:
    """Is sequences, padded to the longest.

    Args:
        steps: ``(N, T, D)`` float32, zero after the end of a sequence, NaN where missing.
        lengths: ``(N,)`` int64 true lengths, 1..T.
    """

    steps: Array
    lengths: Array

    def __len__(self) -> int:
        return int(self.steps.shape[0])

    @property
    def n_features(self) -> int:
        """The number of values per sequence."""
        return int(np.prod(self.steps.shape[1:]))

    def take(self, rows: Array) -> Sequences:
        """Returns the sequences at these positions, in this order."""
        return Sequences(self.steps[rows], self.lengths[rows])


Inputs: TypeAlias = Table | Images | Sequences

FORMS: Final[dict[str, type[Table] | type[Images] | type[Sequences]]] = {
    "table": Table,
    "images": Images,
    "sequences": Sequences,
}


def form_of(inputs: Inputs) -> str:
    """Returns ``"table"``, ``"images"`` or ``"sequences"``."""
    return next(name for name, form in FORMS.items() if isinstance(inputs, form))


def to_arrays(inputs: Inputs) -> dict[str, Array]:
    """Returns the arrays that make up the inputs, by field name."""
    return {f.name: getattr(inputs, f.name) for f in fields(inputs)}


def from_arrays(form: str, arrays: Mapping[str, Array]) -> Inputs:
    """Builds inputs from what `to_arrays` returned."""
    kind: Any = FORMS[form]
    return kind(**{f.name: arrays[f.name] for f in fields(kind)})  # type: ignore[no-any-return]
