"""Which support rows to train on, and with what weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np

from gstar.inputs import Images, Inputs, Sequences
from gstar.metric import TaskKind
from gstar.space import Scalar

Array: TypeAlias = np.ndarray

N_FOLDS: Final = 3
GRID: Final = 8
"""Images are pooled to so many rows and columns before their difficulty is measured."""
SEGMENTS: Final = 16
"""Sequences are cut into so many parts for that."""


def select_rows(
    selection: Mapping[str, Scalar],
    inputs: Inputs,
    target: Array,
    *,
    kind: TaskKind,
    n_classes: int,
    order: Array | None,
    groups: Array | None,
    seed: int,
) -> tuple[Array, Array | None]:
    """Returns the rows that a selection keeps, in their order, and weights or None.

    Args:
        selection: A point of `gstar.strategy.SELECTION_SPACE`.
        inputs: S rows.
        target: ``(S,)`` class codes or values.
        kind: Kind of task.
        n_classes: C.
        order: ``(S,)`` sortable values, later rows larger, or None.
        groups: ``(S,)`` groups or None; the cross-validation of `clean` keeps them together.
        seed: Seed of everything random.

    Returns:
        ``(K,)`` positions, and ``(K,)`` weights or None.
    """
    everything = np.arange(len(target))
    what = selection.get("kind", "all")
    if what == "part":
        return _part(target, float(selection["part_fraction"] or 1.0), kind, seed), None
    if what == "balanced" and kind.is_classification:
        counts = np.bincount(target.astype(int), minlength=n_classes)
        return everything, len(target) / (np.count_nonzero(counts) * counts[target.astype(int)])
    if what == "clean":
        fraction = float(selection["clean_fraction"] or 1.0)
        return _clean(inputs, target, fraction, kind=kind, groups=groups, seed=seed), None
    if what == "recent" and order is not None:
        keep = max(1, round(float(selection["recent_fraction"] or 1.0) * len(target)))
        return np.sort(np.argsort(order, kind="stable")[-keep:]), None
    return everything, None


def _part(target: Array, fraction: float, kind: TaskKind, seed: int) -> Array:
    """Draws the same share of every class (of every tenth of the values), at least one row of each."""
    rng = np.random.default_rng(seed)
    strata = target
    if not kind.is_classification:
        strata = np.digitize(target, np.quantile(target, np.linspace(0.1, 0.9, 9)))
    kept = []
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        kept.append(rng.choice(rows, max(1, round(fraction * len(rows))), replace=False))
    return np.sort(np.concatenate(kept))


def _clean(inputs: Inputs, target: Array, fraction: float, *, kind: TaskKind, groups: Array | None, seed: int) -> Array:
    """Leaves out the rows whose cross-validated loss under a quick forest is highest."""
    loss = difficulty(inputs, target, kind=kind, groups=groups, seed=seed)
    if loss is None:
        return np.arange(len(target))
    keep = np.argsort(loss, kind="stable")[: max(1, round(fraction * len(target)))]
    first = np.unique(target, return_index=True)[1] if kind.is_classification else keep[:0]
    return np.unique(np.concatenate([keep, first]))


def difficulty(inputs: Inputs, target: Array, *, kind: TaskKind, groups: Array | None, seed: int) -> Array | None:
    """Returns how hard each row is: its cross-validated loss under a quick forest.

    Args:
        inputs: S rows.
        target: ``(S,)`` class codes or values.
        kind: Kind of task.
        groups: ``(S,)`` groups that the folds keep together, or None.
        seed: Seed of everything random.

    Returns:
        ``(S,)`` losses, or None where rows are too few, or have nothing that a forest could use.
    """
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.model_selection import GroupKFold, KFold

    numbers = _plain_numbers(inputs)
    if len(target) < 4 * N_FOLDS or not numbers.shape[1]:
        return None
    splits = (
        GroupKFold(N_FOLDS).split(numbers, target, groups)
        if groups is not None and len(np.unique(groups)) >= N_FOLDS
        else KFold(N_FOLDS, shuffle=True, random_state=seed).split(numbers)
    )
    loss = np.zeros(len(target))
    model = ExtraTreesClassifier if kind.is_classification else ExtraTreesRegressor
    for fit, held in splits:
        forest = model(n_estimators=30, min_samples_leaf=3, max_samples=None, random_state=seed)
        forest.fit(numbers[fit], target[fit])
        if kind.is_classification:
            probability = np.zeros((len(held), int(target.max()) + 1))
            probability[:, forest.classes_.astype(int)] = forest.predict_proba(numbers[held])
            loss[held] = 1 - probability[np.arange(len(held)), target[held].astype(int)]
        else:
            loss[held] = np.abs(target[held] - forest.predict(numbers[held]))
    return loss


def _plain_numbers(inputs: Inputs) -> Array:
    """Returns ``(S, D)`` float32 numbers that a forest can split on, NaN where missing."""
    if isinstance(inputs, Images):
        return _pooled(inputs.pixels)
    if isinstance(inputs, Sequences):
        return _summary(inputs)
    codes = np.where(inputs.codes < 0, np.nan, inputs.codes)
    return np.asarray(np.c_[inputs.numbers, codes, inputs.dates], np.float32)


def _pooled(pixels: Array) -> Array:
    """Returns the means of images over a coarse grid."""
    small = np.asarray(pixels, float)
    for axis in (2, 3):
        edges = np.linspace(0, small.shape[axis], min(small.shape[axis], GRID) + 1).astype(int)
        counts = np.diff(edges).reshape(-1, *(1,) * (3 - axis))
        small = np.asarray(np.add.reduceat(small, edges[:-1], axis=axis) / counts)
    return np.asarray(small.reshape(len(small), -1), np.float32)


def _summary(inputs: Sequences) -> Array:
    """Returns the means of sequences over even parts of their length, their deviations and lengths."""
    steps, lengths = np.nan_to_num(inputs.steps.astype(float)), np.asarray(inputs.lengths)[:, None]
    steps = np.where(np.arange(steps.shape[1])[None, :, None] < lengths[:, :, None], steps, 0.0)
    sums = np.concatenate([np.zeros_like(steps[:, :1]), np.cumsum(steps, axis=1)], axis=1)  # (N, T + 1, D)
    edges = (lengths * np.arange(SEGMENTS + 1) + SEGMENTS - 1) // SEGMENTS
    at_edges = np.take_along_axis(sums, edges[:, :, None], axis=1)
    means = np.diff(at_edges, axis=1) / np.maximum(np.diff(edges, axis=1), 1)[:, :, None]
    mean = at_edges[:, -1] / lengths
    deviation = np.sqrt(np.maximum((steps**2).sum(axis=1) / lengths - mean**2, 0.0))
    return np.asarray(np.c_[means.reshape(len(means), -1), deviation, lengths], np.float32)
