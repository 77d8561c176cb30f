"""The ensemble finds what helps, does not trust luck, and repeats bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from gstar import ensemble
from gstar.ensemble import BEST_FEW, DOUBT_ROWS, SLOW_RESAMPLES, greedy, select
from gstar.metric import METRICS, TaskKind, get_metric

RMSE = METRICS["rmse"]


def noisy(n: int, deviations: list[float], seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """One prediction per deviation, with noise of its own, and the target."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n)
    return [y + rng.normal(0, s, n) for s in deviations], y


def classified(n: int, n_models: int, n_classes: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    found = []
    for sureness in np.linspace(0.2, 1.5, n_models):
        logits = rng.normal(size=(n, n_classes))
        logits[np.arange(n), y] += sureness
        found.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    return found, y


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize("n", [30, 600])
def test_weights_are_shares_and_help(name, n):
    metric = METRICS[name]
    predictions, y = noisy(n, [1.0, 1.1, 1.2]) if TaskKind.REGRESSION in metric.kinds else classified(n, 6, 2)
    weights = select(predictions, y, metric)
    assert weights.shape == (len(predictions),)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1.0)
    blend = np.tensordot(weights, np.stack(predictions), axes=1)
    assert metric.score(y, blend) > np.median([metric.score(y, p) for p in predictions])


def test_models_that_err_apart_are_combined_and_bad_ones_left_out():
    predictions, y = noisy(4000, [1.0, 1.0, 1.0, 9.0, 9.0, 9.0, 9.0])
    weights = select(predictions, y, RMSE)
    assert weights[:3].min() > 0.25
    blend = np.tensordot(weights, np.stack(predictions), axes=1)
    assert RMSE.score(y, blend) > max(RMSE.score(y, p) for p in predictions) * 0.7


def test_a_perfect_model_is_enough():
    predictions, y = noisy(20_000, [1.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    weights = select(predictions, y, RMSE)
    assert weights.tolist() == [0, 1, 0, 0, 0, 0]


def test_few_rows_mean_the_plain_average_of_the_best():
    held = []
    for seed in range(20):
        weights = select(*noisy(10, [0.5, 0.52, 0.54, 0.56, 0.58, 5.0, 5.0, 5.0], seed), RMSE)
        held.append((weights > 0).sum())
        assert np.ptp(weights[weights > 0]) < 0.05
        assert not weights[BEST_FEW:].any()
    assert np.mean(held) > 4.0, "of five"


def test_what_cannot_be_told_from_the_best_is_among_the_best_few():
    for n, holds in ((20, True), (3000, False)):
        _, y = noisy(n, [])
        noise = np.random.default_rng(1).normal(size=(2, n))
        predictions = [y + 0.3 * noise[0], y + 0.3 * noise[0] + 0.25 * noise[1]]
        assert (select(predictions, y, RMSE)[1] > 0) == holds


def test_what_is_hardly_worse_than_the_best_is_among_the_best_few():
    _, y = noisy(600, [])
    noise = np.random.default_rng(1).normal(size=600)
    predictions = [y + 0.30 * noise, y + 0.301 * noise, y + 0.5 * noise]
    weights = select(predictions, y, RMSE)
    assert weights[1] > 0.1, "it is never ahead, but by so little"
    assert weights[2] == 0


@pytest.mark.parametrize("n", [40, 100, 3000])
def test_a_model_that_is_known_to_be_bad_is_left_out_on_few_rows_too(n):
    _, y = classified(n, 1, 3)
    rng = np.random.default_rng(0)
    sharp, blunt = (np.eye(3)[y] * share + (1 - share) / 3 for share in (0.9, 0.5))
    weights = select([0.99 * sharp + 0.01 * rng.dirichlet(np.ones(3), n), sharp, blunt], y, METRICS["log_loss"])
    assert weights[2] == 0
    assert weights[:2].min() > 0


def test_the_guard_pays_on_rows_that_were_not_seen():
    """Five equally good models and 20 rows: what a plain selection gains by leaving some out is luck."""
    guarded, plain = [], []
    for seed in range(30):
        predictions, y = noisy(1020, [1.0] * 5, seed)
        stack = np.stack(predictions)
        for scores, weights in (
            (guarded, select([p[:20] for p in predictions], y[:20], RMSE)),
            (plain, greedy(stack[:, :20], y[:20], RMSE)),
        ):
            scores.append(RMSE.score(y[20:], np.tensordot(weights, stack[:, 20:], axes=1)))
    assert np.mean(guarded) > np.mean(plain) + 0.02


def test_greedy_is_what_the_paper_says():
    """By hand: 0 and 2 average to the target 1, which the single model at 1.4 is further from."""
    y = np.ones(5)
    stack = np.array([np.zeros(5), np.full(5, 2.0), np.full(5, 1.4)])
    weights = greedy(stack, y, RMSE)
    assert np.average(stack[:, 0], weights=weights) == pytest.approx(1.0, abs=0.06)
    assert weights[2] > 0


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "accuracy"])
def test_repeats_bit_for_bit_also_on_many_rows(name):
    predictions, y = classified(9000, 5, 3)
    first, second = (select(predictions, y, METRICS[name], seed=3) for _ in range(2))
    assert np.array_equal(first, second)


def test_no_more_rows_are_looked_at_than_decide(monkeypatch):
    monkeypatch.setattr(ensemble, "MAX_ROWS", 400)
    predictions, y = noisy(5000, [1.0, 1.1])
    seen = []
    metric = get_metric(lambda a, b: seen.append(len(a)) or -float(np.mean((a - b) ** 2)), TaskKind.REGRESSION)
    select(predictions, y, metric)
    assert set(seen) == {400}


def test_many_classes_cost_no_more_cells(monkeypatch):
    monkeypatch.setattr(ensemble, "MAX_CELLS", 12_000)
    seen = []
    monkeypatch.setattr(ensemble, "_greedy", lambda stack, *_: seen.append(stack.shape) or np.ones(len(stack)))
    select(classified(5000, 4, 5)[0], classified(5000, 4, 5)[1], METRICS["accuracy"])
    assert seen == [(4, 600, 5)]


def test_a_slow_metric_chooses_among_the_best_only():
    calls = []
    metric = get_metric(lambda a, b: calls.append(1) or -float(np.mean((a - b) ** 2)), TaskKind.REGRESSION)
    predictions, y = noisy(500, [1.0] * 12 + [9.0] * 30)
    weights = select(predictions, y, metric)
    assert len(calls) <= 43 + 40 * 12 + SLOW_RESAMPLES * BEST_FEW
    assert np.allclose(weights, select(predictions, y, RMSE))


def test_whole_weights_are_repetitions():
    predictions, y = noisy(200, [0.8, 0.9, 1.0, 1.1, 1.2, 1.3])
    counts = np.random.default_rng(0).integers(1, 4, 200)
    repeated = select([p.repeat(counts) for p in predictions], y.repeat(counts), RMSE)
    assert np.allclose(select(predictions, y, RMSE, weights=counts.astype(float)), repeated)


def test_the_unit_of_other_weights_does_not_matter():
    predictions, y = noisy(800, [0.8, 0.9, 1.0, 1.1, 1.2, 1.3])
    weights = np.random.default_rng(0).random(800)
    first, second = (select(predictions, y, RMSE, weights=weights * unit) for unit in (1e-6, 1e3))
    assert np.allclose(first, second)


def test_weight_zero_hides_a_row():
    predictions, y = noisy(2 * DOUBT_ROWS, [0.5, 1.0, 1.0])
    spoilt = predictions[0].copy()
    spoilt[:DOUBT_ROWS] = 99.0
    weights = np.repeat([0.0, 1.0], DOUBT_ROWS)
    assert np.argmax(select([spoilt, *predictions[1:]], y, RMSE, weights=weights)) == 0
    assert select([spoilt, *predictions[1:]], y, RMSE)[0] < 0.25


def test_resamples_without_weight_or_without_a_class_say_nothing():
    predictions, y = noisy(12, [0.5, 0.6, 0.7])
    weights = np.zeros(12)
    weights[:2] = 1.0
    assert select(predictions, y, RMSE, weights=weights).sum() == pytest.approx(1.0)
    rare = np.arange(400) < 4
    good, bad = np.where(rare, 0.9, 0.1), np.random.default_rng(0).random(400)
    stack = [np.c_[1 - p, p] for p in (good, bad)]
    assert select(stack, rare.astype(int), METRICS["roc_auc"]).tolist() == [1.0, 0.0]


def test_where_the_metric_is_not_defined_the_first_models_are_averaged():
    predictions, _ = classified(20, 3, 2)
    assert np.allclose(select(predictions, np.zeros(20, int), METRICS["roc_auc"]), 1 / 3)


def test_what_is_added_after_the_best_prefix_does_not_count():
    assert greedy(np.array([np.zeros(5), np.full(5, 2.0)]), np.ones(5), RMSE).tolist() == [0.5, 0.5]


def test_one_model_has_all_the_weight():
    assert select([np.zeros(3)], np.zeros(3), RMSE).tolist() == [1.0]
