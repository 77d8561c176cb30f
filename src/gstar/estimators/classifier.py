"""The main job on classes, as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, check_is_fitted, column_or_1d

from gstar.columns import shorten
from gstar.errors import DataError
from gstar.estimators.base import AbstractGstar, kind_of

Array: TypeAlias = np.ndarray


class GstarClassifier(ClassifierMixin, AbstractGstar):  # type: ignore[misc]
    """Finds and combines classifiers within a budget, starting from all that was learned before.

    Args:
        budget_s: Wall-clock seconds for everything, or a duration such as ``"5m"``.
        trials: Strategies to try instead; then the same seed gives the same model, bit for bit.
        metric: Name of a metric or a function ``(y_true, y_pred) -> float``, higher is better;
            None: area under the ROC curve for two classes, log-loss for more.
        cv: A number of folds, a splitter or pairs of ``(train, validation)`` rows to validate on;
            None: chosen by size and budget.
        policy: What chooses strategies: ``"gaussian"``, ``"portfolio"``, ``"random"``, or a policy.
        experience: ``"on"``, ``"frozen"``, ``"off"``, a path, a URL, or an `Experience`.
        learners: Names of learners that may be used, or learners; None: all that are installed.
        workers: Trainings side by side; None: one per core; 0: in this very process.
        memory_mb: For one training; None: an even share of what the machine has.
        random_state: Seed of everything random.
        verbose: 1 prints a line on stderr for each model that is better than all before.

    Attributes:
        classes_: ``(C,)`` labels.
        leaderboard_, failures_, why_: What was tried, what failed, and why these models.
        model_: The ensemble; `save` writes it to a file.
        result_: All that the search left.

    Example:
        >>> from sklearn.datasets import make_classification
        >>> X, y = make_classification(60, random_state=0)
        >>> model = GstarClassifier(trials=1, learners=["linear"], workers=0, experience="off", random_state=0)
        >>> model.fit(X, y).predict(X[:3]).shape
        (3,)
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Searches for a model of the classes.

        Args:
            X: ``(S, F)`` rows: a frame with columns of any kind, or an array; or images
                ``(S, C, H, W)`` or sequences ``(S, T, D)``, as for `gstar.arrays.read_arrays`.
            y: ``(S,)`` labels.
            sample_weight: ``(S,)`` non-negative weights, or None.
            groups: ``(S,)`` groups of rows that never straddle a split, or None.
        """
        if y is None:
            raise DataError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        y = _labels(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise DataError(f"Expected at least two classes, got only one class: {self.classes_[:1].tolist()}.")
        self._fit_task(X, y, kind=kind_of(self.classes_), sample_weight=sample_weight, groups=groups)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Returns ``(N, C)`` probabilities, columns in the order of `classes_`."""
        check_is_fitted(self)
        return self.model_.predict_proba(self._checked(X, reset=False))

    def predict(self, X: Any) -> Array:
        """Returns ``(N,)`` labels."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[np.argmax(probabilities, axis=1)])


def _labels(y: Any) -> Array:
    """Checks labels as scikit-learn does and returns them as an array of the user's own type."""
    labels = column_or_1d(np.asarray(y), warn=True)
    if labels.dtype == object:
        labels = pd.Series(labels).infer_objects().to_numpy()
    absent = np.flatnonzero(pd.isna(labels))
    if len(absent):
        raise DataError(
            f"Input y contains NaN: {len(absent)} rows without a label (rows counted from 0: "
            f"{shorten(absent.tolist())}); leave them out."
        )
    if labels.dtype.kind == "f":
        _check_y(labels)
    check_classification_targets(labels)
    return np.asarray(labels)
