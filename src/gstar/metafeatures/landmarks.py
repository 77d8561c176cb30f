"""Landmarks: how well tiny models do, trained on a few hundred rows.

Of images and sequences they see means over places; and two more see what does not depend on the place: how strongly
small patterns occur anywhere, and how values are spread. Which of them do well tells whether a task is one for
convolutions.

Each is scored on rows held out from the subsample by its skill: 1 minus its squared error
over that of always predicting the training mean, with classes as 0/1 outputs. 1 is
perfect, 0 is no better than the mean; below -1 is cut off. All are a few lines of
NumPy, so that no library need be loaded and threads cannot change them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gstar.inputs import Images, Table
from gstar.metafeatures.support import Support, in_blocks, meta_feature, once, scaled, standardised

Array: TypeAlias = np.ndarray
Model: TypeAlias = Callable[[Array, Array, Array], Array]

_BINS: Final = 16
_DEPTH: Final = 4
_MIN_LEAF: Final = 5
_RIDGE: Final = 10.0
_PATTERNS: Final = 48
_REACH: Final = 7
"""Steps of a pattern."""
_SIDE: Final = 5
"""Pixels of a side of a pattern."""
_STEPS: Final = 64
_PIXELS: Final = 256
"""Blocks per channel in which patterns are looked for."""
_CHANNELS: Final = 12
_SEEN: Final = 240
"""Rows, to train on and to score, in which patterns are looked for."""
_MEASURES: Final = (np.mean, np.std, np.min, np.max)


def _skill(s: Support, design: Array, model: Model) -> float:
    train, test = s.landmark_rows
    if not design.shape[1] or not len(test):
        return 0.0
    return _score(design[train], s.outputs[train], design[test], s.outputs[test], model)


def _score(x: Array, y: Array, new: Array, truth: Array, model: Model) -> float:
    baseline = float(((truth - y.mean(axis=0)) ** 2).sum())
    error = float(((truth - model(x, y, new)) ** 2).sum())
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


@meta_feature
def landmark_patterns(s: Support) -> float:
    """Skill of ridge regression on how strongly, and how often, small random patterns occur; of a table 0.

    References:
        Dempster, Petitjean, Webb: ROCKET (2020), https://arxiv.org/abs/1910.13051
    """
    return _skill_anywhere(s, _patterns)


@meta_feature
def landmark_spread(s: Support) -> float:
    """Skill of ridge regression on mean, deviation and extremes of each channel and of its steps; of a table 0."""
    return _skill_anywhere(s, _spread)


def _skill_anywhere(s: Support, seen: Callable[[Array], Array]) -> float:
    """Returns the skill on what is seen of images and sequences, wherever it is."""
    train, test, blocks = _blocks(s)
    if not blocks.size or not len(test):
        return 0.0
    design = np.clip(standardised(scaled(seen(blocks))), -5.0, 5.0)
    n = len(train)
    return _score(design[:n], s.outputs[train], design[n:], s.outputs[test], _ridge)


@once
def _blocks(s: Support) -> tuple[Array, Array, Array]:
    """Returns rows to train on, rows to score, and ``(n, ..., C)`` both as blocks, each channel standardised."""
    (train, test), inputs = s.landmark_rows, s.task.inputs
    if isinstance(inputs, Table):
        return train, test, np.empty(0)
    train, test = train[:_SEEN], test[:_SEEN]
    some = inputs.take(s.rows[np.concatenate([train, test])])
    channels = some.pixels.shape[1] if isinstance(some, Images) else some.steps.shape[2]
    blocks = in_blocks(some, channels * (_PIXELS if isinstance(some, Images) else _STEPS))[..., :_CHANNELS]
    flat = standardised(scaled(blocks.reshape(-1, blocks.shape[-1])))
    return train, test, flat.reshape(blocks.shape)


def _patterns(blocks: Array) -> Array:
    axes = tuple(range(1, blocks.ndim - 1))
    reach = _REACH if len(axes) == 1 else _SIDE
    sizes = tuple(min(reach, blocks.shape[axis]) for axis in axes)
    windows = sliding_window_view(blocks, sizes, axis=axes)
    windows = windows.reshape(len(blocks), -1, int(np.prod(sizes)) * blocks.shape[-1])
    found = windows @ np.random.default_rng(2).normal(size=(windows.shape[-1], _PATTERNS))
    return np.concatenate([found.max(axis=1), (found > 0).mean(axis=1)], axis=1)


def _spread(blocks: Array) -> Array:
    axes = tuple(range(1, blocks.ndim - 1))
    steps = [np.abs(np.diff(blocks, axis=axis)) for axis in axes if blocks.shape[axis] > 1]
    return np.concatenate([of(part, axis=axes) for part in (blocks, *steps) for of in _MEASURES], axis=1)


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
