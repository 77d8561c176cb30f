"""What the two estimators share: parameters, checks of the rows, the search, the reports."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_feature_names, _check_sample_weight, check_is_fitted, validate_data

from gstar.advice import check_learnable
from gstar.arrays import form_of_arrays
from gstar.errors import DataError
from gstar.estimators.progress import Progress
from gstar.estimators.report import failures_of, html_of, leaderboard_of, why_of
from gstar.executors import warm_up
from gstar.experience import Experience
from gstar.learner import AbstractLearner
from gstar.metric import TaskKind
from gstar.model import Model
from gstar.places import split_experience
from gstar.policy import AbstractPolicy
from gstar.reading import make_task
from gstar.search import SearchResult, search
from gstar.settings import read_duration_s
from gstar.task import Task

Array: TypeAlias = np.ndarray


class AbstractGstar(BaseEstimator):  # type: ignore[misc]
    """Fits by a search within a budget. See `GstarClassifier` and `GstarRegressor`."""

    result_: SearchResult
    model_: Model
    n_features_in_: int

    def __init__(
        self,
        *,
        budget_s: float | str = 60.0,
        trials: int | None = None,
        metric: str | Callable[..., float] | None = None,
        cv: Any = None,
        policy: str | AbstractPolicy = "gaussian",
        experience: str | Experience = "on",
        learners: Sequence[str | AbstractLearner] | None = None,
        workers: int | None = None,
        memory_mb: float | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.budget_s = budget_s
        self.trials = trials
        self.metric = metric
        self.cv = cv
        self.policy = policy
        self.experience = experience
        self.learners = learners
        self.workers = workers
        self.memory_mb = memory_mb
        self.random_state = random_state
        self.verbose = verbose

    @property
    def leaderboard_(self) -> pd.DataFrame:
        """One row per completed trial, best first: learner, score, seconds, weight, strategy."""
        check_is_fitted(self)
        return leaderboard_of(self.result_)

    @property
    def failures_(self) -> pd.DataFrame:
        """One row per trial that did not complete: learner, status, cause, seconds, memory."""
        check_is_fitted(self)
        return failures_of(self.result_)

    @property
    def why_(self) -> list[str]:
        """One line per model of the ensemble with its weight and why it was tried; then the end, then notes."""
        check_is_fitted(self)
        return why_of(self.result_)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model to a file that ``gstar predict`` and `Model.load` read."""
        check_is_fitted(self)
        self.model_.save(path)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.non_deterministic = self.trials is None
        return tags

    def _html_repr(self) -> str:
        return html_of(self)

    def _fit_task(self, X: Any, y: Any, *, kind: str, sample_weight: Any, groups: Any) -> Task:
        """Runs the search, keeps what it leaves, and returns the task."""
        started = time.monotonic()
        if self.workers != 0:
            warm_up()
        rows = self._checked(X, reset=True)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        task = make_task(rows, y, kind=kind, metric=self.metric, weights=weights)
        if not self.learners:
            check_learnable(task)
        if groups is not None:
            task = _grouped(task, groups)
        if weights is not None and task.kind.is_classification and len(np.unique(task.target[weights > 0])) < 2:
            raise DataError("Expected at least two classes with a positive weight, got one class.")
        folds = None if self.cv is None else _folds_of(self.cv, X, y, groups, task)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        budget_s = None if self.trials is not None else read_duration_s(self.budget_s)
        with opened(self.experience) as experience:
            result = search(
                task,
                budget_s=budget_s,
                trials=self.trials,
                policy=self.policy,
                experience=experience,
                seed=seed,
                workers=self.workers,
                memory_mb=self.memory_mb,
                learners=self.learners,
                folds=folds,
                listener=Progress() if self.verbose else None,
                started=started,
            )
        self.result_ = replace(result, trials=tuple(replace(t, predictions=None) for t in result.trials))
        self.model_ = result.model
        if result.interrupted:
            warnings.warn("The fit was interrupted; the model is the best so far.", UserWarning, stacklevel=3)
        return task

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """Checks rows as scikit-learn does; frames go through with their types, their names noted.

        Images and sequences go through as they are, as scikit-learn knows of none.

        The model finds the columns of a frame by name, whatever their order, and ignores others.
        """
        if hasattr(X, "columns") or hasattr(X, "column_names"):
            if reset:
                _check_feature_names(self, X, reset=True)
                self.n_features_in_ = X.shape[1]
            return X
        if not reset and self.model_.form != "table":
            return X
        if reset and form_of_arrays(X) != "table":
            for name in ("n_features_in_", "feature_names_in_"):
                self.__dict__.pop(name, None)
            return X
        return validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)


def _grouped(task: Task, groups: Any) -> Task:
    """Returns the task with groups of rows that never straddle a split."""
    codes = pd.factorize(np.asarray(groups))[0]
    if len(codes) != len(task):
        raise DataError(f"Expected one group per row, got {len(task)} rows and {len(codes)} groups.")
    return replace(task, groups=codes)


def _folds_of(cv: Any, X: Any, y: Any, groups: Any, task: Task) -> list[tuple[Array, Array]]:
    """Returns the splits that the user asked for: a number of folds, a splitter, or pairs of rows."""
    splitter = check_cv(cv, task.target, classifier=task.kind.is_classification)
    folds = [(np.asarray(train), np.asarray(valid)) for train, valid in splitter.split(X, y, groups)]
    if not folds or any(not len(train) or not len(valid) for train, valid in folds):
        raise DataError("Expected splits with rows on both sides, got an empty one in cv.")
    return folds


@contextlib.contextmanager
def opened(experience: str | Experience) -> Iterator[Experience]:
    """Yields an experience from what the user gave: one of his own, ``on``, ``frozen``, ``off``, a path or a URL."""
    if isinstance(experience, Experience):
        yield experience
        return
    url, mode = split_experience(experience)
    with Experience.open(url, mode=mode or "on") as found:
        yield found


def kind_of(classes: Array) -> TaskKind:
    """Returns binary or multiclass by the number of classes."""
    return TaskKind.BINARY if len(classes) == 2 else TaskKind.MULTICLASS
