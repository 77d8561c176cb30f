"""When g counts as converged: reward and g both flat within their noise."""

import numpy as np
import pytest

from gstar.outer import Convergence

TEST = Convergence(window=100, blocks=5)
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
        (NOISE - np.linspace(0, 1, 100), WALK, True),
        (np.ones(100), WALK, True),
    ],
    ids=["noise", "stands still", "g still moves", "reward rises", "a small rise without noise", "falls", "constant"],
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


def test_a_random_walk_mostly_passes_and_a_drift_mostly_not():
    rng = np.random.default_rng(1)
    steps = rng.standard_normal((200, 100, 4))
    passed = [
        np.mean([TEST.is_flat(NOISE, np.cumsum(s + drift, axis=0), squared) for s in steps]) for drift in (0.0, 0.5)
    ]
    assert passed[0] > 0.8
    assert passed[1] < 0.1


def test_the_quotient_of_a_straight_walk_is_the_number_of_blocks():
    for blocks in (4, 9):
        near, far = (Convergence(window=100, blocks=blocks, drift=blocks * f) for f in (0.9, 1.1))
        assert not near.is_flat(NOISE, STRAIGHT, squared)
        assert far.is_flat(NOISE, STRAIGHT, squared)
