"""What a learner with a ridge does with rows before and after its features."""

from __future__ import annotations

import numpy as np
import pytest

from gstar.inputs import Table
from gstar.learner import TrainingSpec
from gstar.learners import ridged
from gstar.learners.kernel_ridge import KernelRidge
from gstar.metric import TaskKind

Array = np.ndarray
SPEC = TrainingSpec(TaskKind.BINARY, 2, KernelRidge.space.complete({"kernel": "linear", "numbers": "standard"}))


def rows(n: int = 40) -> tuple[Table, Array]:
    numbers = np.random.default_rng(0).normal(size=(n, 3))
    return Table.of(numbers), (numbers[:, 0] > 0).astype(int)


def predicted(table: Table, target: Array, weights: Array | None = None) -> Array:
    spec = TrainingSpec(SPEC.kind, SPEC.n_classes, SPEC.configuration, weights=weights)
    learner = KernelRidge()
    return learner.predict(learner.step(learner.init(table, target, spec), 1, None), rows()[0])


def test_predicts_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = predicted(*rows())
    monkeypatch.setattr(ridged, "_CHUNK", 15)
    np.testing.assert_allclose(predicted(*rows()), at_once)


def test_a_row_without_weight_is_as_absent() -> None:
    table, target = rows()
    kept = np.arange(40) % 3 > 0
    expected = predicted(table.take(np.flatnonzero(kept)), target[kept], np.ones(kept.sum()))
    np.testing.assert_allclose(predicted(table, target, kept.astype(float)), expected)


def test_a_random_part_of_too_many_rows_is_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KernelRidge, "max_rows", 25)
    state = KernelRidge().init(*rows(), SPEC)
    assert state.rows is not None
    assert len(state.rows.inputs) == len(state.rows.target) == 25
    assert not np.array_equal(state.rows.inputs.numbers, rows()[0].numbers[:25])
