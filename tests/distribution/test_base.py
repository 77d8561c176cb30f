"""Points that share a context stand together."""

import numpy as np

from gstar.distribution.base import rows_of


def test_rows_of_contexts():
    assert rows_of(np.zeros((2, 3)), 6).tolist() == [0, 0, 0, 1, 1, 1]
    assert rows_of(np.zeros((1, 0)), 3).tolist() == [0, 0, 0]
    assert rows_of(np.zeros((0, 2)), 0).tolist() == []
