"""Forests as plain arrays: exact, small, and refused when they point astray."""

from __future__ import annotations

import io

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor

from gstar.errors import UntrustedFileError
from gstar.learners.trees import dump_forest, load_forest
from gstar.serialisation import dump_sklearn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)).astype(np.float32)
X[RNG.random(X.shape) < 0.1] = np.nan
Y = np.nan_to_num(X[:, 0])


@pytest.mark.parametrize("forest", [ExtraTreesRegressor, RandomForestRegressor])
def test_values_are_the_same_bit_for_bit(forest):
    fitted = forest(n_estimators=7, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(load_forest(dump_forest(fitted)).predict(X), fitted.predict(X))


@pytest.mark.parametrize("forest", [ExtraTreesClassifier, RandomForestClassifier])
@pytest.mark.parametrize("cuts", [[0.0], [-0.5, 0.5]])
def test_probabilities_are_the_same_bit_for_bit(forest, cuts):
    fitted = forest(n_estimators=7, random_state=0).fit(X, np.digitize(Y, cuts))
    again = load_forest(dump_forest(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


def test_it_is_smaller_than_object_by_object():
    fitted = ExtraTreesRegressor(n_estimators=50, random_state=0).fit(X, Y)
    assert len(dump_forest(fitted)) < len(dump_sklearn(fitted))


@pytest.mark.parametrize(
    ("name", "value"), [("left_child", 10_000), ("right_child", 0), ("feature", 99), ("feature", -1)]
)
def test_nodes_that_point_astray_are_refused(name, value):
    fitted = ExtraTreesRegressor(n_estimators=2, random_state=0).fit(X, Y)
    with np.load(io.BytesIO(dump_forest(fitted))) as arrays:
        found = {key: arrays[key].copy() for key in arrays.files}
    found[name][0] = value
    hostile = io.BytesIO()
    np.savez(hostile, **found)
    with pytest.raises(UntrustedFileError, match="not a forest as gstar saves it"):
        load_forest(hostile.getvalue())


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x05\x06" + bytes(18)])
def test_other_bytes_are_refused(content):
    with pytest.raises(UntrustedFileError, match="not a forest"):
        load_forest(content)
