"""The main job on numbers, as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Self, TypeAlias

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import _check_y, check_is_fitted

from gstar.errors import DataError
from gstar.estimators.base import AbstractGstar

Array: TypeAlias = np.ndarray


class GstarRegressor(RegressorMixin, AbstractGstar):  # type: ignore[misc]
    """Finds and combines regressors within a budget, starting from all that was learned before.

    Args:
        budget_s: Wall-clock seconds for everything, or a duration such as ``"5m"``.
        trials: Strategies to try instead; then the same seed gives the same model, bit for bit.
        metric: ``"rmse"`` (None), ``"mae"``, ``"r2"``, or a function ``(y_true, y_pred) -> float``,
            higher is better.
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
        leaderboard_, failures_, why_: What was tried, what failed, and why these models.
        model_: The ensemble; `save` writes it to a file.
        result_: All that the search left.

    Example:
        >>> from sklearn.datasets import make_regression
        >>> X, y = make_regression(60, random_state=0)
        >>> model = GstarRegressor(trials=1, learners=["linear"], workers=0, experience="off", random_state=0)
        >>> model.fit(X, y).predict(X[:3]).shape
        (3,)
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Searches for a model of the values.

        Args:
            X: ``(S, F)`` rows: a frame with columns of any kind, or an array; or images
                ``(S, C, H, W)`` or sequences ``(S, T, D)``, as for `gstar.arrays.read_arrays`.
            y: ``(S,)`` values.
            sample_weight: ``(S,)`` non-negative weights, or None.
            groups: ``(S,)`` groups of rows that never straddle a split, or None.
        """
        if y is None:
            raise DataError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        y = _check_y(np.asarray(y), y_numeric=True)
        self._fit_task(X, y, kind="regression", sample_weight=sample_weight, groups=groups)
        return self

    def predict(self, X: Any) -> Array:
        """Returns ``(N,)`` values."""
        check_is_fitted(self)
        return self.model_.predict(self._checked(X, reset=False))
