"""When g counts as converged: reward and g both flat within their noise."""

import numpy as np
import pytest
from scipy.signal import lfilter

from gstar.outer import Convergence

TEST = Convergence(window=100)
RNG = np.random.default_rng(0)
NOISE = 0.3 * RNG.standard_normal(100)
WALK = np.cumsum(RNG.standard_normal((100, 3)), axis=0)
STRAIGHT = np.outer(np.arange(100.0), [1.0, 0.0, 0.0])


def squared(a: np.ndarray, b: np.ndarray) -> float:
    """The divergence of normal distributions with unit variance."""
    return 0.5 * float(((a - b) ** 2).sum())


@pytest.mark.parametrize(
    ("rewards", "trail", "flat"),
    [
        (NOISE, WALK, True),
        (NOISE, 0 * WALK, True),
        (NOISE, STRAIGHT, False),
        (NOISE + np.linspace(0, 1, 100), WALK, False),
        (np.linspace(0, 1e-6, 100), WALK, False),
        (NOISE - np.linspace(0, 1, 100), WALK, False),
        (np.ones(100), WALK, True),
    ],
    ids=[
        "noise",
        "stands still",
        "g still moves",
        "reward rises",
        "a small rise without noise",
        "reward falls",
        "constant",
    ],
)
def test_both_must_be_flat(rewards: np.ndarray, trail: np.ndarray, flat: bool):
    assert TEST.is_flat(rewards, trail, squared) is flat


def test_only_the_window_counts():
    before = np.linspace(-50, -1, 60)
    rewards, trail = np.r_[before, NOISE], np.r_[STRAIGHT[:60] * 9, WALK]
    assert TEST.is_flat(rewards, trail, squared)


@pytest.mark.parametrize("n", [0, 1, 99])
def test_it_waits_for_a_whole_window(n: int):
    assert not TEST.is_flat(NOISE[:n], WALK[:n], squared)
    assert not TEST.is_flat(NOISE, WALK[:n], squared)
    assert not TEST.is_flat(NOISE[:n], WALK, squared)


@pytest.mark.parametrize("memory", [0.0, 0.9], ids=["steps alone", "momentum"])
@pytest.mark.parametrize("size", [1, 4, 300])
def test_a_random_walk_mostly_passes_and_a_drift_mostly_not(size: int, memory: float):
    rng = np.random.default_rng(1)
    passed = []
    for drift in (0.0, 0.7 * size**0.25):
        walks = lfilter([1.0], [1.0, -memory], rng.standard_normal((100, 150, size)), axis=1)[:, 50:]
        walks += drift * np.eye(size)[0] / (1 - memory)
        passed.append(np.mean([TEST.is_flat(NOISE, np.cumsum(walk, axis=0), squared) for walk in walks]))
    assert passed[0] > 0.7
    assert passed[1] < 0.2


def test_noise_in_the_reward_is_flat_as_often_as_two_standard_errors_say():
    noise = np.random.default_rng(2).standard_normal((1000, 100))
    assert 0.93 < np.mean([TEST.is_flat(rewards, WALK, squared) for rewards in noise]) < 0.98
    rises = np.r_[np.zeros(50), np.full(50, 0.8)]
    assert np.mean([TEST.is_flat(rewards + rises, WALK, squared) for rewards in noise]) < 0.05


def test_what_counts_is_the_divergence_not_the_meta_parameters():
    still = np.outer(np.arange(100.0), [0.0, 0.0, 1.0])
    assert not TEST.is_flat(NOISE, WALK + 9 * still, squared)
    assert TEST.is_flat(NOISE, WALK + 9 * still, lambda a, b: squared(a[:2], b[:2]))
