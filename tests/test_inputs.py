"""Rows in their three forms: size, subsets, and the way through plain arrays."""

from __future__ import annotations

import numpy as np
import pytest

from gstar.inputs import Images, Sequences, Table, form_of, from_arrays, to_arrays

FORMS = {
    "table": Table.of(
        np.arange(6.0).reshape(3, 2),
        np.array([[0], [1], [-1]]),
        np.full((3, 1), np.nan),
        np.array([["a"], [""], ["ü"]], object),
    ),
    "images": Images(np.zeros((3, 1, 4, 5), np.uint8)),
    "sequences": Sequences(np.ones((3, 7, 2), np.float32), np.array([7, 3, 1])),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_keep_their_rows(form):
    inputs = FORMS[form]
    assert form_of(inputs) == form
    assert len(inputs) == 3
    picked = inputs.take(np.array([2, 0]))
    assert len(picked) == 2
    back = from_arrays(form, to_arrays(picked))
    for name, array in to_arrays(picked).items():
        np.testing.assert_array_equal(array, getattr(back, name))


def test_features_are_counted():
    assert [FORMS[form].n_features for form in FORMS] == [5, 20, 14]


def test_levels_come_from_codes():
    assert FORMS["table"].levels.tolist() == [2]
    assert Table.of(numbers=np.zeros((2, 1))).levels.tolist() == []
