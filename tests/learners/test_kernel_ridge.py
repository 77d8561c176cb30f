"""What is chosen by leaving rows out, and the kernels behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gstar.encoding import TableEncoder
from gstar.errors import UntrustedFileError
from gstar.inputs import Table
from gstar.learner import TrainingSpec
from gstar.learners import kernel_ridge as module
from gstar.learners.kernel_ridge import LINEAR, KernelRidge, Kernels
from gstar.learners.ridged import RidgedState
from gstar.metric import TaskKind
from gstar.serialisation import dump_arrays, load_arrays

Array = np.ndarray


def train(
    x: Array, target: Array, *, weights: Array | None = None, deadline: float | None = None, **changes: Any
) -> RidgedState:
    spec = TrainingSpec(TaskKind.REGRESSION, 0, KernelRidge.space.complete(changes), seed=3, weights=weights)
    return KernelRidge().step(KernelRidge().init(Table.of(x), target, spec), 1, deadline)


def error(state: RidgedState, numbers: Array, target: Array) -> float:
    prediction = KernelRidge().predict(state, Table.of(numbers))
    return float(np.mean((prediction - target) ** 2) / np.var(target))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, int]]:
    """Returns a list that grows by encoding, reach and rows of what is fitted from now on."""
    seen, fit = [], module._fit

    def count(encoder: TableEncoder, matrix: Array, reach: float, *rest: Any) -> Any:
        seen.append((str(encoder.options["numbers"]), reach, len(matrix)))
        return fit(encoder, matrix, reach, *rest)

    monkeypatch.setattr(module, "_fit", count)
    return seen


def test_what_suits_is_chosen() -> None:
    """Tests that rows on a plane get a linear model, those on rings do not, and both are foretold."""
    rng = np.random.default_rng(0)
    numbers, new = rng.normal(size=(150, 3)), rng.normal(size=(150, 3))
    for law, is_linear in ((lambda x: x @ np.array([1.0, -2.0, 0.5]), True), (lambda x: np.sum(x**2, axis=1), False)):
        state = train(numbers, law(numbers) + 0.1 * rng.normal(size=150))
        assert (len(state.features.landmarks) == 0) == is_linear
        assert error(state, new, law(new)) < 0.1


def test_products_of_features_are_the_kernel() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 2))
    encoder, matrix = TableEncoder.fit(Table.of(rows), rows[:, 0], TaskKind.REGRESSION, {"numbers": "standard"})
    features = Kernels.fit(encoder, matrix, 0.7, 100, np.random.default_rng(0)).transform(Table.of(rows))
    squares = np.sum((matrix[:, None] - matrix) ** 2, axis=2)
    np.testing.assert_allclose(features @ features.T, np.exp(-squares / (2 * 2.0 * 0.7**2)), atol=1e-4)


def test_few_rows_choose_and_all_are_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPARED_ROWS", 30)
    seen = counted(monkeypatch)
    numbers = np.random.default_rng(0).normal(size=(80, 2))
    state = train(numbers, np.sum(numbers**2, axis=1), kernel="gaussian")
    assert [rows for *_, rows in seen] == [30] * (len(seen) - 1) + [80]
    assert seen[-1][:2] in {(encoding, reach) for encoding, reach, _ in seen[:-1]}
    assert len(state.features.landmarks) == 80


def test_late_only_the_first_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    numbers = np.random.default_rng(0).normal(size=(20, 2))
    train(numbers, numbers[:, 0], deadline=0.0)
    assert [(encoding, reach) for encoding, reach, _ in seen] == [module.CANDIDATES[0]]


def test_without_numbers_encodings_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    codes = np.random.default_rng(0).integers(0, 3, (40, 2))
    spec = TrainingSpec(TaskKind.BINARY, 2, KernelRidge.space.default())
    table = Table.of(np.empty((40, 0)), codes, levels=np.array([3, 3]))
    KernelRidge().step(KernelRidge().init(table, (codes[:, 0] > 0).astype(int), spec), 1, None)
    assert {encoding for encoding, *_ in seen} == {"standard"}


@pytest.mark.parametrize("kernel", ["linear", "gaussian"])
def test_heavy_rows_count_for_more(kernel: str) -> None:
    numbers = np.repeat(np.random.default_rng(0).normal(size=(50, 2)), 2, axis=0)
    target = numbers[:, 0] * np.tile([1.0, -1.0], 50)
    state = train(numbers, target, weights=np.tile([50.0, 1.0], 50), kernel=kernel)
    assert error(state, numbers[::2], target[::2]) < 0.1


def test_of_many_columns_a_linear_model_sees_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WIDE", 20)
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 30))
    state = train(numbers, numbers[:, 0], kernel="linear", numbers="standard")
    assert state.features.gamma == LINEAR
    assert state.features.n_columns == 20
    assert error(state, numbers, numbers[:, 0]) < 0.01


def test_refuses_landmarks_that_do_not_fit() -> None:
    numbers = np.random.default_rng(0).normal(size=(20, 2))
    parts = KernelRidge().save(train(numbers, numbers[:, 0], kernel="gaussian"))
    arrays = load_arrays(parts["kernels.npz"])
    for changed in ({"root": arrays["root"][:5]}, {"landmarks": arrays["landmarks"][:5], "root": np.eye(5)}):
        with pytest.raises(UntrustedFileError, match="do not agree"):
            KernelRidge().load(parts | {"kernels.npz": dump_arrays(arrays | changed)})
