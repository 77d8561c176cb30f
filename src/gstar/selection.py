"""Which support rows to train on, and with what weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from gstar.inputs import Inputs, Table
from gstar.metric import TaskKind
from gstar.space import Scalar

Array: TypeAlias = np.ndarray


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
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.model_selection import GroupKFold, KFold

    n_folds = 3
    if len(target) < 4 * n_folds or not isinstance(inputs, Table) or not inputs.n_features:
        return np.arange(len(target))
    numbers = np.c_[inputs.numbers, np.where(inputs.codes < 0, np.nan, inputs.codes), inputs.dates].astype(np.float32)
    if not numbers.shape[1]:
        return np.arange(len(target))
    splits = (
        GroupKFold(n_folds).split(numbers, target, groups)
        if groups is not None and len(np.unique(groups)) >= n_folds
        else KFold(n_folds, shuffle=True, random_state=seed).split(numbers)
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
    keep = np.argsort(loss, kind="stable")[: max(1, round(fraction * len(target)))]
    first = np.unique(target, return_index=True)[1] if kind.is_classification else keep[:0]
    return np.unique(np.concatenate([keep, first]))
