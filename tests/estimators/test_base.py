"""The estimators are good citizens of scikit-learn and of a notebook."""

from __future__ import annotations

import pickle
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gstar import Experience, GstarClassifier, GstarRegressor, Model
from gstar.errors import DataError, MissingExtraError, UnknownLearnerError, UnknownMetricError, UsageError
from gstar.testing import evil
from tests.nearest import Nearest

QUICK = {"trials": 1, "learners": ["linear"], "workers": 0, "experience": "off", "policy": "portfolio"}


def frame(n: int = 80) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": rng.normal(40, 9, n), "city": rng.choice(["Rome", "Oslo"], n), "pay": rng.normal(size=n)})
    return X, pd.Series(np.where(X["age"] + 3 * (X["city"] == "Rome") > 41, "yes", "no"), name="churn")


@pytest.fixture(scope="module")
def fitted() -> GstarClassifier:
    return GstarClassifier(**{**QUICK, "trials": 3}, random_state=0).fit(*frame())


# --- labels and rows


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (pd.Series(["b", "a"] * 40), "O"),
        (pd.Series(["b", "a"] * 40, dtype="category"), "O"),
        (pd.Series([7, 3] * 40, dtype="Int64"), "i"),
        (pd.Series([True, False] * 40, dtype="boolean"), "b"),
        (np.array([True, False] * 40, object), "b"),
        (np.array([2.0, 1.0] * 40), "f"),
        (["b", "a"] * 40, "U"),
        (pl.Series(["b", "a"] * 40), "OU"),
    ],
    ids=str,
)
def test_predicts_labels_of_the_type_it_was_given(labels, dtype):
    X = np.random.default_rng(0).normal(size=(80, 2))
    model = GstarClassifier(**QUICK, random_state=0).fit(X, labels)
    assert model.classes_.dtype.kind in dtype
    assert set(model.predict(X).tolist()) <= set(np.asarray(labels).tolist())
    assert model.classes_.tolist() == list(model.model_.classes)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_labels_that_are_missing_are_counted_and_placed(missing):
    X, y = frame()
    y = y.astype(object)
    y[[3, 5]] = missing
    with pytest.raises(DataError, match=r"2 rows without a label \(rows counted from 0: 3, 5\)"):
        GstarClassifier(**QUICK).fit(X, y)


def test_columns_may_be_reordered_but_not_missing(fitted):
    X, _ = frame()
    assert fitted.feature_names_in_.tolist() == ["age", "city", "pay"]
    assert np.array_equal(fitted.predict_proba(X[["pay", "city", "age"]].assign(more=1)), fitted.predict_proba(X))
    with pytest.raises(DataError, match="'city'"):
        fitted.predict(X.drop(columns="city"))


def test_polars_and_pandas_give_the_same_model(fitted):
    X, y = frame()
    other = GstarClassifier(**{**QUICK, "trials": 3}, random_state=0).fit(pl.from_pandas(X), y)
    assert np.array_equal(other.predict_proba(pl.from_pandas(X)), fitted.predict_proba(X))


def test_rows_are_not_changed():
    X, y = frame()
    before = X.copy(), y.copy()
    GstarClassifier(**QUICK).fit(X, y).predict(X)
    pd.testing.assert_frame_equal(X, before[0])
    pd.testing.assert_series_equal(y, before[1])


def test_groups_never_straddle_a_split():
    """With the group as the only feature, a split through groups would look perfect."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 5)
    X, y = groups[:, None] + rng.normal(0, 0.01, (100, 1)), rng.normal(size=20)[groups]
    settings = {**QUICK, "learners": ["neighbors"]}
    apart = GstarRegressor(**settings, random_state=0).fit(X, y, groups=groups)
    mixed = GstarRegressor(**settings, random_state=0).fit(X, y)
    assert apart.leaderboard_["score"].min() > 2 * mixed.leaderboard_["score"].min()


def test_one_group_per_row():
    X, y = frame()
    with pytest.raises(DataError, match="one group per row, got 80 rows and 2"):
        GstarClassifier(**QUICK).fit(X, y, groups=[1, 2])


def test_cv_is_what_validates():
    X, y = frame()
    model = GstarClassifier(**QUICK, cv=GroupKFold(4)).fit(X, y, groups=np.arange(80) // 10)
    assert set(model.leaderboard_["validated"]) == {"4-fold"}


# --- images and sequences

ARRAYS = {**QUICK, "learners": [Nearest()]}


def levels(*shape, dtype=float):
    """Arrays whose values lie at 60 or at 180, and which it is."""
    y = np.arange(shape[0]) % 2
    noise = np.random.default_rng(0).normal(0, 30, shape)
    return (60 + 120 * y.reshape(-1, *[1] * (len(shape) - 1)) + noise).clip(0, 255).astype(dtype), y


@pytest.mark.parametrize(
    ("shape", "dtype", "form"),
    [
        ((30, 3, 8, 6), float, "images"),
        ((30, 8, 6, 3), np.uint8, "images"),
        ((30, 8, 6), np.uint8, "images"),
        ((30, 8, 2), float, "sequences"),
    ],
)
def test_arrays_of_more_dimensions_are_images_or_sequences(shape, dtype, form, tmp_path):
    X, y = levels(*shape, dtype=dtype)
    model = GstarClassifier(**ARRAYS, random_state=0).fit(X, y)
    assert model.model_.form == form
    assert (model.predict(X) == y).all()
    model.save(tmp_path / "m.gstar")
    np.testing.assert_array_equal(Model.load(tmp_path / "m.gstar").predict_proba(X), model.predict_proba(X))


def test_sequences_of_different_lengths():
    X, y = levels(30, 9, 2)
    ragged = [x[: 2 + i % 8] for i, x in enumerate(X)]
    model = GstarClassifier(**ARRAYS, random_state=0).fit(ragged, y)
    assert (model.predict(ragged) == y).all()
    assert model.predict_proba(np.ones((4, 20, 2))).shape == (4, 2)
    values = GstarRegressor(**ARRAYS, random_state=0).fit(ragged, X[:, 0, 0])
    assert values.predict(ragged[:5]).shape == (5,)


def test_new_rows_must_have_the_shape_of_the_fit():
    X, y = levels(30, 3, 8, 6)
    model = GstarClassifier(**ARRAYS, random_state=0).fit(X, y)
    assert model.predict(np.repeat(X, 2, axis=2)).shape == (30,)
    with pytest.raises(DataError, match="images with 3 channels as at fit, got 2"):
        model.predict(X[:, :2])
    with pytest.raises(DataError, match="Expected images as an array"):
        model.predict(X[:, 0, 0])


def test_images_are_validated_as_tables_are():
    X, y = levels(30, 1, 4, 4)
    assert cross_val_score(GstarClassifier(**ARRAYS, random_state=0), X, y, cv=2).mean() == 1.0
    model = GstarClassifier(**ARRAYS, cv=GroupKFold(3)).fit(X, y, groups=np.arange(30) // 5, sample_weight=np.ones(30))
    assert set(model.leaderboard_["validated"]) == {"3-fold"}


def test_a_fit_on_images_forgets_the_columns_of_an_earlier_one():
    model = GstarClassifier(**QUICK, random_state=0).fit(*frame())
    model.set_params(learners=[Nearest()]).fit(*levels(30, 1, 4, 4))
    assert not hasattr(model, "feature_names_in_")
    assert not hasattr(model, "n_features_in_")


def test_the_extra_is_named_if_nothing_can_learn_from_images(monkeypatch):
    monkeypatch.setattr("gstar.advice.available_learners", lambda form, kind: {"constant": None})
    with pytest.raises(MissingExtraError, match=r"No learner for images .* pip install 'gstar\[deep\]'"):
        GstarClassifier(**{**QUICK, "learners": None}).fit(*levels(30, 1, 4, 4))


# --- arguments


def test_the_same_seed_gives_the_same_model(fitted):
    X, y = frame()
    again = clone(fitted).fit(X, y)
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert again.leaderboard_.drop(columns="seconds").equals(fitted.leaderboard_.drop(columns="seconds"))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"learners": ["linnear"]}, UnknownLearnerError, "Did you mean 'linear'"),
        ({"metric": "rocauc"}, UnknownMetricError, "Did you mean 'roc_auc'"),
        ({"metric": "rmse"}, UnknownMetricError, "does not fit"),
        ({"trials": None, "budget_s": "soon"}, UsageError, "such as 60s"),
        ({"trials": 0}, UsageError, "positive budget"),
        ({"experience": "of"}, UsageError, "Did you mean 'off'"),
        ({"workers": -1}, UsageError, "workers >= 0"),
    ],
)
def test_wrong_arguments_are_named_when_it_is_fitted(wrong, error, message):
    with pytest.raises(error, match=message):
        GstarClassifier(**{**QUICK, **wrong}).fit(*frame())


def test_a_metric_of_the_user_and_a_budget_in_words():
    settings = {**QUICK, "trials": None, "budget_s": "2s"}
    model = GstarClassifier(**settings, metric=lambda y, p: float((y == p).mean())).fit(*frame())
    assert 0.5 < model.leaderboard_["score"].max() <= 1.0


def test_own_experience_remembers_the_fit(tmp_path):
    with Experience.open(tmp_path / "own.sqlite") as own:
        model = GstarClassifier(**{**QUICK, "experience": own}).fit(*frame())
        assert len(own.trials(run=model.result_.run)) == len(model.result_.trials)
    GstarClassifier(**{**QUICK, "experience": str(tmp_path / "own.sqlite")}).fit(*frame())
    with Experience.open(tmp_path / "own.sqlite") as own:
        assert len(own.runs()) == 2


# --- inside scikit-learn


def test_scores_in_cross_validation():
    assert cross_val_score(GstarClassifier(**QUICK, random_state=0), *frame(), cv=2).mean() > 0.8


def test_is_tuned_by_a_grid_in_two_processes():
    grid = GridSearchCV(GstarClassifier(**QUICK, random_state=0), {"metric": ["log_loss", "accuracy"]}, cv=2, n_jobs=2)
    grid.fit(*frame())
    assert grid.best_score_ > 0.8
    assert set(grid.best_estimator_.predict(frame()[0])) == {"yes", "no"}


def test_is_a_step_and_is_wrapped():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = np.exp(X[:, 0])
    whole = make_pipeline(
        StandardScaler(), TransformedTargetRegressor(GstarRegressor(**QUICK), func=np.log, inverse_func=np.exp)
    )
    assert whole.fit(X, y).score(X, y) > 0.8


def test_survives_pickle_without_the_predictions_of_each_trial(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(frame()[0]), fitted.predict_proba(frame()[0]))
    assert again.leaderboard_.equals(fitted.leaderboard_)
    assert all(trial.predictions is None for trial in fitted.result_.trials)


def test_saves_what_the_command_line_reads(fitted, tmp_path):
    fitted.save(tmp_path / "m.gstar")
    assert np.array_equal(Model.load(tmp_path / "m.gstar").predict_proba(frame()[0]), fitted.predict_proba(frame()[0]))


# --- reports


def test_the_leaderboard_is_sorted_and_its_weights_sum_to_one(fitted):
    board = fitted.leaderboard_
    assert board.index.tolist() == list(range(1, len(board) + 1))
    assert board["score"].is_monotonic_decreasing
    assert board["weight"].sum() == pytest.approx(1.0)
    assert len(board) + len(fitted.failures_) == len(fitted.result_.trials)


def test_a_leaderboard_of_errors_starts_with_the_smallest():
    X, _ = frame()
    model = GstarRegressor(**{**QUICK, "trials": 2}, random_state=0).fit(X, X["pay"] ** 2)
    assert (model.leaderboard_["score"] > 0).all()
    assert model.leaderboard_["score"].is_monotonic_increasing


def test_says_why(fitted):
    shares = [line for line in fitted.why_ if "%" in line]
    assert len(shares) == (fitted.leaderboard_["weight"] > 0).sum()
    assert any(line.startswith("The search ended: ") for line in fitted.why_)


def test_notes_on_the_data_are_told():
    X, y = frame()
    model = GstarClassifier(**QUICK).fit(X.assign(always=1), y)
    assert any("constant" in line for line in model.why_)


def test_failures_have_their_cause():
    settings = {**QUICK, "learners": [evil.Raiser(), "linear"], "policy": "random", "trials": 6}
    model = GstarClassifier(**settings, random_state=0).fit(*frame())
    assert set(model.failures_["learner"]) == {"raiser"}
    assert model.failures_["cause"].str.len().min() > 0
    assert "failed</summary>" in shown(model)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)


def shown(estimator: object) -> str:
    """What a notebook shows."""
    return estimator._repr_mimebundle_()["text/html"]  # type: ignore[attr-defined,no-any-return]


def test_a_notebook_shows_the_ensemble(fitted):
    page = shown(fitted)
    assert page == fitted._repr_html_()
    for part in ("GstarClassifier", "trials", "roc_auc", "linear"):
        assert part in page
    assert "not fitted" in shown(clone(fitted))


def test_a_notebook_shows_nothing_that_runs(fitted):
    evil_text = "<script>alert(1)</script>"
    model = clone(fitted).set_params(metric=evil_text)
    model.result_ = fitted.result_.__class__(
        **{
            **fitted.result_.__dict__,
            "stop_reason": evil_text,
            "notes": (evil_text,),
            "trials": tuple(
                trial.__class__(**{**trial.__dict__, "error": evil_text, "metric": evil_text, "fidelity": evil_text})
                for trial in fitted.result_.trials
            ),
        }
    )
    model.model_ = fitted.model_
    page = shown(model)
    parser = _Tags()
    parser.feed(page)
    assert "script" not in parser.seen
    assert "&lt;script&gt;" in page


def test_verbose_prints_each_better_model(capsys):
    GstarClassifier(**QUICK, random_state=0, verbose=1).fit(*frame())
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all("left] roc_auc" in line for line in lines)


def test_an_interrupted_fit_keeps_the_best_and_says_so(monkeypatch):
    from gstar.search import _Desk

    def interrupted(self, policy):
        raise KeyboardInterrupt

    monkeypatch.setattr(_Desk, "spend", interrupted)
    with pytest.warns(UserWarning, match="was interrupted"):
        model = GstarClassifier(**QUICK, random_state=0).fit(*frame())
    assert model.result_.interrupted
    assert set(model.predict(frame()[0])) == {"yes", "no"}


def test_a_budget_that_makes_no_sense_leaves_nothing_behind(tmp_path):
    place = tmp_path / "experience.sqlite"
    with pytest.raises(UsageError, match="duration"):
        GstarClassifier(budget_s=-1, experience=str(place)).fit([[0.0], [1.0], [2.0], [3.0]], list("abab"))
    assert not place.exists()
