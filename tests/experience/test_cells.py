from __future__ import annotations

import numpy as np

from gstar.experience import cells


def pack(*rows: tuple) -> np.ndarray:
    return np.array(list(rows), cells.CELL)


def test_total_adds_up_the_same_strategy():
    found = cells.total(pack((7, 1, 0, 0.5, 2.0), (3, 0, 1, 0.0, 0.0), (7, 1, 1, 0.25, 1.0)))
    assert found.tolist() == [(3, 0, 1, 0.0, 0.0), (7, 2, 1, 0.75, 3.0)]


def test_a_cell_takes_28_bytes_on_every_machine():
    assert cells.CELL.itemsize == 28
    assert pack((1, 2, 3, 0.5, 0.25)).tobytes().hex() == "010000000200000003000000000000000000e03f000000000000d03f"


def test_cells_of_trials_by_metric():
    row = {"strategy": 1, "status": "completed", "score": 0.5, "cost_s": 6.0, "folds": 3, "metric": "roc_auc"}
    found = cells.of_trials([row, row, row | {"status": "failed", "score": None}, row | {"metric": "f1"}])
    assert found["roc_auc"].tolist() == [(1, 2, 1, 1.0, 4.0)]
    assert found["f1"].tolist() == [(1, 1, 0, 0.5, 2.0)]


def test_differ_forgives_rounding_only():
    one = pack((1, 2, 0, 0.3, 1.0))
    assert not cells.differ(one, pack((1, 2, 0, 0.1 + 0.2, 1.0)))
    assert cells.differ(one, pack((1, 2, 0, 0.31, 1.0)))
    assert cells.differ(one, pack((1, 3, 0, 0.3, 1.0)))
    assert cells.differ(one, pack((2, 2, 0, 0.3, 1.0)))
    assert cells.differ(one, pack())
