"""Adam against the formulas of its paper, and what it does to noise."""

import numpy as np
import pytest

from gstar.outer.ascent import BETAS, Adam


def _many(method: str, vectors: np.ndarray, rate: float) -> tuple[np.ndarray, Adam]:
    state, steps = Adam.start(vectors.shape[1]), []
    for vector in vectors:
        step, state = getattr(state, method)(vector, rate)
        steps.append(step)
    return np.array(steps), state


def test_steps_are_those_of_the_paper():
    gradients = np.random.default_rng(0).standard_normal((20, 3))
    steps, state = _many("step", gradients, 0.1)
    for t in range(1, 21):
        weights = [(1 - b) * b ** np.arange(t - 1, -1, -1) / (1 - b**t) for b in BETAS]
        mean, square = weights[0] @ gradients[:t], weights[1] @ gradients[:t] ** 2
        assert steps[t - 1] == pytest.approx(0.1 * mean / np.sqrt(square))
    assert state.count == 20


def test_the_length_of_a_step_does_not_depend_on_the_size_of_the_gradient():
    gradients = np.random.default_rng(1).standard_normal((5, 2))
    assert _many("step", gradients, 0.1)[0] == pytest.approx(_many("step", 1e-6 * gradients, 0.1)[0], rel=1e-4)


def test_it_goes_uphill():
    place, state = np.array([4.0, -3.0]), Adam.start(2)
    for _ in range(300):
        step, state = state.step(-2 * (place - 1.0), 0.05)
        place = place + step
    assert place == pytest.approx([1.0, 1.0], abs=0.05)


def test_pushes_are_as_long_as_directions_that_agree():
    steps, state = _many("push", np.tile([0.6, -0.8], (100, 1)), 0.2)
    assert steps[-1] == pytest.approx([0.12, -0.16], rel=1e-3)
    assert np.linalg.norm(steps[0]) == pytest.approx(0.02), "the first ones are short"
    assert state.count == 100


def test_pushes_average_noise():
    noise = np.random.default_rng(2).standard_normal((4000, 1))
    assert _many("push", noise, 1.0)[0].std() == pytest.approx(np.sqrt(0.1 / 1.9), rel=0.05)


def test_zeros_stay_zeros():
    for method in ("step", "push"):
        steps, _ = _many(method, np.zeros((3, 2)), 0.1)
        assert steps.tolist() == np.zeros((3, 2)).tolist()


@pytest.mark.parametrize("method", ["step", "push"])
def test_a_state_is_not_changed(method: str):
    state = Adam.start(2)
    getattr(state, method)(np.ones(2), 0.1)
    assert (state.mean.tolist(), state.square.tolist(), state.count) == ([0, 0], [0, 0], 0)
