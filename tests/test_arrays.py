"""Which arrays are images and which are sequences, and what becomes of them."""

from __future__ import annotations

import numpy as np
import pytest

from gstar import arrays
from gstar.arrays import ArraySchema, as_images, as_sequences, check_form, check_room, guess_form, pad, read_arrays
from gstar.errors import DataError, UsageError
from gstar.inputs import Images, Sequences

BYTES = np.random.default_rng(0).integers(0, 256, (6, 9, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "dtype", "form"),
    [
        ((6, 28, 28), "uint8", "images"),
        ((6, 28, 28), "float32", "sequences"),
        ((6, 512, 4), "uint8", "sequences"),
        ((6, 5, 2), "float64", "sequences"),
        ((6, 3, 8, 8), "float64", "images"),
        ((6, 8), "uint8", "table"),
        ((6,), "uint8", "table"),
        ((6, 2, 2, 2, 2), "uint8", "table"),
    ],
)
def test_the_form_follows_from_shape_and_type(shape, dtype, form):
    assert guess_form(shape, np.dtype(dtype)) == form
    rows = read_arrays(np.ones(shape, dtype))
    assert (rows is None) == (form == "table")


def test_a_form_may_be_said():
    floats = np.ones((4, 6, 6))
    assert isinstance(read_arrays(floats).inputs, Sequences)
    assert read_arrays(floats, form="images").inputs.pixels.shape == (4, 1, 6, 6)
    assert read_arrays(np.ones((4, 6)), form="sequences").inputs.steps.shape == (4, 6, 1)
    assert read_arrays(np.ones((4, 6)), form="images") is None
    check_form("images")
    with pytest.raises(UsageError, match="Did you mean 'images'"):
        check_form("imags")


def test_channels_last_and_first_are_the_same_images():
    last, first = read_arrays(BYTES), read_arrays(np.moveaxis(BYTES, -1, 1))
    assert last.schema.channels_last
    assert not first.schema.channels_last
    np.testing.assert_array_equal(last.inputs.pixels, first.inputs.pixels)
    assert last.inputs.pixels.dtype == np.uint8


def test_new_images_come_as_those_at_fit():
    """A (3, 9, 3) image could be read both ways; the fit decides."""
    schema = read_arrays(BYTES).schema
    assert as_images(np.ones((2, 3, 9, 3), np.uint8), schema).inputs.pixels.shape == (2, 3, 3, 9)
    assert as_images(np.ones((2, 3, 9, 3), np.uint8)).inputs.pixels.shape == (2, 3, 9, 3)
    with pytest.raises(DataError, match=r"pixels of type uint8 as at fit, but X.dtype=dtype\('float64'\)"):
        as_images(BYTES / 255, schema)


def test_what_was_given_is_not_changed_nor_shared():
    floats = np.full((2, 3, 2), np.inf)
    inputs = read_arrays(floats).inputs
    assert np.isinf(floats).all()
    assert np.isnan(inputs.steps[:, 0]).all()
    pixels = read_arrays(BYTES).inputs.pixels
    assert not np.shares_memory(pixels, BYTES)


def test_missing_steps_at_the_end_are_padding():
    x = np.ones((3, 5, 2))
    x[0, 3:] = np.nan
    x[1, 4, 0] = x[1, 0] = np.nan
    x[2] = np.nan
    found = as_sequences(x)
    assert found.lengths.tolist() == [3, 5, 1]
    assert (found.steps[0, 3:] == 0).all()
    assert np.isnan(found.steps[1, 4, 0])
    assert np.isnan(found.steps[1, 0]).all()


def test_lengths_may_be_given():
    x = np.arange(1.0, 13).reshape(2, 6)
    found = as_sequences(x, np.array([6, 2]))
    assert found.steps[:, :, 0].tolist() == [[1, 2, 3, 4, 5, 6], [7, 8, 0, 0, 0, 0]]
    assert found.lengths.dtype == np.int64


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([0, 3], "lengths from 1 to 6, got 0 to 3"),
        ([2, 7], "lengths from 1 to 6, got 2 to 7"),
        ([1.5, 2.0], "one whole number as length per sequence, got float64"),
        ([1, 2, 3], r"got int64 \(3,\)"),
    ],
)
def test_lengths_that_do_not_fit(lengths, message):
    with pytest.raises(DataError, match=message):
        as_sequences(np.ones((2, 6)), np.array(lengths))


@pytest.mark.parametrize(
    ("read", "x", "message"),
    [
        (as_images, np.ones((2, 6)), r"Expected images as \(N, C, H, W\)"),
        (as_images, np.ones((2, 3, 0, 4)), "at least one value each"),
        (as_images, np.ones((2, 3, 0, 4), np.uint8), "at least one pixel each"),
        (as_images, np.full((2, 3, 4, 4), np.nan), r"have others \(first: 0\)"),
        (as_images, np.full((2, 3, 4, 4), "a"), "Expected numbers in images"),
        (as_sequences, np.ones((2, 3, 4, 4)), r"Expected sequences as \(N, T, D\)"),
        (as_sequences, np.full((2, 3), "a"), "Expected numbers in sequences"),
        (as_sequences, np.ones((2, 0, 3)), "at least one value each"),
    ],
)
def test_arrays_that_are_neither(read, x, message):
    with pytest.raises(DataError, match=message):
        read(x)


def test_ragged_lists():
    blocks = [np.full((n, 2), n) for n in (3, 1, 2)]
    for given in (blocks, tuple(blocks), np.array([*blocks, None], object)[:-1]):
        found = read_arrays(given).inputs
        assert found.lengths.tolist() == [3, 1, 2]
        assert found.steps[:, :, 0].tolist() == [[3, 3, 3], [1, 0, 0], [2, 2, 0]]
    assert read_arrays([np.ones(3), np.ones(2)]).inputs.steps.shape == (2, 3, 1)
    assert read_arrays([np.ones(3), np.ones(3)]) is None  # rows of a table
    assert read_arrays([np.ones(3), np.ones(3)], form="sequences").inputs.steps.shape == (2, 3, 1)
    assert read_arrays([[1, 2], [3]]) is None


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([np.ones((3, 2)), np.ones((3, 1))], "got 1 to 2 values and 3 to 3 steps"),
        ([np.ones((3, 2)), np.ones((0, 2))], "0 to 3 steps"),
        ([np.ones((3, 2)), np.full((1, 2), "a")], "Expected numbers in sequences, got <U1"),
    ],
)
def test_ragged_lists_that_are_no_sequences(blocks, message):
    with pytest.raises(DataError, match=message):
        read_arrays(blocks)


def test_padding_that_does_not_fit_into_memory_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(arrays, "MAX_BYTES", 1000)
    check_room((1, 250), "these")
    with pytest.raises(DataError, match="padded to the longest, which has 99 steps take 1,188 bytes"):
        pad(np.ones((101, 1)), np.array([1, 1, 99]))


def test_a_schema_comes_back():
    for schema in (ArraySchema(), ArraySchema("x", "uint8", True), ArraySchema("", "", False, "id", "t", ("a", "b"))):
        assert ArraySchema.from_json(schema.to_json()) == schema
    assert ArraySchema().to_json() == {}
    with pytest.raises(ValueError, match="make no sense"):
        ArraySchema.from_json({"dtype": "object"})
    with pytest.raises(TypeError, match="colour"):
        ArraySchema.from_json({"colour": "x"})


def test_images_of_numbers_are_kept_as_they_are():
    images = read_arrays(np.full((2, 1, 3, 3), -2.5)).inputs
    assert isinstance(images, Images)
    assert images.pixels.dtype == np.float32
    assert (images.pixels == -2.5).all()
