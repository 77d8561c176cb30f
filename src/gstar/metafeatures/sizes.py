"""How large the task is, what its columns are, and what is missing."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from gstar.inputs import Table
from gstar.metafeatures.support import Support, mean, meta_feature

Array: TypeAlias = np.ndarray


@meta_feature
def log_rows(s: Support) -> float:
    """Natural logarithm of the number of rows."""
    return float(np.log(len(s.task)))


@meta_feature
def log_features(s: Support) -> float:
    """Natural logarithm of the number of columns, or of values per image or sequence."""
    return float(np.log1p(s.task.inputs.n_features))


@meta_feature
def log_rows_per_feature(s: Support) -> float:
    """Natural logarithm of rows per column."""
    return float(np.log(len(s.task) / max(1, s.task.inputs.n_features)))


@meta_feature
def is_images(s: Support) -> float:
    """1 for images."""
    return float(s.task.form == "images")


@meta_feature
def is_sequences(s: Support) -> float:
    """1 for sequences."""
    return float(s.task.form == "sequences")


@meta_feature
def is_ordered(s: Support) -> float:
    """1 if rows have an order in time."""
    return float(s.task.order is not None)


def _share(s: Support, block: str) -> float:
    if not isinstance(s.task.inputs, Table):
        return 0.0
    return float(getattr(s.task.inputs, block).shape[1] / max(1, s.task.inputs.n_features))


@meta_feature
def share_numbers(s: Support) -> float:
    """Share of columns that are numbers."""
    return _share(s, "numbers")


@meta_feature
def share_categories(s: Support) -> float:
    """Share of columns that are categories."""
    return _share(s, "codes")


@meta_feature
def share_dates(s: Support) -> float:
    """Share of columns that are dates."""
    return _share(s, "dates")


@meta_feature
def share_texts(s: Support) -> float:
    """Share of columns that are text."""
    return _share(s, "texts")


@meta_feature
def missing_share(s: Support) -> float:
    """Share of cells that are missing."""
    return mean(s.missing)


@meta_feature
def missing_columns(s: Support) -> float:
    """Share of columns with a missing cell."""
    return mean(s.missing.any(axis=0))


@meta_feature
def missing_rows(s: Support) -> float:
    """Share of rows with a missing cell."""
    return mean(s.missing.any(axis=1))


def _levels(s: Support) -> Array:
    return np.asarray(np.log1p(s.table.levels))


@meta_feature
def log_levels_mean(s: Support) -> float:
    """Mean over categories of the logarithm of their number of levels."""
    return mean(_levels(s))


@meta_feature
def log_levels_max(s: Support) -> float:
    """Logarithm of the largest number of levels."""
    return float(_levels(s).max(initial=0.0))


@meta_feature
def log_design(s: Support) -> float:
    """Logarithm of the number of columns if each level had its own."""
    return float(np.log1p(s.task.inputs.n_features - len(s.table.levels) + s.table.levels.sum()))
