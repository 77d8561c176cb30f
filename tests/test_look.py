"""What images and sequences look like: alike if they are, finite whatever they are."""

from __future__ import annotations

import numpy as np
import pytest

from gstar.inputs import Images, Sequences, Table
from gstar.look import FAR, IMAGE_LOOK, SEQUENCE_LOOK, distance, look


def drawings(seed, n=60):
    """Bright strokes on black."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((n, 1, 16, 16), np.uint8)
    for image in pixels[:, 0]:
        row, column = rng.integers(3, 12, 2)
        image[row, 3:13] = 255
        image[3:13, column] = 255
    return pixels


def waves(seed, n=40, rough=0.0):
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 6, 50)[None, :, None]
    steps = np.sin(t + rng.normal(size=(n, 1, 1))) + rough * rng.normal(size=(n, 50, 1))
    return Sequences(steps.astype(np.float32), np.full(n, 50))


def test_the_same_kind_of_images_is_near_and_a_corrupted_one_is_not():
    here = look(Images(drawings(0)))
    noise = np.clip(drawings(1) + np.random.default_rng(2).normal(0, 60, (60, 1, 16, 16)), 0, 255).astype(np.uint8)
    same, noisy, inverted = (look(Images(x)) for x in (drawings(1), noise, 255 - drawings(1)))
    assert here.shape == (len(IMAGE_LOOK),)
    assert distance(here, here) == 0
    assert distance(here, same) < 0.1
    assert distance(here, noisy) > 5 * distance(here, same)
    assert distance(here, inverted) > 5 * distance(here, same)


def test_scale_of_the_pixels_is_no_matter():
    byte = drawings(0)
    assert distance(look(Images(byte)), look(Images((byte / 51).astype(np.float32)))) < 0.05


def test_rough_sequences_are_far_from_smooth_ones():
    here, same, rough = (look(s) for s in (waves(0), waves(1), waves(1, rough=1.0)))
    assert here.shape == (len(SEQUENCE_LOOK),)
    assert distance(here, same) < 0.3 < distance(here, rough)


@pytest.mark.parametrize(
    "inputs",
    [
        Images(np.zeros((1, 3, 1, 1), np.uint8)),
        Images(np.full((4, 1, 5, 5), np.nan, np.float32)),
        Images(np.full((4, 1, 2, 9), 1e30, np.float32)),
        Sequences(np.full((3, 1, 2), np.nan, np.float32), np.array([1, 1, 1])),
        Sequences(np.zeros((2, 7, 1), np.float32), np.array([7, 1])),
        Sequences(np.full((2, 7, 1), 1e30, np.float32), np.array([7, 1])),
    ],
)
def test_odd_rows_give_finite_numbers(inputs):
    assert np.isfinite(look(inputs)).all()


def test_tables_and_other_forms_are_far():
    table = look(Table.of(np.ones((3, 2))))
    assert distance(table, table) == FAR
    assert distance(look(waves(0)), look(Images(drawings(0)))) == FAR
