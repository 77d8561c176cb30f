from __future__ import annotations

import numpy as np
import pytest

from gstar.policies.kernel import Encoder
from gstar.policies.predictor import PRIOR_LIKENESS, Belief, Predictor, Profiles, fit_scale_prior
from gstar.policies.scale import FLOOR
from gstar.records import Records
from gstar.testing.policy import N_META_FEATURES, RECORDS, toy_learners, toy_records, toy_strategies

META = np.zeros(N_META_FEATURES)
STRATEGIES = toy_strategies(20)


def _predictor(records: Records, built_in: tuple[int, ...] = ()) -> tuple[Predictor, Profiles]:
    codes = Encoder(toy_learners()).encode(STRATEGIES)
    known = len(records.tasks) > 0
    scores = records.scores if known else np.empty((0, 20))
    failures = records.failures if known else np.empty((0, 20))
    meta = records.meta_features
    predictor = Predictor(
        codes, scores, failures, built_in=built_in, meta_features=meta, families=list(records.families)
    )
    return predictor, predictor.profiles(codes)


def _believe(
    predictor: Predictor,
    profiles: Profiles,
    tried: list[int],
    raw: list[float],
    meta: np.ndarray = META,
    pending: int = 0,
) -> Belief:
    return predictor.believe(
        profiles, profiles.take(np.array(tried, int)), np.array(raw), meta_features=meta, recalled=0, pending=pending
    )


def test_without_records_the_built_in_order_is_what_is_expected() -> None:
    first = [next(j for j, s in enumerate(STRATEGIES) if s.learner == name) for name in ("trees", "ridge", "network")]
    predictor, profiles = _predictor(RECORDS["no records"](), tuple(first))
    mean = _believe(predictor, profiles, [], []).mean
    assert mean[first[0]] > mean[first[1]] > mean[first[2]] > 0
    assert int(np.argmax(mean)) == first[0]


def test_meta_features_move_the_expectation() -> None:
    predictor, profiles = _predictor(toy_records(80, holes=0.1))
    assert predictor.outlook.gain > 0.3
    ridge = np.array([s.learner == "ridge" for s in STRATEGIES])
    trees = np.array([s.learner == "trees" for s in STRATEGIES])
    swing = []
    for direction in (2.0, -2.0):
        meta = np.array([direction, 0, 0, 0, 0, 0])
        mean = _believe(predictor, profiles, [], [], meta).mean
        swing.append(mean[ridge].mean() - mean[trees].mean())
    assert abs(swing[0] - swing[1]) > 1.0


def test_held_out_tasks_are_predicted_with_honest_deviations() -> None:
    records = toy_records(80, holes=0.0)
    test = frozenset(f"family{i}" for i in range(30, 40))
    predictor, profiles = _predictor(records.without(families=test))
    errors = []
    for t in range(60, 80):
        belief = _believe(
            predictor, profiles, [0, 3, 7, 9], list(records.scores[t, [0, 3, 7, 9]]), records.meta_features[t]
        )
        row = records.scores[t]
        truth = np.maximum((row - np.median(row)) / (row.max() - np.median(row)), FLOOR)
        rest = np.setdiff1d(np.arange(20), [0, 3, 7, 9])
        errors.append(((truth - belief.mean) / belief.total_deviation)[rest])
    assert 0.5 < np.sqrt(np.mean(np.square(errors))) < 1.5


def test_results_on_the_task_teach_about_like_strategies() -> None:
    predictor, profiles = _predictor(RECORDS["no records"]())
    trees = [j for j, s in enumerate(STRATEGIES) if s.learner == "trees"]
    ridge = [j for j, s in enumerate(STRATEGIES) if s.learner == "ridge"]
    belief = _believe(predictor, profiles, [trees[0], trees[1], ridge[0], ridge[1]], [0.9, 0.89, 0.7, 0.71])
    assert belief.mean[trees[2:]].min() > belief.mean[ridge[2:]].max()
    assert belief.deviation[trees[2]] < _believe(predictor, profiles, [], []).deviation[trees[2]]


def test_the_unit_of_the_metric_does_not_matter() -> None:
    predictor, profiles = _predictor(toy_records(40))
    tried, raw = [0, 1, 2, 3, 4], [0.9, 0.85, 0.7, 0.88, 0.6]
    plain = _believe(predictor, profiles, tried, raw).mean
    rmse = _believe(predictor, profiles, tried, [1000 * v - 5000 for v in raw]).mean
    assert np.abs(plain - rmse).max() < 0.35
    assert np.corrcoef(plain, rmse)[0, 1] > 0.95


def test_one_awful_score_does_not_hide_the_differences() -> None:
    predictor, profiles = _predictor(toy_records(40))
    tried, raw = [0, 1, 2, 3, 4], [0.9, 0.85, 0.7, 0.88, 0.6]
    plain = _believe(predictor, profiles, tried, raw).mean
    awful = _believe(predictor, profiles, tried, [*raw[:-1], -1e9]).mean
    assert np.abs(plain - awful).max() < 0.3


def test_a_failure_lowers_what_is_expected_of_its_like() -> None:
    predictor, profiles = _predictor(RECORDS["no records"]())
    trees = [j for j, s in enumerate(STRATEGIES) if s.learner == "trees"]
    before = _believe(predictor, profiles, [], []).mean[trees[1]]
    after = _believe(predictor, profiles, [trees[0]], [np.nan])
    assert after.mean[trees[1]] < before - 0.2
    assert after.incumbent.tolist() == [FLOOR]


def test_pending_strategies_change_the_doubt_and_not_the_expectation() -> None:
    predictor, profiles = _predictor(toy_records(40))
    alone = _believe(predictor, profiles, [0, 1], [0.8, 0.7])
    pending = _believe(predictor, profiles, [0, 1, 2], [0.8, 0.7], pending=1)
    np.testing.assert_allclose(alone.mean, pending.mean)
    assert pending.deviation[2] < 0.7 * alone.deviation[2]
    np.testing.assert_allclose(pending.incumbent, np.maximum(alone.incumbent, alone.means[:, 2]))
    assert pending.redundancy[2] == pytest.approx(1.0)
    assert np.all(pending.redundancy >= alone.redundancy)


def test_only_trials_in_hand_are_the_best_so_far() -> None:
    predictor, profiles = _predictor(toy_records(40))
    tried = profiles.take(np.array([0, 1]))
    both = predictor.believe(profiles, tried, np.array([0.7, 0.9]), meta_features=META, recalled=0, pending=0)
    one = predictor.believe(profiles, tried, np.array([0.7, 0.9]), meta_features=META, recalled=1, pending=0)
    np.testing.assert_allclose(both.mean, one.mean)
    assert one.weights @ one.incumbent < both.weights @ both.incumbent
    assert one.expected_improvement(0.0)[1] > both.expected_improvement(0.0)[1]


def test_expected_improvement_is_the_mean_of_the_gain() -> None:
    belief = Belief(
        np.array([0.3, 0.7]),
        np.array([[0.1, -0.4], [0.5, 0.2]]),
        np.array([0.3, 0.6]),
        np.array([0.2, 0.4]),
        np.array([1.0, 0.25]),
        0.1,
        np.zeros(0),
    )
    rng = np.random.default_rng(0)
    n = 400_000
    scale = rng.choice(2, n, p=belief.weights)
    draws = belief.means[scale] + belief.deviation * rng.normal(size=(n, 2)) + 0.2 * (1 - belief.redundancy)
    gain = np.maximum(draws - belief.incumbent[scale][:, None], 0).mean(axis=0)
    np.testing.assert_allclose(belief.expected_improvement(0.2), gain, atol=0.003)


def test_an_unrecorded_strategy_borrows_from_those_like_it() -> None:
    records = toy_records(60, holes=0.0)
    predictor, profiles = _predictor(records)
    codes = profiles.codes
    borrowed = predictor.profiles(type(codes)(codes.learner, codes.vectors, codes.identity + np.uint64(1)))
    away = np.linalg.norm(borrowed.loadings - profiles.loadings)
    assert 0 < away < 0.4 * np.linalg.norm(profiles.loadings)
    assert np.all(borrowed.deviation > profiles.deviation)


def test_a_recorded_strategy_keeps_its_own_mean() -> None:
    records = toy_records(60, holes=0.0)
    predictor, profiles = _predictor(records)
    np.testing.assert_allclose(profiles.mean, predictor.values.mean(axis=0), atol=0.05)


def test_how_much_like_strategies_share_is_measured() -> None:
    assert _predictor(RECORDS["no records"]())[0].shared == PRIOR_LIKENESS
    assert _predictor(toy_records(80, holes=0.0))[0].shared < 0.2, "the toy tasks have no smooth rest"


def test_where_a_score_lies_is_not_known_from_one_score() -> None:
    predictor, profiles = _predictor(RECORDS["no records"]())
    trees = next(j for j, s in enumerate(STRATEGIES) if s.learner == "trees")
    ridge = next(j for j, s in enumerate(STRATEGIES) if s.learner == "ridge")
    before = _believe(predictor, profiles, [], []).deviation
    after = _believe(predictor, profiles, [trees], [0.8]).deviation[ridge]
    assert after**2 == pytest.approx(before[ridge] ** 2 + before[trees] ** 2, rel=0.15)


def test_the_scale_of_a_task_is_guessed_from_its_location() -> None:
    location = np.linspace(0.6, 0.95, 50)
    c0, c1, deviation = fit_scale_prior(location, 0.3 * location**-2)
    assert np.exp(c0 + c1 * np.log(0.8)) == pytest.approx(0.3 * 0.8**-2, rel=0.2)
    assert deviation < 0.5
    assert fit_scale_prior(np.empty(0), np.empty(0)) == (pytest.approx(np.log(0.1)), 1.0, 1.5)


def test_no_strategies_at_all() -> None:
    empty = Encoder(toy_learners()).encode([])
    predictor = Predictor(
        empty, np.empty((0, 0)), np.empty((0, 0)), built_in=(), meta_features=np.empty((0, 6)), families=[]
    )
    fresh = predictor.profiles(Encoder(toy_learners()).encode(STRATEGIES))
    assert np.all(fresh.mean == 0)
    assert np.all(_believe(predictor, fresh, [0], [0.5]).deviation > 0)
