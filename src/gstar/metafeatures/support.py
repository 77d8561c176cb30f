"""What meta-features are computed from: a fixed subsample of the support rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from gstar.inputs import Table
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
        rows = sample(len(task), MAX_ROWS)
        self.target: Array = task.target[rows]
        self.table = task.inputs.take(rows) if isinstance(task.inputs, Table) else Table.of(np.empty((len(rows), 0)))

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
    def ordinal(self) -> Array:
        """``(n, F)`` all columns as finite numbers, categories by their code."""
        half = LANDMARK_COLUMNS // 2
        parts = (some_columns(self.standard, half), some_columns(self.codes, half), self._others)
        return np.hstack([np.asarray(part, float) for part in parts])

    @cached_property
    def design(self) -> Array:
        """``(n, D)`` all columns with mean 0 and deviation 1, a category as one column per frequent level."""
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
