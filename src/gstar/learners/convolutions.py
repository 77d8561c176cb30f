"""Random convolutions: what a few hundred kernels that nobody trained tell about sequences, as columns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from gstar.inputs import Sequences

Array: TypeAlias = np.ndarray

LENGTHS: Final = (7, 9, 11)
GROUP: Final = 10
"""So many kernels share length, dilation and channels, and are one product of matrices."""
MAX_CHANNELS: Final = 16
"""A group looks at so many channels at most."""
CHUNK: Final = 2**22
"""At most so many numbers are unrolled at a time, or those of one row."""
MARGIN: Final = 1e-4
"""Where a signal stands still every answer is the same but for rounding: it is not above a threshold drawn from it."""

_SCALED: Final = 2**24
"""Means and deviations are those of rows with at most so many numbers, or of one row."""


@dataclass(frozen=True, eq=False)
class Kernels:
    """Is a group of k kernels.

    Args:
        weights: ``(k, L, c)`` float32, each of mean 0 along a channel.
        channels: ``(c,)`` which channels they look at.
        dilation: Steps from one weight to the next.
        biases: ``(k,)`` thresholds.
    """

    weights: Array
    channels: Array
    dilation: int
    biases: Array

    def answers(self, channels: Array) -> Array:
        """Returns ``(k, n, T)``, the kernels around every step; beyond the ends all is 0.

        Args:
            channels: ``(C, n, T)``.
        """
        k, length, n_channels = self.weights.shape
        reach = (length - 1) // 2 * self.dilation
        _, n, steps = channels.shape
        padded = np.pad(channels[self.channels], ((0, 0), (0, 0), (reach, reach)))
        unrolled = np.empty((length, n_channels, n, steps), channels.dtype)
        for j in range(length):
            unrolled[j] = padded[:, :, j * self.dilation : j * self.dilation + steps]
        return np.asarray((self.weights.reshape(k, -1) @ unrolled.reshape(-1, n * steps)).reshape(k, n, steps))

    def features(self, channels: Array, lengths: Array) -> Array:
        """Returns ``(n, 2 k)``: the share of steps with an answer above the threshold, and the largest answer."""
        answers = self.answers(channels)
        answers[:, np.arange(channels.shape[2]) >= lengths[:, None]] = -np.inf
        above = np.count_nonzero(answers > self.biases[:, None, None], axis=2) / lengths
        return np.concatenate([above, answers.max(axis=2)]).T.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Features:
    """Is from sequences to a matrix: channels of mean 0 and deviation 1, kernels on them, and plain summaries.

    Args:
        centre, scale: ``(D,)`` subtracted from the values, and multiplied with; 0 for a channel that stands still.
        change_scale: ``(D,)`` multiplied with the change from step to step; empty: kernels see values only.
        groups: The kernels.
    """

    centre: Array
    scale: Array
    change_scale: Array
    groups: tuple[Kernels, ...] = ()

    @staticmethod
    def fit(
        sequences: Sequences, n_kernels: int, differences: bool, rng: np.random.Generator, *, deadline: float | None
    ) -> Features:
        """Measures scales, and draws kernels, and thresholds among their answers; late, there are fewer kernels."""
        features = Features.without_kernels(sequences, differences, rng)
        groups: list[Kernels] = []
        for _ in range(-(-n_kernels // GROUP)):
            groups.append(features.draw(sequences, rng))
            if deadline is not None and time.monotonic() > deadline:
                break
        return replace(features, groups=tuple(groups))

    @staticmethod
    def without_kernels(sequences: Sequences, differences: bool, rng: np.random.Generator) -> Features:
        """Measures scales."""
        n_rows = max(1, _SCALED // sequences.n_features)
        part = sequences.take(np.sort(rng.permutation(len(sequences))[:n_rows]))
        inside = np.arange(part.steps.shape[1]) < part.lengths[:, None]
        centre, scale = measure(part.steps[inside])
        changes = np.diff(part.steps, axis=1)[inside[:, 1:]] if differences else part.steps[:0, 0]
        change_scale = measure(changes)[1] if differences else np.empty(0, np.float32)
        return Features(centre, scale, change_scale)

    def draw(self, sequences: Sequences, rng: np.random.Generator) -> Kernels:
        """Returns a new group of kernels; their thresholds are answers to some of these sequences."""
        length = int(rng.choice(LENGTHS))
        n_channels = len(self.scale) + len(self.change_scale)
        channels = np.sort(rng.permutation(n_channels)[:MAX_CHANNELS])
        octaves = np.log2(max(1.0, (sequences.steps.shape[1] - 1) / (length - 1)))
        dilation = int(2 ** rng.uniform(0, octaves))
        weights = rng.normal(size=(GROUP, length, len(channels)))
        weights -= weights.mean(axis=1, keepdims=True)
        sizes = 2 ** rng.uniform(0, np.log2(min(len(channels), length) + 1), GROUP)
        ranks = rng.random((GROUP, len(channels))).argsort(axis=1).argsort(axis=1)
        weights *= (ranks < sizes.astype(int)[:, None])[:, None]
        kernels = Kernels(weights.astype(np.float32), channels, dilation, np.zeros(GROUP, np.float32))
        rows = rng.integers(len(sequences), size=GROUP)
        places = (rng.random(GROUP) * sequences.lengths[rows]).astype(int)
        drawn = [kernels.answers(self.channels(sequences.take(rows[j : j + 1])))[j, 0, places[j]] for j in range(GROUP)]
        return replace(kernels, biases=np.array(drawn, np.float32) + np.float32(MARGIN))

    def channels(self, sequences: Sequences) -> Array:
        """Returns ``(D or 2 D, n, T)`` float32 values and changes, 0 where they are missing and after the end."""
        outside = np.arange(sequences.steps.shape[1]) >= sequences.lengths[:, None]
        found = [(sequences.steps - self.centre) * self.scale]
        if len(self.change_scale):
            found.append(np.diff(sequences.steps, axis=1, prepend=sequences.steps[:, :1]) * self.change_scale)
        channels = np.nan_to_num(np.concatenate(found, axis=2), posinf=0.0, neginf=0.0)
        channels[outside] = 0.0
        return np.ascontiguousarray(channels.transpose(2, 0, 1), np.float32)

    def transform(self, sequences: Sequences) -> Array:
        """Returns ``(N, F)`` float32."""
        parts = []
        n_rows = max(1, CHUNK // (sequences.steps.shape[1] * MAX_CHANNELS * max(LENGTHS)))
        for start in range(0, len(sequences), n_rows):
            rows = slice(start, start + n_rows)
            lengths = sequences.lengths[rows]
            chunk = Sequences(sequences.steps[rows, : lengths.max()], lengths)
            channels = self.channels(chunk)
            found = [group.features(channels, lengths) for group in self.groups]
            parts.append(np.concatenate([*found, self._summaries(chunk, channels)], axis=1))
        return np.concatenate([np.empty((0, self.n_columns), np.float32), *parts])

    @property
    def n_columns(self) -> int:
        """F."""
        return 2 * GROUP * len(self.groups) + 5 * len(self.scale) + 1

    def _summaries(self, sequences: Sequences, channels: Array) -> Array:
        """Returns ``(n, 5 D + 1)``: mean, deviation, least and largest value, share of gaps, and the log length."""
        values, lengths = channels[: len(self.scale)].astype(float), sequences.lengths[:, None]
        outside = np.arange(values.shape[2]) >= lengths
        mean = values.sum(axis=2).T / lengths
        deviation = np.sqrt(np.where(outside, 0.0, (values - mean.T[..., None]) ** 2).sum(axis=2).T / lengths)
        least, most = (end(np.where(outside, values[:, :, :1], values), axis=2).T for end in (np.min, np.max))
        gaps = np.where(outside[..., None], False, np.isnan(sequences.steps)).sum(axis=1) / lengths
        return np.concatenate([mean, deviation, least, most, gaps, np.log(lengths)], axis=1).astype(np.float32)

    def to_arrays(self) -> dict[str, Array]:
        """Returns all of it as arrays by name."""
        arrays = {"channel_centre": self.centre, "channel_scale": self.scale, "change_scale": self.change_scale}
        for i, group in enumerate(self.groups):
            arrays |= {f"weights{i}": group.weights, f"channels{i}": group.channels, f"biases{i}": group.biases}
        return arrays | {"dilations": np.array([group.dilation for group in self.groups])}

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array]) -> Features:
        """Builds what `to_arrays` returned as arrays.

        Raises:
            KeyError, ValueError: If something is missing, or of another shape.
        """
        groups = tuple(
            Kernels(arrays[f"weights{i}"], arrays[f"channels{i}"], int(dilation), arrays[f"biases{i}"])
            for i, dilation in enumerate(arrays["dilations"])
        )
        found = Features(arrays["channel_centre"], arrays["channel_scale"], arrays["change_scale"], groups)
        n_channels = len(found.scale) + len(found.change_scale)
        for group in groups:
            _check(group, n_channels)
        return found


def measure(values: Array) -> tuple[Array, Array]:
    """Returns the mean of each column and one over its deviation, as float32; gaps do not count."""
    present = ~np.isnan(values)
    n = np.maximum(present.sum(axis=0), 1)
    centre = np.where(present, values, 0.0).sum(axis=0, dtype=float) / n
    deviation = np.sqrt(np.where(present, (values - centre) ** 2, 0.0).sum(axis=0) / n)
    still = deviation <= 1e-6 * np.abs(centre) + 1e-12
    return centre.astype(np.float32), np.where(still, 0.0, 1 / np.where(still, 1.0, deviation)).astype(np.float32)


def _check(group: Kernels, n_channels: int) -> None:
    """Refuses kernels that look at channels that are not there, or would take any amount of memory."""
    shape = (GROUP, group.weights.shape[1], len(group.channels))
    if group.weights.shape != shape or group.biases.shape != (GROUP,) or shape[1] not in LENGTHS:
        raise ValueError("the shapes of kernels do not agree")
    if group.dilation < 1 or not np.all((group.channels >= 0) & (group.channels < n_channels)):
        raise ValueError("a kernel looks at what is not there")
