"""Landmarks: how well four tiny models do, trained on a few hundred rows.

Each is scored on rows held out from the subsample by its skill: 1 minus its squared error
over that of always predicting the training mean, with classes as 0/1 outputs. 1 is
perfect, 0 is no better than the mean; below -1 is cut off. All four are a few lines of
NumPy, so that no library need be loaded and threads cannot change them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from gstar.metafeatures.support import Support, meta_feature, once

Array: TypeAlias = np.ndarray
Model: TypeAlias = Callable[[Array, Array, Array], Array]

_BINS: Final = 16
_DEPTH: Final = 4
_MIN_LEAF: Final = 5
_RIDGE: Final = 10.0


def _skill(s: Support, design: Array, model: Model) -> float:
    train, test = s.landmark_rows
    if not design.shape[1] or not len(test):
        return 0.0
    y, truth = s.outputs[train], s.outputs[test]
    baseline = float(((truth - y.mean(axis=0)) ** 2).sum())
    error = float(((truth - model(design[train], y, design[test])) ** 2).sum())
    return float(np.clip(1 - error / baseline, -1.0, 1.0)) if baseline > 0 else 0.0


@meta_feature
def landmark_linear(s: Support) -> float:
    """Skill of ridge regression."""
    return _skill(s, s.design, _ridge)


@meta_feature
def landmark_nearest(s: Support) -> float:
    """Skill of the nearest neighbour."""
    return _skill(s, s.design, lambda x, y, new: _neighbours(x, y, new, 1))


@meta_feature
def landmark_neighbours(s: Support) -> float:
    """Skill of the mean of ten nearest neighbours."""
    return _skill(s, s.design, lambda x, y, new: _neighbours(x, y, new, 10))


@meta_feature
def landmark_stump(s: Support) -> float:
    """Skill of the best single split."""
    return _skill(s, s.ordinal, lambda x, y, new: _tree(x, y, new, 1))


@once
def _tree_skill(s: Support) -> float:
    return _skill(s, s.ordinal, lambda x, y, new: _tree(x, y, new, _DEPTH))


@meta_feature
def landmark_tree(s: Support) -> float:
    """Skill of a tree of depth 4."""
    return _tree_skill(s)


@meta_feature
def landmark_curvature(s: Support) -> float:
    """How much better the tree is than the linear model: what is not linear, or interacts."""
    return _tree_skill(s) - landmark_linear(s)


def _ridge(x: Array, y: Array, new: Array) -> Array:
    middle = y.mean(axis=0)
    if x.shape[1] <= len(x):
        weights = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ (y - middle))
    else:
        weights = x.T @ np.linalg.solve(x @ x.T + _RIDGE * np.eye(len(x)), y - middle)
    found: Array = new @ weights + middle
    return found


def _neighbours(x: Array, y: Array, new: Array, count: int) -> Array:
    distance = (x**2).sum(axis=1) - 2 * new @ x.T
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :count]
    found: Array = y[nearest].mean(axis=1)
    return found


def _tree(x: Array, y: Array, new: Array, depth: int) -> Array:
    """Returns the predictions of a tree that is grown by squared error on binned columns."""
    edges = np.quantile(x, np.linspace(0, 1, _BINS + 1)[1:-1], axis=0)
    bins, new_bins = ((edges[None] < block[:, None]).sum(axis=1) for block in (x, new))
    return _grow(bins, y, new_bins, depth)


def _grow(bins: Array, y: Array, new_bins: Array, depth: int) -> Array:
    middle = y.mean(axis=0)
    found = np.tile(middle, (len(new_bins), 1))
    split = _best_split(bins, y - middle) if depth and len(y) >= 2 * _MIN_LEAF else None
    if split is None:
        return found
    column, threshold = split
    left, new_left = bins[:, column] <= threshold, new_bins[:, column] <= threshold
    for side, new_side in ((left, new_left), (~left, ~new_left)):
        if new_side.any():
            found[new_side] = _grow(bins[side], y[side], new_bins[new_side], depth - 1)
    return found


def _best_split(bins: Array, y: Array) -> tuple[int, int] | None:
    """Returns the column and bin at which cutting reduces the squared error most, None if nothing does."""
    n, width = bins.shape
    place = (bins + np.arange(width) * _BINS).ravel()
    count = np.bincount(place, minlength=width * _BINS).reshape(width, _BINS).cumsum(axis=1)
    gain = np.zeros((width, _BINS))
    inside = (count >= _MIN_LEAF) & (n - count >= _MIN_LEAF)
    for output in y.T:
        total = np.bincount(place, weights=np.repeat(output, width), minlength=width * _BINS)
        left = total.reshape(width, _BINS).cumsum(axis=1)
        gain += left**2 / np.maximum(count, 1) + (output.sum() - left) ** 2 / np.maximum(n - count, 1)
    gain = np.where(inside, gain, -1.0)
    best = int(np.argmax(gain))
    return divmod(best, _BINS) if gain.ravel()[best] > 1e-9 * n else None
