"""What the target looks like."""

from __future__ import annotations

import numpy as np

from gstar.metafeatures.support import Support, meta_feature


@meta_feature
def log_classes(s: Support) -> float:
    """Logarithm of the number of classes, 0 for regression."""
    return float(np.log(max(1, s.task.n_classes)))


@meta_feature
def class_entropy(s: Support) -> float:
    """Entropy of the classes, 1 if all are equally frequent."""
    if s.task.n_classes < 2:
        return 0.0
    share = s.class_counts[s.class_counts > 0] / s.class_counts.sum()
    return float(-(share * np.log(share)).sum() / np.log(s.task.n_classes))


@meta_feature
def majority_share(s: Support) -> float:
    """Share of rows in the most frequent class."""
    return float(s.class_counts.max() / s.class_counts.sum()) if len(s.class_counts) else 0.0


@meta_feature
def log_minority_rows(s: Support) -> float:
    """Logarithm of the rows in the rarest class."""
    return float(np.log1p(s.class_counts.min())) if len(s.class_counts) else 0.0


def _moment(s: Support, power: int) -> float:
    if s.is_classification:
        return 0.0
    return float((s.outputs[:, 0] ** power).mean())


@meta_feature
def target_skew(s: Support) -> float:
    """Skewness of the target, on a signed logarithmic scale."""
    skew = _moment(s, 3)
    return float(np.sign(skew) * np.log1p(abs(skew)))


@meta_feature
def target_kurtosis(s: Support) -> float:
    """Logarithm of the target's fourth standardised moment (1.39 for a normal one)."""
    return float(np.log1p(_moment(s, 4)))


@meta_feature
def target_distinct(s: Support) -> float:
    """Share of the target's values that are different."""
    return 0.0 if s.is_classification else len(np.unique(s.target)) / len(s.target)


@meta_feature
def target_mode(s: Support) -> float:
    """Share of rows at the target's most frequent value: a target that piles up, often at zero."""
    return 0.0 if s.is_classification else float(np.unique(s.target, return_counts=True)[1].max() / len(s.target))


@meta_feature
def target_positive(s: Support) -> float:
    """1 if a numeric target is positive in all rows, so that its logarithm exists."""
    return 0.0 if s.is_classification else float((s.target > 0).all())
