"""A temperature makes probabilities as sure as they should be, or leaves them alone."""

from __future__ import annotations

import numpy as np
import pytest

from gstar.calibration import LEAST_ROWS, apply_temperature, fit_temperature
from gstar.metric import METRICS


def predictions(n: int, n_classes: int, sureness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose log is `sureness` times the true log-odds, and the classes that came."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, n_classes)) * 1.5
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = (truth.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return apply_temperature(truth, 1 / sureness), target


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("sureness", [0.5, 2.0])
def test_finds_how_much_too_sure_a_model_is(n_classes, sureness):
    p, y = predictions(4000, n_classes, sureness)
    temperature = fit_temperature(p, y)
    assert temperature == pytest.approx(sureness, rel=0.12)
    before, after = (METRICS["log_loss"].score(y, q) for q in (p, apply_temperature(p, temperature)))
    assert after > before


@pytest.mark.parametrize("n_classes", [2, 5])
def test_leaves_alone_what_is_right(n_classes):
    p, y = predictions(4000, n_classes, 1.0, seed=1)
    assert fit_temperature(p, y) == pytest.approx(1.0, abs=0.06)


def test_with_few_rows_it_is_one():
    p, y = predictions(LEAST_ROWS, 2, 4.0)
    assert fit_temperature(p, y) > 2
    assert fit_temperature(p[:-1], y[:-1]) == 1.0


def test_a_gain_within_the_noise_is_no_gain():
    """Of 40 models that are right as they are, hardly any is changed; without the standard error it would be ten."""
    fitted = [fit_temperature(*predictions(n, 2, 1.0, seed)) for seed in range(40) for n in (400, 1000)]
    assert sum(t != 1.0 for t in fitted) <= 5


def test_weights_count():
    p, y = predictions(1000, 2, 2.0)
    weights = np.where(y == 1, 3.0, 1.0)
    assert fit_temperature(p, y, weights) != fit_temperature(p, y)
    assert fit_temperature(p, y, np.ones(1000)) == pytest.approx(fit_temperature(p, y))


def test_rows_of_one_class_are_no_problem():
    p, _ = predictions(300, 2, 1.0)
    assert np.isfinite(fit_temperature(p, np.zeros(300, int)))


def test_one_is_no_change():
    p, _ = predictions(50, 3, 1.0)
    assert apply_temperature(p, 1.0) is p


@pytest.mark.parametrize("temperature", [0.2, 0.9, 1.7, 5.0])
def test_never_changes_the_order_of_classes(temperature):
    p, _ = predictions(300, 4, 2.0)
    p[0] = [1.0, 0.0, 0.0, 0.0]
    q = apply_temperature(p, temperature)
    assert np.allclose(q.sum(axis=1), 1.0)
    assert np.isfinite(q).all()
    assert np.array_equal(p.argmax(axis=1), q.argmax(axis=1))
    pairs = np.sign(p[:, :, None] - p[:, None, :]) * np.sign(q[:, :, None] - q[:, None, :])
    assert (pairs >= 0).all()


def test_is_deterministic_and_blind_to_the_order_of_classes():
    p, y = predictions(2000, 3, 1.7)
    assert fit_temperature(p, y) == fit_temperature(p.copy(), y.copy())
    assert fit_temperature(p[:, ::-1], 2 - y) == pytest.approx(fit_temperature(p, y), abs=1e-9)
