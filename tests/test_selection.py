"""Which rows are trained on: stratified, balanced, without suspicious ones, recent."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from gstar.inputs import Images, Sequences, Table
from gstar.metric import TaskKind
from gstar.selection import difficulty, select_rows
from gstar.strategy import SELECTION_SPACE

N = 200


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(N, 3))
    return Table.of(numbers), (numbers[:, 0] > 1.0).astype(int)


def choose(selection, rows, **changes):
    given = {"kind": TaskKind.BINARY, "n_classes": 2, "order": None, "groups": None, "seed": 0, **changes}
    return select_rows(selection, *rows, **given)


def test_all_rows_are_all_rows(rows):
    kept, weights = choose({"kind": "all"}, rows)
    assert kept.tolist() == list(range(N))
    assert weights is None


def test_a_part_keeps_the_shares_of_the_classes(rows):
    kept, _ = choose({"kind": "part", "part_fraction": 0.5}, rows)
    assert len(np.unique(kept)) == len(kept) == pytest.approx(N / 2, abs=1)
    assert rows[1][kept].mean() == pytest.approx(rows[1].mean(), abs=0.02)


def test_a_part_of_values_keeps_their_range(rows):
    values = rows[0].numbers[:, 0]
    kept, _ = choose({"kind": "part", "part_fraction": 0.2}, (rows[0], values), kind=TaskKind.REGRESSION, n_classes=0)
    assert len(kept) == pytest.approx(N / 5, abs=5)
    assert np.median(values[kept]) == pytest.approx(np.median(values), abs=0.2)


def test_balanced_classes_weigh_the_same(rows):
    kept, weights = choose({"kind": "balanced"}, rows)
    assert len(kept) == N
    assert weights[rows[1] == 1].sum() == pytest.approx(weights[rows[1] == 0].sum())
    assert weights.sum() == pytest.approx(N)


def test_clean_leaves_out_wrong_labels(rows):
    table, labels = rows
    wrong = np.flatnonzero(np.abs(table.numbers[:, 0]) < 0.8)[:20]
    noisy = labels.copy()
    noisy[wrong] = 1 - noisy[wrong]
    kept, _ = choose({"kind": "clean", "clean_fraction": 0.9}, (table, noisy))
    left_out = set(range(N)) - set(kept.tolist())
    assert len(left_out) == pytest.approx(20, abs=2)
    assert len(left_out & set(wrong.tolist())) >= 14


def test_clean_keeps_one_row_of_every_class(rows):
    labels = np.zeros(N, int)
    labels[17] = 1
    kept, _ = choose({"kind": "clean", "clean_fraction": 0.7}, (rows[0], labels))
    assert 17 in kept


def test_recent_is_the_last_part_in_time(rows):
    order = np.arange(N)[::-1]
    kept, _ = choose({"kind": "recent", "recent_fraction": 0.25}, rows, order=order)
    assert kept.tolist() == list(range(50))
    assert len(choose({"kind": "recent", "recent_fraction": 0.25}, rows)[0]) == N


def make_forms():
    """Images and sequences of two classes whose level differs, and where 10 of 100 labels are wrong."""
    rng = np.random.default_rng(3)
    labels = np.arange(100) % 2
    level = 60.0 * labels[:, None]
    pixels = np.clip(rng.normal(80, 10, (100, 3 * 5 * 4)) + level, 0, 255).reshape(100, 3, 5, 4)
    steps = (rng.normal(size=(100, 9 * 2)) + level / 8).reshape(100, 9, 2)
    steps[4, 3, 1] = np.nan
    lengths = rng.integers(1, 10, 100)
    steps[np.arange(9)[None, :] >= lengths[:, None]] = 1e6 * (rng.random() - 0.5)
    wrong = rng.choice(100, 10, replace=False)
    noisy = labels.copy()
    noisy[wrong] = 1 - noisy[wrong]
    forms = Images(pixels.astype(np.uint8)), Images(pixels.astype(np.float32)), Sequences(steps, lengths)
    return forms, noisy, set(wrong.tolist())


@pytest.mark.parametrize("which", [0, 1, 2], ids=["bytes", "floats", "sequences"])
def test_clean_leaves_out_wrong_labels_of_images_and_sequences(which):
    forms, noisy, wrong = make_forms()
    kept, _ = choose({"kind": "clean", "clean_fraction": 0.9}, (forms[which], noisy))
    assert set(range(100)) - set(kept.tolist()) == wrong


def test_difficulty_is_highest_where_labels_are_wrong():
    forms, noisy, wrong = make_forms()
    hard = difficulty(forms[0], noisy, kind=TaskKind.BINARY, groups=None, seed=0)
    assert set(np.argsort(hard)[-10:].tolist()) == wrong


def test_too_few_rows_have_no_difficulty():
    table = Table.of(np.arange(11.0)[:, None])
    assert difficulty(table, np.arange(11.0), kind=TaskKind.REGRESSION, groups=None, seed=0) is None
    kept, _ = choose({"kind": "clean", "clean_fraction": 0.7}, (table, np.arange(11) % 2))
    assert len(kept) == 11


def test_the_same_seed_keeps_the_same_rows(rows):
    rng = np.random.default_rng(1)
    for _ in range(10):
        selection = SELECTION_SPACE.sample(rng)
        first, second = (choose(selection, rows, order=np.arange(N)) for _ in range(2))
        np.testing.assert_array_equal(first[0], second[0])


def test_groups_stay_together_while_suspicious_rows_are_found(rows):
    groups = np.arange(N) // 20
    kept = partial(choose, {"kind": "clean", "clean_fraction": 0.8}, rows)(groups=groups)[0]
    assert len(kept) == pytest.approx(160, abs=2)
