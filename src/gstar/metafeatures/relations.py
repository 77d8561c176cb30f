"""How columns go with each other, and with the target."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from gstar.metafeatures.support import Support, mean, meta_feature, once, over, some_columns

Array: TypeAlias = np.ndarray


@once
def _correlations(s: Support) -> Array:
    """Returns |correlation| of each pair of number columns."""
    z = s.standard
    if z.shape[1] < 2:
        return np.empty(0)
    matrix = np.abs(z.T @ z) / len(z)
    found: Array = np.minimum(matrix[np.triu_indices(z.shape[1], 1)], 1.0)
    return found


@meta_feature
def correlation_mean(s: Support) -> float:
    """Mean |correlation| of two number columns."""
    return mean(_correlations(s))


@meta_feature
def correlation_high(s: Support) -> float:
    """Its 95th percentile over pairs."""
    return over(_correlations(s), 0.95)


@once
def _explained(s: Support) -> Array:
    """Returns, for each number column, the share of its variance that goes with the target.

    It is the squared correlation for regression, and eta squared for classes; what chance
    alone would give is taken off.
    """
    z, y = s.standard, s.outputs
    if s.is_classification:
        count = np.maximum(y.sum(axis=0), 1)
        share = ((y.T @ z) ** 2 / count[:, None]).sum(axis=0) / len(z)
    else:
        share = ((y.T @ z) / len(z))[0] ** 2
    return _without_chance(share, y.shape[1] - s.is_classification, len(z))


@once
def _explained_by_levels(s: Support) -> Array:
    """Returns, for each category column, the share of the target's variance that its levels explain."""
    y = s.outputs - s.outputs.mean(axis=0)
    total = max(float((y**2).sum()), 1e-12)
    found = []
    for column in some_columns(s.codes, 50).T:
        level = np.unique(column, return_inverse=True)[1]
        count = np.bincount(level)
        between = sum(float((np.bincount(level, weights=out) ** 2 / count).sum()) for out in y.T)
        found.append(float(_without_chance(np.array([between / total]), len(count) - 1, len(y))[0]))
    return np.array(found)


def _without_chance(share: Array, freedom: int, n: int) -> Array:
    """Returns shares of variance less what as many random columns would explain, 0 to 1."""
    chance = min(1.0, freedom / max(1, n - 1))
    found: Array = np.clip((share - chance) / max(1 - chance, 1e-12), 0.0, 1.0)
    return found


@meta_feature
def target_number_mean(s: Support) -> float:
    """Mean share of variance that number columns have in common with the target."""
    return mean(_explained(s))


@meta_feature
def target_number_max(s: Support) -> float:
    """The largest such share."""
    return float(_explained(s).max(initial=0.0))


@meta_feature
def target_category_max(s: Support) -> float:
    """The largest share of the target's variance that the levels of one category explain."""
    return float(_explained_by_levels(s).max(initial=0.0))


@once
def _components(s: Support) -> Array:
    """Returns the variances along the principal components of a part of the rows, largest first."""
    rows = np.sort(np.concatenate(s.landmark_rows))
    x = s.design[rows]
    if x.shape[1] < 1 or len(x) < 2:
        return np.empty(0)
    x = x - x.mean(axis=0)
    small = x.T @ x if x.shape[1] <= len(x) else x @ x.T
    return np.maximum(np.linalg.eigvalsh(small)[::-1], 0.0)


@meta_feature
def intrinsic_dimension(s: Support) -> float:
    """Share of principal components that it takes to explain 95 % of the variance."""
    variances = _components(s)
    if not variances.sum() > 0:
        return 0.0
    needed = 1 + int(np.searchsorted(np.cumsum(variances) / variances.sum(), 0.95))
    return min(1.0, needed / len(variances))


@meta_feature
def first_component(s: Support) -> float:
    """Share of the variance along the first principal component."""
    variances = _components(s)
    return float(variances[0] / variances.sum()) if variances.sum() > 0 else 0.0
