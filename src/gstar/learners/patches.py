"""Patches of training images as kernels of convolutions: what nobody trained tells about images, as columns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from gstar.inputs import Images
from gstar.learners.convolutions import CHUNK, GROUP, MARGIN, measure
from gstar.learners.flattened import pooled

Array: TypeAlias = np.ndarray

LENGTHS: Final = (3, 5, 7)
"""Sides of a kernel."""
DILATIONS: Final = (1, 2)
MAX_CHANNELS: Final = 4
"""A group looks at so many channels at most."""
MAX_PLACES: Final = 2048
"""Larger images are averaged over blocks."""
WHOLE: Final = 0.4
"""Share of the groups that look at the whole image; the others look at a cell of a grid of 2 x 2 or 3 x 3."""
N_PATCHES: Final = 400
"""So many patches are looked at to draw a group."""

_SAMPLED: Final = 2**20
"""Scales are those of images with at most so many numbers, and patches come from them."""
_FLAT: Final = 0.1
"""What hardly varies counts as if it had this share of the mean variance."""
_LEAST: Final = 1e-10


@dataclass(frozen=True, eq=False)
class Kernels:
    """Is a group of k kernels that look at one region of an image.

    Args:
        weights: ``(k, c, L, L)`` float32, of mean 0.
        channels: ``(c,)`` which channels they look at.
        dilation: Pixels from one weight to the next.
        region: ``(4,)`` top, bottom, left and right, as shares of the height and of the width.
        biases: ``(k,)`` thresholds.
    """

    weights: Array
    channels: Array
    dilation: int
    region: Array
    biases: Array

    def answers(self, channels: Array) -> Array:
        """Returns ``(k, n, P)``, the kernels around every pixel of the region; beyond the image all is 0.

        Args:
            channels: ``(C, n, H, W)``.
        """
        length, (rows, columns) = self.weights.shape[-1], self.window(*channels.shape[2:])
        height, width, n = rows.stop - rows.start, columns.stop - columns.start, channels.shape[1]
        padded = self.padded(channels)[:, :, rows.start :, columns.start :]
        unrolled = np.empty((len(padded), length, length, n, height, width), channels.dtype)
        for i in range(length):
            for j in range(length):
                y, x = i * self.dilation, j * self.dilation
                unrolled[:, i, j] = padded[:, :, y : y + height, x : x + width]
        k, size = len(self.weights), height * width
        return np.asarray((self.weights.reshape(k, -1) @ unrolled.reshape(-1, n * size)).reshape(k, n, size))

    def features(self, channels: Array) -> Array:
        """Returns ``(n, 2 k)``: the share of pixels with an answer above the threshold, and the largest answer."""
        answers = self.answers(channels)
        above = np.count_nonzero(answers > self.biases[:, None, None], axis=2) / answers.shape[2]
        return np.concatenate([above, answers.max(axis=2)]).T.astype(np.float32)

    def patches(self, channels: Array, n_patches: int, rng: np.random.Generator) -> Array:
        """Returns ``(n_patches, c L L)`` what a kernel sees at random pixels of the region."""
        length, (rows, columns) = self.weights.shape[-1], self.window(*channels.shape[2:])
        images = rng.integers(channels.shape[1], size=n_patches)[:, None, None]
        steps = np.arange(length) * self.dilation
        y = rng.integers(rows.start, rows.stop, n_patches)[:, None, None] + steps[:, None]
        x = rng.integers(columns.start, columns.stop, n_patches)[:, None, None] + steps
        return np.asarray(self.padded(channels)[:, images, y, x].swapaxes(0, 1).reshape(n_patches, -1))

    def padded(self, channels: Array) -> Array:
        """Returns ``(c, n, H + 2 R, W + 2 R)``, so that a kernel fits around every pixel."""
        reach = (self.weights.shape[-1] - 1) // 2 * self.dilation
        return np.pad(channels[self.channels], ((0, 0), (0, 0), (reach, reach), (reach, reach)))

    def window(self, height: int, width: int) -> tuple[slice, slice]:
        """Returns the rows and columns of the region; at least one of each."""
        top, bottom, left, right = (self.region * (height, height, width, width)).round().astype(int)
        top, left = min(top, height - 1), min(left, width - 1)
        return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


@dataclass(frozen=True, eq=False)
class Features:
    """Is from images to a matrix: channels of mean 0 and deviation 1, kernels on them, and plain summaries.

    References:
        Coates, Ng: Learning feature representations with k-means (2012),
        https://www-cs.stanford.edu/~acoates/papers/coatesng_nntot2012.pdf

    Differences from the paper:
        1. Kernels are whitened patches as they were drawn, without k-means.
        2. Each group has its own size, dilation and region, and answers are summed up as in ROCKET.

    Args:
        centre, scale: ``(C,)`` subtracted from the channels, and multiplied with; 0 for a channel without variance.
        groups: The kernels.
    """

    centre: Array
    scale: Array
    groups: tuple[Kernels, ...] = ()

    @staticmethod
    def fit(images: Images, n_kernels: int, rng: np.random.Generator, *, deadline: float | None) -> Features:
        """Measures scales, and draws kernels and thresholds among patches; late, there are fewer kernels."""
        n_numbers = min(images.n_features, MAX_PLACES * images.pixels.shape[1])
        rows = np.sort(rng.permutation(len(images))[: max(1, min(N_PATCHES, _SAMPLED // n_numbers))])
        pixels = np.concatenate([_reduced(images.take(rows[i : i + 1])) for i in range(len(rows))])
        features = Features(*measure(pixels.transpose(0, 2, 3, 1).reshape(-1, pixels.shape[1])))
        channels = features.channels(pixels)
        groups: list[Kernels] = []
        for _ in range(-(-n_kernels // GROUP)):
            groups.append(draw(channels, rng))
            if deadline is not None and time.monotonic() > deadline:
                break
        return replace(features, groups=tuple(groups))

    def channels(self, pixels: Array) -> Array:
        """Returns ``(C, n, H, W)`` float32 values, 0 where they are missing."""
        scaled = (pixels.transpose(0, 2, 3, 1) - self.centre) * self.scale
        return np.ascontiguousarray(np.nan_to_num(scaled.transpose(3, 0, 1, 2), posinf=0.0, neginf=0.0), np.float32)

    def transform(self, images: Images) -> Array:
        """Returns ``(N, F)`` float32."""
        parts = []
        n_rows = max(1, CHUNK // (max(LENGTHS) ** 2 * min(images.n_features, MAX_PLACES * MAX_CHANNELS)))
        for start in range(0, len(images), n_rows):
            channels = self.channels(_reduced(Images(images.pixels[start : start + n_rows])))
            found = [group.features(channels) for group in self.groups]
            parts.append(np.concatenate([*found, _summaries(channels)], axis=1))
        return np.concatenate([np.empty((0, self.n_columns), np.float32), *parts])

    @property
    def n_columns(self) -> int:
        """F."""
        return 2 * GROUP * len(self.groups) + 2 * len(self.scale)

    def to_arrays(self) -> dict[str, Array]:
        """Returns all of it as arrays by name."""
        arrays = {"channel_centre": self.centre, "channel_scale": self.scale}
        for i, group in enumerate(self.groups):
            arrays |= {f"weights{i}": group.weights, f"channels{i}": group.channels, f"biases{i}": group.biases}
        dilations = np.array([group.dilation for group in self.groups])
        return arrays | {"dilations": dilations, "regions": np.array([group.region for group in self.groups])}

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array]) -> Features:
        """Builds what `to_arrays` returned as arrays.

        Raises:
            KeyError, ValueError: If something is missing, or of another shape.
        """
        groups = tuple(
            Kernels(arrays[f"weights{i}"], arrays[f"channels{i}"], int(dilation), region, arrays[f"biases{i}"])
            for i, (dilation, region) in enumerate(zip(arrays["dilations"], arrays["regions"], strict=True))
        )
        found = Features(arrays["channel_centre"], arrays["channel_scale"], groups)
        for group in groups:
            _check(group, len(found.scale))
        return found


def draw(channels: Array, rng: np.random.Generator) -> Kernels:
    """Returns a new group of kernels; weights and thresholds come from patches of these images.

    Args:
        channels: ``(C, n, H, W)`` as kernels see them.
        rng: Draws it.
    """
    length, dilation = int(rng.choice(LENGTHS)), int(rng.choice(DILATIONS))
    chosen = np.sort(rng.permutation(len(channels))[:MAX_CHANNELS])
    empty = np.zeros((GROUP, len(chosen), length, length), np.float32)
    kernels = Kernels(empty, chosen, dilation, _region(rng), np.zeros(GROUP, np.float32))
    patches = kernels.patches(channels, N_PATCHES, rng)
    weights = _standing_out(patches, rng)
    answers = patches @ weights.T
    biases = answers[rng.integers(N_PATCHES, size=GROUP), np.arange(GROUP)] + np.float32(MARGIN)
    return replace(kernels, weights=weights.reshape(empty.shape), biases=biases)


def _standing_out(patches: Array, rng: np.random.Generator) -> Array:
    """Returns ``(k, c L L)`` kernels of mean 0 and length 1 that find some patches of high contrast among all."""
    centred = patches - patches.mean(axis=1, keepdims=True)
    centred -= centred.mean(axis=0)
    high = np.argsort(-np.linalg.norm(centred, axis=1))[: N_PATCHES // 2]
    found = centred[high[rng.permutation(len(high))[:GROUP]]]
    covariance = (centred.T @ centred / N_PATCHES).astype(float)
    floor = _FLAT * float(np.trace(covariance)) / len(covariance) + _LEAST
    weights = np.linalg.solve(covariance + floor * np.eye(len(covariance)), found.T).T
    weights -= weights.mean(axis=1, keepdims=True)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True) + _LEAST
    return np.ascontiguousarray(weights, np.float32)


def _region(rng: np.random.Generator) -> Array:
    """Returns the whole image, or a cell of a grid, as shares of the height and of the width."""
    if rng.random() < WHOLE:
        return np.array([0.0, 1.0, 0.0, 1.0])
    side = rng.integers(2, 4)
    i, j = rng.integers(side, size=2)
    return np.array([i, i + 1, j, j + 1]) / side


def _reduced(images: Images) -> Array:
    """Returns pixels as float32, ``(n, C, H, W)``, of which a channel has at most `MAX_PLACES`."""
    return pooled(images.pixels, MAX_PLACES * images.pixels.shape[1]).astype(np.float32)


def _summaries(channels: Array) -> Array:
    """Returns ``(n, 2 C)``: mean and deviation."""
    return np.concatenate([channels.mean(axis=(2, 3)), channels.std(axis=(2, 3))]).T


def _check(group: Kernels, n_channels: int) -> None:
    """Refuses kernels that look at what is not there, or would take any amount of memory."""
    length = group.weights.shape[-1]
    if group.weights.shape != (GROUP, len(group.channels), length, length) or length not in LENGTHS:
        raise ValueError("the shapes of kernels do not agree")
    if group.biases.shape != (GROUP,) or group.region.shape != (4,):
        raise ValueError("the shapes of kernels do not agree")
    inside = np.all((group.region >= 0) & (group.region <= 1)) and group.dilation in DILATIONS
    if not inside or not np.all((group.channels >= 0) & (group.channels < n_channels)):
        raise ValueError("a kernel looks at what is not there")
