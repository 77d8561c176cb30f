"""What meta-features are computed from: a fixed subsample of the support rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from gstar.inputs import Images, Inputs, Sequences, Table
from gstar.metric import TaskKind
from gstar.task import Task

Array: TypeAlias = np.ndarray
T = TypeVar("T")

MAX_ROWS: Final = 4_000
MAX_COLUMNS: Final = 200
MAX_CLASSES: Final = 20
LANDMARK_ROWS: Final = 1_000
LANDMARK_COLUMNS: Final = 60
LANDMARK_LEVELS: Final = 6
_CHUNK: Final = 64
"""Images that are averaged at once."""
_SIDE: Final = 64
_LENGTH: Final = 512
"""Of larger images only every so many pixels are looked at, and of longer sequences steps, that so many are left."""

REGISTRY: Final[dict[str, Callable[[Support], float]]] = {}


def meta_feature(function: Callable[[Support], float]) -> Callable[[Support], float]:
    """Marks a function as the meta-feature of its name; NaN and infinity become 0 and the bound."""
    REGISTRY[function.__name__] = function
    return function


def once(function: Callable[[Support], T]) -> Callable[[Support], T]:
    """Makes a function of a support run once per support, so that several meta-features may share it."""

    @wraps(function)
    def remembered(s: Support) -> T:
        if function not in s.results:
            s.results[function] = function(s)
        found: T = s.results[function]
        return found

    return remembered


class Support:
    """Is the support rows of a task as meta-features see them; each view is made once.

    Args:
        task: The task. Only its rows, target and kinds are read.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.results: dict[Callable[[Support], Any], Any] = {}
        self.rows: Array = sample(len(task), MAX_ROWS if isinstance(task.inputs, Table) else LANDMARK_ROWS)
        self.target: Array = task.target[self.rows]
        inputs = task.inputs
        self.table = inputs.take(self.rows) if isinstance(inputs, Table) else Table.of(np.empty((len(self.rows), 0)))

    @property
    def is_classification(self) -> bool:
        """Tells whether the target is classes."""
        return self.task.kind is not TaskKind.REGRESSION

    @cached_property
    def numbers(self) -> Array:
        """``(n, F)`` number columns in [-1, 1], NaN where missing, at most `MAX_COLUMNS`."""
        return scaled(some_columns(self.table.numbers, MAX_COLUMNS))

    @cached_property
    def codes(self) -> Array:
        """``(n, F)`` category columns, -1 where missing, at most `MAX_COLUMNS`."""
        return some_columns(self.table.codes, MAX_COLUMNS)

    @cached_property
    def missing(self) -> Array:
        """``(n, F)`` whether each cell is missing, at most `MAX_COLUMNS` of each kind."""
        texts = some_columns(self.table.texts, MAX_COLUMNS) == ""
        dates = np.isnan(some_columns(self.table.dates, MAX_COLUMNS))
        return np.hstack([np.isnan(self.numbers), self.codes < 0, dates, np.asarray(texts, bool)])

    @cached_property
    def standard(self) -> Array:
        """``(n, F)`` number columns with mean 0 and deviation 1, 0 where missing."""
        return standardised(self.numbers)

    @cached_property
    def class_counts(self) -> Array:
        """``(C,)`` rows of each class, over all support rows; empty for regression."""
        if not self.is_classification:
            return np.empty(0)
        return np.bincount(self.task.target, minlength=self.task.n_classes).astype(float)

    @cached_property
    def outputs(self) -> Array:
        """``(n, K)`` what a model should put out: the standardised target, or one column per frequent class."""
        if not self.is_classification:
            return standardised(scaled(self.target[:, None].astype(float)))
        frequent = np.argsort(-self.class_counts, kind="stable")[:MAX_CLASSES]
        return np.asarray(self.target[:, None] == frequent, float)

    @cached_property
    def landmark_rows(self) -> tuple[Array, Array]:
        """Positions in the subsample of the rows that landmarks train on, and of those that score them."""
        rows = np.random.default_rng(1).permutation(len(self.target))[:LANDMARK_ROWS]
        cut = max(1, int(0.6 * len(rows)))
        return rows[:cut], rows[cut:]

    @cached_property
    def places(self) -> Array:
        """``(n, F)`` images and sequences as few standardised columns, one per place; of a table none."""
        inputs = self.task.inputs
        if isinstance(inputs, Table):
            return np.empty((len(self.target), 0))
        blocks = in_blocks(inputs.take(self.rows), LANDMARK_COLUMNS)
        columns = some_columns(blocks.reshape(len(blocks), -1), LANDMARK_COLUMNS)
        return np.asarray(np.clip(standardised(scaled(columns)), -5.0, 5.0))

    @cached_property
    def ordinal(self) -> Array:
        """``(n, F)`` all columns as finite numbers, categories by their code."""
        if self.places.shape[1]:
            return self.places
        half = LANDMARK_COLUMNS // 2
        parts = (some_columns(self.standard, half), some_columns(self.codes, half), self._others)
        return np.hstack([np.asarray(part, float) for part in parts])

    @cached_property
    def design(self) -> Array:
        """``(n, D)`` all columns with mean 0 and deviation 1, a category as one column per frequent level."""
        if self.places.shape[1]:
            return self.places
        half = LANDMARK_COLUMNS // 2
        levels = [self.codes[:, [j]] == _frequent(self.codes[:, j]) for j in _places(self.codes.shape[1], half)]
        hot = [standardised(block.astype(float)) for block in levels]
        blocks = [some_columns(self.standard, half), *hot, self._others]
        return np.asarray(np.clip(np.hstack(blocks), -5.0, 5.0))

    @cached_property
    def _others(self) -> Array:
        """``(n, F)`` dates, and the lengths of texts."""
        texts = some_columns(self.table.texts, 10)
        lengths = np.array([[len(cell) for cell in row] for row in texts], float).reshape(texts.shape)
        return standardised(scaled(np.hstack([some_columns(self.table.dates, 10), lengths])))


def in_blocks(inputs: Inputs, limit: int) -> Array:
    """Returns ``(n, ..., C)`` images as means over squares, sequences as means over stretches of their own length.

    Missing values are left out of the means. Of what is large only some pixels or steps are looked at. There are about
    as many blocks as the limit allows, for all channels together, and one at least.
    """
    if isinstance(inputs, Images):
        side = max(1, int((limit / inputs.pixels.shape[1]) ** 0.5))
        down, across = (max(1, n // _SIDE) for n in inputs.pixels.shape[2:])
        pixels = inputs.pixels[:, :, ::down, ::across].transpose(0, 2, 3, 1)
        chunks = (pixels[i : i + _CHUNK] for i in range(0, len(pixels), _CHUNK))
        return np.concatenate([_means(_means(chunk, 1, side), 2, side) for chunk in chunks])
    assert isinstance(inputs, Sequences)
    count = max(1, limit // inputs.steps.shape[2])
    ends = zip(inputs.steps, inputs.lengths, strict=True)
    return np.concatenate([_means(row[None, : n : max(1, n // _LENGTH)], 1, count) for row, n in ends])


def _means(values: Array, axis: int, count: int) -> Array:
    """Returns the means of so many parts of an axis; where it is shorter, values come again."""
    n = values.shape[axis]
    edges = np.linspace(0, n, count + 1)
    firsts = np.minimum(edges[:-1].astype(int), n - 1)
    ends = np.maximum(np.ceil(edges[1:]).astype(int), firsts + 1)
    values = np.moveaxis(values, axis, 0)
    known = np.isfinite(values)
    shown = np.where(known, values, 0.0)
    sums, counts = (np.concatenate([np.zeros_like(x[:1], float), np.cumsum(x, axis=0)]) for x in (shown, known))
    totals, present = sums[ends] - sums[firsts], counts[ends] - counts[firsts]
    return np.asarray(np.moveaxis(totals / np.maximum(present, 1), 0, axis))


def sample(n: int, limit: int) -> Array:
    """Returns up to so many of n positions, in order, always the same."""
    if n <= limit:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, limit, replace=False, shuffle=False))


def some_columns(block: Array, limit: int) -> Array:
    """Returns up to so many columns, evenly spread."""
    return block if block.shape[1] <= limit else block[:, _places(block.shape[1], limit)]


def scaled(block: Array) -> Array:
    """Returns columns divided by their largest magnitude, so that no power of them overflows."""
    top = np.fmax.reduce(np.abs(block), axis=0, initial=0.0)
    found: Array = block / np.where(top > 0, top, 1.0)
    return found


def standardised(block: Array) -> Array:
    """Returns columns with mean 0 and deviation 1, 0 where missing or where nothing varies."""
    present = ~np.isnan(block)
    count = np.maximum(present.sum(axis=0), 1)
    centred = np.where(present, block - np.where(present, block, 0.0).sum(axis=0) / count, 0.0)
    deviation = np.sqrt((centred**2).sum(axis=0) / count)
    found: Array = centred / np.where(deviation > 1e-12, deviation, np.inf)
    return found


def over(values: Array, q: float) -> float:
    """Returns a quantile over columns, 0 if there are none."""
    return float(np.quantile(values, q)) if len(values) else 0.0


def mean(values: ArrayLike) -> float:
    """Returns the mean, 0 if there are no values."""
    return float(np.mean(np.asarray(values))) if np.size(values) else 0.0


def _places(n: int, limit: int) -> Array:
    return np.arange(n) if n <= limit else np.linspace(0, n - 1, limit).astype(int)


def _frequent(codes: Array) -> Array:
    counts = np.bincount(codes[codes >= 0]) if (codes >= 0).any() else np.zeros(1)
    return np.argsort(-counts, kind="stable")[:LANDMARK_LEVELS]
