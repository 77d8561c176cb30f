"""Which rows train and which validate.

Rows with an order: the later ones validate. Rows in groups: a group stays whole. Others:
stratified by class, or by quantile of the target. All is a function of the seed.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np

from gstar.errors import DataError, UsageError
from gstar.task import Task

Array: TypeAlias = np.ndarray
Fold: TypeAlias = tuple[Array, Array]

_MAX_BINS: Final = 20
_MAX_BALANCED_GROUPS: Final = 5_000
_MAX_STRATA: Final = 50
_MAX_MOMENT: Final = 0.2


def plan_folds(task: Task, *, folds: int, fraction: float, seed: int, repeats: int = 1) -> list[Fold]:
    """Returns the training and validation rows of each fold, sorted; no side is ever empty.

    With an order, hold-out validates the last part, and K folds cut the rows into K + 1
    blocks of which each but the first validates once, trained on all blocks before it: the
    first block never validates. Without one, each row validates once, except a class's only
    row, which always trains. There are fewer folds than asked for where there are fewer rows
    or groups.

    Args:
        task: The task; its order and groups are respected.
        folds: K; 1 means hold-out.
        fraction: Share of the rows that validates in hold-out, between 0 and 1.
        seed: Seed of the shuffle.
        repeats: How often rows are shuffled and split again; with an order there is nothing to shuffle.

    Raises:
        UsageError: If folds or fraction make no sense.
        DataError: If there is only one row or one group.

    Example:
        >>> from gstar.reading import make_task
        >>> task = make_task([[1.0], [2.5], [0.5], [7.0]], ["a", "b", "a", "b"])
        >>> [(len(train), len(valid)) for train, valid in plan_folds(task, folds=2, fraction=0.2, seed=0)]
        [(2, 2), (2, 2)]
    """
    if folds < 1 or not 0 < fraction < 1:
        raise UsageError(f"Expected folds >= 1 and 0 < fraction < 1, got {folds=} and {fraction=}.")
    if len(task) < 2:
        raise DataError(f"Expected at least 2 rows to hold some out, got {len(task)}.")
    if task.order is not None:
        block = _ordered_blocks(task.order, task.groups, folds, fraction)
        return [_fold(block < i, block == i) for i in range(1, int(block.max()) + 1)]
    found = [_numbered(task, folds, fraction, np.random.default_rng([seed, r] if r else seed)) for r in range(repeats)]
    return [_fold(number != i, number == i) for number in found for i in range(int(number.max()) + 1)]


def _numbered(task: Task, folds: int, fraction: float, rng: np.random.Generator) -> Array:
    """Returns the fold in which each row validates; in hold-out 0, or -1 for none."""
    strata = _strata(task)
    if task.groups is not None:
        number = _group_folds(task.groups, strata, folds if folds > 1 else max(2, round(1 / fraction)), rng)
        return number if folds > 1 else np.where(number == 0, 0, -1)
    if folds == 1:
        return np.where(_held_out(strata, fraction, rng), 0, -1)
    return _row_folds(strata, folds, rng)


def _fold(train: Array, valid: Array) -> Fold:
    return np.flatnonzero(train), np.flatnonzero(valid)


def _ordered_blocks(order: Array, groups: Array | None, folds: int, fraction: float) -> Array:
    """Returns ``(S,)`` block of each row in time; rows of one moment, or group, share a block.

    A group stands where its last row does. A moment that holds more than a fifth of all rows
    is cut through, by the place of the rows.
    """
    moment = np.unique(order, return_inverse=True)[1]
    if groups is not None:
        units = np.unique(groups, return_inverse=True)[1]
        last = np.zeros(units.max() + 1, np.int64)
        np.maximum.at(last, units, moment)
        moment = (last * len(last) + np.arange(len(last)))[units]
    place = np.unique(moment, return_inverse=True)[1]
    if groups is None and np.bincount(place).max() > _MAX_MOMENT * len(order):
        place[np.argsort(order, kind="stable")] = np.arange(len(order))
    ends = np.cumsum(np.bincount(place)) / len(order)
    share = (ends + np.r_[0.0, ends[:-1]]) / 2
    cuts = [1 - fraction] if folds == 1 else np.arange(1, folds + 1) / (folds + 1)
    block = np.searchsorted(np.asarray(cuts), share, side="right")
    if block[0] == block[-1]:
        block = (np.arange(len(share)) == len(share) - 1).astype(np.int64)
    found: Array = np.unique(block, return_inverse=True)[1][place]
    return found


def _strata(task: Task) -> Array:
    """Returns ``(S,)`` class of each row, or the bin of its target by quantile."""
    if task.kind.is_classification:
        return task.target
    rank = np.empty(len(task), np.int64)
    rank[np.argsort(task.target, kind="stable")] = np.arange(len(task))
    bins = int(np.clip(len(task) // 20, 1, _MAX_BINS))
    return rank * bins // len(task)


def _places(strata: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Returns a random order in which strata come one after the other, and place and size per stratum."""
    shuffled = rng.permutation(len(strata))
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    sizes = np.bincount(strata)
    place = np.arange(len(strata)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order, place, np.repeat(sizes, sizes)


def _held_out(strata: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Returns which rows validate: that share of each stratum, at least one and never all of its rows."""
    order, place, size = _places(strata, rng)
    wanted = np.clip(np.round(fraction * size), 1, size - 1)
    valid = np.zeros(len(strata), bool)
    valid[order] = place < wanted
    if not valid.any():
        valid[order[: max(1, int(fraction * len(strata)))]] = True
    return valid


def _row_folds(strata: Array, folds: int, rng: np.random.Generator) -> Array:
    """Returns the fold in which each row validates, -1 for a row that is the only one of its class."""
    order, _, size = _places(strata, rng)
    number = np.full(len(strata), -1)
    dealt = order[size > 1] if (size > 1).sum() > 1 else order
    number[dealt] = np.arange(len(dealt)) % min(folds, len(dealt))
    return number


def _group_folds(groups: Array, strata: Array, folds: int, rng: np.random.Generator) -> Array:
    """Returns the fold of each row, groups whole; folds are alike in size and in strata.

    The larger groups choose first, each the fold that it makes the least uneven. Where
    groups are too many for that, they are dealt in turn by size.
    """
    units = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(units)
    if len(sizes) < 2:
        raise DataError("Expected at least 2 groups to hold one out, got one; leave out the groups.")
    folds = min(folds, len(sizes))
    shuffled = rng.permutation(len(sizes))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    number = np.empty(len(sizes), np.int64)
    number[order] = np.arange(len(sizes)) % folds
    if len(sizes) <= _MAX_BALANCED_GROUPS and strata.max() < _MAX_STRATA:
        counts = np.zeros((len(sizes), strata.max() + 1))
        np.add.at(counts, (units, strata), 1.0)
        share = counts / np.maximum(counts.sum(axis=0), 1)
        weight = np.c_[share, sizes / len(groups)]
        full = np.zeros((folds, weight.shape[1]))
        for i, unit in enumerate(order):
            uneven = ((full + weight[unit]) ** 2 - full**2).sum(axis=1)
            number[unit] = i if i < folds else int(np.argmin(uneven))
            full[number[unit]] += weight[unit]
    found: Array = number[units]
    return found
