"""Random convolutions: what they see, at any length, and the model behind them."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from gstar.errors import UntrustedFileError
from gstar.inputs import Sequences
from gstar.learner import TrainingSpec
from gstar.learners import convolutions
from gstar.learners.convolutions import Features, Kernels
from gstar.learners.ridged import RidgedState
from gstar.learners.rocket import Rocket
from gstar.metric import TaskKind

Array = np.ndarray


def waves(n: int = 60, steps: int = 40, seed: int = 0) -> tuple[Sequences, Array]:
    """Returns quick and slow waves of any phase, of different lengths, beside a channel that stands still."""
    rng = np.random.default_rng(seed)
    target = np.arange(n) % 2
    time, speed, phase = np.arange(steps)[None], np.where(target, 0.9, 0.6)[:, None], rng.uniform(0, 6, (n, 1))
    values = np.stack([np.sin(speed * time + phase) + 0.3 * rng.normal(size=(n, steps)), np.full((n, steps), 7.0)], 2)
    lengths = rng.integers(steps // 2, steps + 1, n)
    values[np.arange(steps) >= lengths[:, None]] = 0.0
    return Sequences(values.astype(np.float32), lengths), target


def train(rows: Sequences, target: Array, **changes: object) -> RidgedState:
    spec = TrainingSpec(TaskKind.BINARY, 2, Rocket.space.complete({"kernels": 100}), seed=3)
    return Rocket().step(Rocket().init(rows, target, replace(spec, **changes)), 1, None)


def test_tells_waves_apart_whatever_their_phase() -> None:
    state = train(*waves())
    rows, target = waves(seed=1)
    assert np.mean(Rocket().predict(state, rows).argmax(axis=1) == target) > 0.9


def test_answers_are_convolutions() -> None:
    rng = np.random.default_rng(0)
    weights, steps = rng.normal(size=(1, 7, 2)), rng.normal(size=(1, 30, 3))
    answers = Kernels(weights, np.array([0, 2]), 3, np.zeros(1)).answers(steps.transpose(2, 0, 1))
    padded = np.pad(steps[0], ((9, 9), (0, 0)))
    expected = [sum(weights[0, j] @ padded[t + 3 * j, [0, 2]] for j in range(7)) for t in range(30)]
    np.testing.assert_allclose(answers[0, 0], expected)


def test_features_are_the_share_above_the_threshold_and_the_largest_answer() -> None:
    rng = np.random.default_rng(0)
    kernels = Kernels(rng.normal(size=(2, 7, 1)), np.array([0]), 2, np.array([0.5, -1.0]))
    channels, lengths = rng.normal(size=(1, 3, 20)), np.array([20, 4, 1])
    answers, features = kernels.answers(channels), kernels.features(channels, lengths)
    for i, length in enumerate(lengths):
        own = answers[:, i, :length]
        np.testing.assert_allclose(features[i], [*np.mean(kernels.biases < own.T, axis=0), *own.max(axis=1)], rtol=1e-6)


def test_what_lies_after_the_end_does_not_matter() -> None:
    rows, _ = waves()
    features = Features.fit(rows, 50, True, np.random.default_rng(0), deadline=None)
    found = features.transform(rows)
    steps = rows.steps.copy()
    steps[np.arange(40) >= rows.lengths[:, None]] = 5.0
    np.testing.assert_array_equal(features.transform(Sequences(steps, rows.lengths)), found)
    short = rows.take(np.flatnonzero(rows.lengths < 30))
    np.testing.assert_allclose(features.transform(short), found[rows.lengths < 30], atol=1e-5)


def test_rows_in_chunks_are_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, target = waves()
    state = train(rows, target)
    at_once = Rocket().predict(state, rows)
    monkeypatch.setattr(convolutions, "CHUNK", 1)
    np.testing.assert_allclose(Rocket().predict(state, rows), at_once, atol=1e-4)


def test_a_channel_that_stands_still_counts_for_nothing() -> None:
    rows, _ = waves()
    features = Features.fit(rows, 50, True, np.random.default_rng(0), deadline=None)
    assert features.scale[1] == features.change_scale[1] == 0.0
    moved = Sequences(rows.steps + np.array([0.0, 3.0], np.float32), rows.lengths)
    np.testing.assert_array_equal(features.transform(moved), features.transform(rows))


@pytest.mark.parametrize("steps", [1, 3, 200])
def test_lengths_that_were_not_seen(steps: int) -> None:
    prediction = Rocket().predict(train(*waves()), waves(n=4, steps=steps, seed=1)[0] if steps > 1 else _single())
    np.testing.assert_allclose(prediction.sum(axis=1), 1.0)


def _single() -> Sequences:
    return Sequences(np.ones((4, 1, 2), np.float32), np.ones(4, np.int64))


def test_kernels_are_those_of_the_seed() -> None:
    rows, _ = waves()
    one, same, other = (
        Features.fit(rows, 50, True, np.random.default_rng(seed), deadline=None).to_arrays() for seed in (1, 1, 2)
    )
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["biases0"], other["biases0"])


def test_late_there_are_fewer_kernels() -> None:
    rows, _ = waves()
    features = Features.fit(rows, 100, True, np.random.default_rng(0), deadline=0.0)
    assert len(features.groups) == 1


def test_refuses_kernels_that_look_elsewhere() -> None:
    parts = Rocket().save(train(*waves()))
    arrays = dict(np.load(io.BytesIO(parts["rocket.npz"])))
    content = io.BytesIO()
    np.savez(content, **arrays | {"channels0": arrays["channels0"] + 9})
    with pytest.raises(UntrustedFileError, match="looks at what is not there"):
        Rocket().load(parts | {"rocket.npz": content.getvalue()})
