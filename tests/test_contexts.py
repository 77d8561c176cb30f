"""What g sees of a task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gstar.contexts import NAMES, SHOWN, context_vector
from gstar.metafeatures import NAMES as META_FEATURES
from gstar.metric import TaskKind
from gstar.policy import Context


def context(**changes) -> Context:
    plain = Context("t", TaskKind.BINARY, "table", "roc_auc", 1000, 30, 2, np.zeros(len(META_FEATURES)), ())
    return replace(plain, **changes)


def value(name: str, **changes) -> float:
    return float(context_vector(context(**changes))[NAMES.index(name)])


def test_one_number_for_each_name():
    assert context_vector(context()).shape == (len(NAMES),)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("form", ["table", "images", "sequences"])
def test_the_form_is_told(form):
    told = {name: value(name, form=form) for name in NAMES if name in ("is_table", "is_images", "is_sequences")}
    assert told == {f"is_{other}": float(other == form) for other in ("table", "images", "sequences")}


@pytest.mark.parametrize("kind", list(TaskKind))
def test_the_kind_is_told(kind):
    assert [value(f"is_{other}", kind=kind) for other in TaskKind] == [float(other is kind) for other in TaskKind]


def test_sizes_are_logarithms_around_a_middling_task():
    assert value("log_rows") == pytest.approx(0.0)
    assert value("log_rows", n_rows=100) == pytest.approx(-1.0)
    assert value("log_features", n_features=316) == pytest.approx(1.0, abs=1e-3)
    assert value("log_classes", n_classes=10) == pytest.approx(1.0)
    assert value("log_cores", cores=10) == pytest.approx(1.0)


def test_a_budget_in_trials_counts_as_a_middling_time():
    assert value("log_seconds", budget_left_s=None) == value("log_seconds", budget_left_s=30.0)
    assert value("log_seconds", budget_left_s=300.0) == pytest.approx(value("log_seconds") + 1.0)


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_meta_features_are_centred_and_scaled_by_constants(name):
    centre, scale = SHOWN[name]
    features = np.zeros(len(META_FEATURES))
    features[META_FEATURES.index(name)] = centre + 2 * scale
    assert value(name, meta_features=features) == pytest.approx(2.0)


def test_extremes_are_bounded():
    huge = context(n_rows=10**9, n_features=0, n_classes=0, budget_left_s=0.0, meta_features=np.full(99, 1e9))
    assert np.abs(context_vector(huge)).max() == 3.0
    assert np.isfinite(context_vector(huge)).all()


def test_a_meta_feature_that_is_not_there_is_middling():
    assert value("landmark_tree", meta_features=np.zeros(0)) == 0.0
