"""All of scikit-learn's checks, with no exceptions."""

from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from gstar import GstarClassifier, GstarRegressor

QUICK = {"trials": 1, "learners": ["linear"], "workers": 0, "experience": "off", "policy": "portfolio"}


@parametrize_with_checks([GstarClassifier(**QUICK), GstarRegressor(**QUICK)])
def test_scikit_learn_finds_nothing_to_object_to(estimator, check):
    check(estimator)
