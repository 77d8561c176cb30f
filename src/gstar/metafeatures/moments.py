"""How the numbers of each column are spread."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from gstar.metafeatures.support import Support, mean, meta_feature, over

Array: TypeAlias = np.ndarray


def _moment(s: Support, power: int) -> Array:
    """Returns the standardised moment of each number column, over what is not missing."""
    count = np.maximum((~np.isnan(s.numbers)).sum(axis=0), 1)
    found: Array = (s.standard**power).sum(axis=0) / count
    return found


@meta_feature
def skew_median(s: Support) -> float:
    """Median over columns of the logarithm of 1 + |skewness|."""
    return over(np.log1p(np.abs(_moment(s, 3))), 0.5)


@meta_feature
def skew_high(s: Support) -> float:
    """The same at the 90th percentile of columns."""
    return over(np.log1p(np.abs(_moment(s, 3))), 0.9)


@meta_feature
def kurtosis_median(s: Support) -> float:
    """Median over columns of the logarithm of 1 + the fourth standardised moment."""
    return over(np.log1p(_moment(s, 4)), 0.5)


@meta_feature
def kurtosis_high(s: Support) -> float:
    """The same at the 90th percentile of columns."""
    return over(np.log1p(_moment(s, 4)), 0.9)


@meta_feature
def outlier_share(s: Support) -> float:
    """Share of numbers more than 3 deviations from their column's mean."""
    return mean(np.abs(s.standard) > 3)


@meta_feature
def zero_share(s: Support) -> float:
    """Sparsity: the share of numbers that are zero."""
    return mean(s.numbers == 0)


@meta_feature
def whole_columns(s: Support) -> float:
    """Share of number columns that hold whole numbers only."""
    return mean(_whole(s))


def _whole(s: Support) -> Array:
    block = s.table.numbers
    found: Array = ((block == np.floor(block)) | np.isnan(block)).all(axis=0)
    return found


@meta_feature
def two_valued_columns(s: Support) -> float:
    """Share of number columns with at most two different values."""
    low, high = np.fmin.reduce(s.numbers, axis=0), np.fmax.reduce(s.numbers, axis=0)
    return mean(((s.numbers == low) | (s.numbers == high) | np.isnan(s.numbers)).all(axis=0))


@meta_feature
def distinct_share(s: Support) -> float:
    """Mean over number columns of the share of different values."""
    if not s.numbers.size:
        return 0.0
    ordered = np.sort(s.numbers, axis=0)
    distinct = 1 + (ordered[1:] > ordered[:-1]).sum(axis=0)
    return mean(distinct / len(s.numbers))
