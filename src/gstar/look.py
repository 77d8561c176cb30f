"""What images and sequences look like, as a few numbers: how far apart two domains are.

Meta-features say how large a task is and how its classes are spread; of images and sequences they say
little more. These numbers tell a drawing from a photo and a clean image from a noisy one. They are means over
rows, never a row.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np

from gstar.inputs import Images, Inputs, Sequences

Array: TypeAlias = np.ndarray

MAX_ROWS: Final = 256
"""So many rows are looked at, evenly spread."""
FAR: Final = 10.0
"""The distance of what cannot be compared."""

IMAGE_LOOK: Final = (
    "is_colour",
    "log_side",
    "mean",
    "deviation",
    "deviation_of_mean_image",
    "share_dark",
    "share_bright",
    "border",
    "slope",
    "grain",
    "colourfulness",
)
SEQUENCE_LOOK: Final = (
    "log_channels",
    "log_length",
    "share_missing",
    "share_zero",
    "deviation_within",
    "slope",
    "grain",
    "memory",
)
SCALES: Final = {"log_side": 2.0, "log_length": 2.0, "share_dark": 2.0, "share_bright": 2.0}
"""By how much to divide what would count too much; all others are of order 1 as they are."""


def look(inputs: Inputs) -> Array:
    """Returns the numbers of `IMAGE_LOOK` or `SEQUENCE_LOOK`, all finite; of a table none.

    Example:
        >>> noise = np.random.default_rng(0).random((9, 1, 8, 8)).astype(np.float32)
        >>> dict(zip(IMAGE_LOOK, (10 * look(Images(noise))).astype(int).tolist()))["border"]
        0
    """
    if isinstance(inputs, Images):
        named = zip(IMAGE_LOOK, _look_of_images(inputs), strict=True)
    elif isinstance(inputs, Sequences):
        named = zip(SEQUENCE_LOOK, _look_of_sequences(inputs), strict=True)
    else:
        return np.empty(0)
    scaled = np.array([value / SCALES.get(name, 1.0) for name, value in named], float)
    return np.asarray(np.clip(np.nan_to_num(scaled, nan=0.0), -3.0, 3.0))


def distance(a: Array, b: Array) -> float:
    """Returns how far apart two domains look: 0 for the same, about 1 for a drawing and a photo."""
    if a.shape != b.shape or not len(a):
        return FAR
    return float(np.sqrt(np.sum((a - b) ** 2)))


def _some(n: int) -> slice:
    return slice(None, None, max(1, -(-n // MAX_ROWS)))


def _look_of_images(images: Images) -> list[float]:
    pixels = np.asarray(images.pixels[_some(len(images))])
    is_byte = pixels.dtype == np.uint8
    pixels = np.nan_to_num(pixels.astype(float))
    low, high = (0.0, 255.0) if is_byte else np.percentile(pixels, [1, 99])
    pixels = np.clip((pixels - low) / max(high - low, 1e-12), 0, 1)
    grey = pixels.mean(axis=1)
    deviation = float(grey.std()) + 1e-6
    edge = np.ones(grey.shape[1:], bool)
    edge[2:-2, 2:-2] = False
    mean = float(grey.mean())
    return [
        float(pixels.shape[1] > 1),
        float(np.log10(min(grey.shape[1:]))),
        mean,
        deviation,
        float(grey.mean(axis=0).std()) / deviation,
        float((grey < 0.1).mean()),
        float((grey > 0.9).mean()),
        float(grey[:, edge].mean()) - mean,
        _roughness(grey, 2) / deviation,
        _roughness(np.diff(grey, axis=2), 2) / deviation,
        float(pixels.std(axis=1).mean()) / deviation,
    ]


def _look_of_sequences(sequences: Sequences) -> list[float]:
    some = _some(len(sequences))
    steps, lengths = np.asarray(sequences.steps[some], float), np.asarray(sequences.lengths[some])
    inside = np.arange(steps.shape[1]) < lengths[:, None]
    missing = np.isnan(steps) & inside[..., None]
    x = np.nan_to_num(steps)
    x = x / (np.abs(x[inside]).max() + 1e-12)
    deviation = x[inside].std(axis=0) + 1e-6
    x = np.where(inside[..., None], (x - x[inside].mean(axis=0)) / deviation, 0.0)
    lag = max(1, x.shape[1] // 8)
    return [
        float(np.log10(x.shape[2])),
        float(np.log10(max(1.0, lengths.mean()))),
        float(missing.sum() / max(1, inside.sum() * x.shape[2])),
        float((steps[inside] == 0).mean()),
        float(np.mean([row[:n].std() for row, n in zip(x, lengths, strict=True)])),
        _roughness(x, 1),
        _roughness(np.diff(x, axis=1), 1),
        float(np.mean(x[:, lag:] * x[:, :-lag])) if x.shape[1] > lag else 0.0,
    ]


def _roughness(x: Array, axis: int) -> float:
    """Returns the mean size of a step along an axis; 0 if there is none."""
    return float(np.abs(np.diff(x, axis=axis)).mean()) if x.shape[axis] > 1 else 0.0
