"""Kernels from patches of images: what they see and where, at any size, and the model behind them."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from gstar.errors import UntrustedFileError
from gstar.inputs import Images
from gstar.learner import TrainingSpec
from gstar.learners import patches
from gstar.learners.patches import Features, Kernels
from gstar.learners.ridged import RidgedState
from gstar.learners.rocket import Rocket
from gstar.metric import TaskKind

Array = np.ndarray


def stripes(n: int = 60, side: int = 12, seed: int = 0) -> tuple[Images, Array]:
    """Returns stripes along or across, of any phase, beside a channel that stands still."""
    rng = np.random.default_rng(seed)
    target = np.arange(n) % 2
    wave = np.sin(1.5 * np.arange(side) + rng.uniform(0, 6, (n, 1)))[:, None]
    values = np.where(target[:, None, None], wave, wave.swapaxes(1, 2)) + 0.3 * rng.normal(size=(n, side, side))
    return Images(np.stack([values, np.full_like(values, 7.0)], 1).astype(np.float32)), target


def dots(n: int = 60, seed: int = 0) -> tuple[Images, Array]:
    """Returns one bright pixel left or right of the middle, far from the edges."""
    rng = np.random.default_rng(seed)
    target = np.arange(n) % 2
    pixels = np.full((n, 1, 28, 28), 7, np.uint8)
    pixels[np.arange(n), 0, rng.integers(8, 20, n), rng.integers(8, 14, n) + 6 * target] = 255
    return Images(pixels), target


def train(images: Images, target: Array, **changes: object) -> RidgedState:
    spec = TrainingSpec(TaskKind.BINARY, 2, Rocket.space.complete({"kernels": 100}), seed=3)
    return Rocket().step(Rocket().init(images, target, replace(spec, **changes)), 1, None)


def fit(images: Images, n_kernels: int = 50, seed: int = 0, deadline: float | None = None) -> Features:
    return Features.fit(images, n_kernels, np.random.default_rng(seed), deadline=deadline)


@pytest.mark.parametrize("task", [stripes, dots])
def test_tells_apart_what_there_is_and_where(task) -> None:
    images, target = task(seed=1)
    assert np.mean(Rocket().predict(train(*task()), images).argmax(axis=1) == target) > 0.9


def test_answers_are_convolutions_within_the_region() -> None:
    rng = np.random.default_rng(0)
    weights, image = rng.normal(size=(1, 2, 3, 3)), rng.normal(size=(3, 9, 6))
    kernels = Kernels(weights, np.array([0, 2]), 2, np.array([1 / 3, 1.0, 0.0, 0.5]), np.zeros(1))
    padded = np.pad(image, ((0, 0), (2, 2), (2, 2)))[[0, 2]]
    expected = [np.sum(weights[0] * padded[:, y : y + 5 : 2, x : x + 5 : 2]) for y in range(3, 9) for x in range(3)]
    np.testing.assert_allclose(kernels.answers(image[:, None])[0, 0], expected)


def test_patches_are_what_a_kernel_sees() -> None:
    rng = np.random.default_rng(0)
    weights, images = rng.normal(size=(2, 2, 3, 3)), rng.normal(size=(2, 4, 8, 8))
    kernels = Kernels(weights, np.arange(2), 2, np.array([0.0, 0.5, 0.5, 1.0]), np.zeros(2))
    seen = kernels.patches(images, 30, rng) @ weights.reshape(2, -1).T
    answers = kernels.answers(images).reshape(2, -1).T
    distance = np.abs(seen[:, None] - answers).max(axis=2).min(axis=1)
    np.testing.assert_allclose(distance, 0.0, atol=1e-9)


def test_features_are_the_share_above_the_threshold_and_the_largest_answer() -> None:
    rng = np.random.default_rng(0)
    kernels = Kernels(rng.normal(size=(2, 1, 3, 3)), np.array([0]), 1, np.array([0, 1, 0, 1]), np.array([0.5, -1.0]))
    images = rng.normal(size=(1, 3, 5, 4))
    answers, features = kernels.answers(images), kernels.features(images)
    for i in range(3):
        own = answers[:, i]
        np.testing.assert_allclose(features[i], [*np.mean(kernels.biases < own.T, axis=0), *own.max(axis=1)], rtol=1e-6)


def test_what_varies_everywhere_has_less_weight() -> None:
    rng, deviations = np.random.default_rng(0), np.repeat([1.0, 3.0], 5)
    weights = patches._standing_out(deviations * rng.normal(size=(400, 10)), rng)
    sizes = np.abs(weights).mean(axis=0)
    assert sizes[:5].mean() > 1.3 * sizes[5:].mean()


def test_images_in_chunks_are_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = dots()
    features = fit(images)
    at_once = features.transform(images)
    monkeypatch.setattr(patches, "CHUNK", 1)
    np.testing.assert_allclose(features.transform(images), at_once, atol=1e-4)


def test_what_is_flat_is_the_same_at_any_level() -> None:
    features, levels = fit(dots()[0]), np.linspace(-2, 2, 9)
    flat = np.full((1, 9, 28, 28), levels[:, None, None], np.float32)
    for group in features.groups:
        within = np.median(group.answers(flat), axis=2) > group.biases[:, None]
        np.testing.assert_array_equal(within.min(axis=1), within.max(axis=1))


def test_a_channel_that_stands_still_counts_for_nothing() -> None:
    images, _ = stripes()
    features = fit(images)
    assert features.scale[1] == 0.0
    moved = Images(images.pixels + np.array([0.0, 3.0], np.float32)[:, None, None])
    np.testing.assert_array_equal(features.transform(moved), features.transform(images))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (3, 2, 2), (9, 8, 8), (1, 150, 100)])
def test_images_of_any_size(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).normal(size=(12, *shape)).astype(np.float32)
    pixels[0, 0, 0, 0] = np.nan
    prediction = Rocket().predict(train(Images(pixels), np.arange(12) % 2), Images(pixels))
    np.testing.assert_allclose(prediction.sum(axis=1), 1.0)


def test_large_images_are_averaged() -> None:
    pixels = np.random.default_rng(0).normal(size=(4, 1, 100, 90)).astype(np.float32)
    small = pixels.reshape(4, 1, 50, 2, 45, 2).mean(axis=(3, 5)).reshape(4, 1, 50, 45)
    smaller = pixels.reshape(4, 1, 100, 90)[:, :, :99].reshape(4, 1, 33, 3, 30, 3).mean(axis=(3, 5))
    features = fit(Images(smaller))
    assert small[0].size > patches.MAX_PLACES >= smaller[0].size
    np.testing.assert_allclose(
        features.transform(Images(pixels[:, :, :99])), features.transform(Images(smaller)), atol=1e-3
    )


def test_images_without_a_difference_have_the_prior() -> None:
    images, target = Images(np.full((10, 3, 6, 6), 80, np.uint8)), np.arange(10) % 5 == 0
    np.testing.assert_allclose(Rocket().predict(train(images, target), images)[:, 1], 2.5 / 11)


def test_kernels_are_those_of_the_seed() -> None:
    images, _ = stripes()
    one, same, other = (fit(images, seed=seed).to_arrays() for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["biases0"], other["biases0"])


def test_late_there_are_fewer_kernels() -> None:
    assert len(fit(stripes()[0], 100, deadline=0.0).groups) == 1


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("channels0", lambda channels: channels + 9, "looks at what is not there"),
        ("regions", lambda regions: regions * 50 + 2, "looks at what is not there"),
        ("dilations", lambda dilations: dilations * 10**6, "looks at what is not there"),
        ("regions", lambda regions: regions[:, :2], "do not agree"),
        ("biases0", lambda biases: biases[:-1], "do not agree"),
        ("weights0", lambda weights: weights[:, :, :1], "do not agree"),
    ],
)
def test_refuses_kernels_that_look_elsewhere(name: str, change, message: str) -> None:
    parts = Rocket().save(train(*stripes()))
    arrays = dict(np.load(io.BytesIO(parts["rocket_images.npz"])))
    content = io.BytesIO()
    np.savez(content, **arrays | {name: change(arrays[name])})
    with pytest.raises(UntrustedFileError, match=message):
        Rocket().load(parts | {"rocket_images.npz": content.getvalue()})
