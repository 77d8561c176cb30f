"""What a person has that is no table, at fit and again for new rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gstar.errors import DataError, UsageError
from gstar.reading import make_inputs, make_task
from gstar.sources import fit_rows, new_rows, target_of_table

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 6, 6), dtype=np.uint8)
Y = np.arange(8) % 2
LONG = pd.DataFrame({"id": np.repeat(np.arange(8), 3), "t": [0, 1, 2] * 8, "v": np.arange(24.0), "y": np.repeat(Y, 3)})


@pytest.fixture
def place(tmp_path):
    """A folder of classes, an .npz with images, one with a table, and a long table."""
    for i, pixels in enumerate(PIXELS):
        path = tmp_path / "pics" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    np.savez(tmp_path / "images.npz", x=PIXELS, y=Y)
    np.savez(tmp_path / "table.npz", x=np.random.default_rng(0).normal(size=(8, 3)), y=Y)
    np.savez(tmp_path / "series.npz", x=np.ones((8, 5, 2)), y=Y)
    LONG.to_csv(tmp_path / "long.csv", index=False)
    return tmp_path


def same(task, **given):
    """Whether new rows become what they were at fit."""
    again = new_rows(form=task.form, schema=task.schema, shape=task.inputs.pixels.shape[1:], **given)
    return np.array_equal(again.inputs.pixels, task.inputs.pixels)


def test_a_folder_a_file_and_an_array_give_the_same_images(place):
    folder = make_task(place / "pics")
    assert folder.classes == ("a", "b")
    assert folder.name == "pics"
    assert same(folder, X=place / "pics")
    bundle = make_task(place / "images.npz")
    array = make_task(PIXELS, Y)
    assert bundle.fingerprint == array.fingerprint
    assert sorted(map(bytes, folder.inputs.pixels)) == sorted(map(bytes, array.inputs.pixels))
    assert same(bundle, X=str(place / "images.npz"))
    assert same(bundle, X=PIXELS)


def test_tables_are_left_to_others(place):
    assert fit_rows(place / "long.csv") is None
    assert fit_rows(place / "table.npz") is None
    assert fit_rows(LONG) is None
    assert target_of_table(place / "table.npz") == "y"
    assert target_of_table(place / "long.csv") is None


def test_a_table_in_an_npz(place):
    task = make_task(place / "table.npz")
    assert (task.form, task.inputs.n_features, task.classes) == ("table", 3, (0, 1))
    again = make_inputs(place / "table.npz", schema=task.schema)
    np.testing.assert_array_equal(again.numbers, task.inputs.numbers)


def test_a_long_table(place):
    task = make_task(place / "long.csv", target="y", sequence_id="id", time="t")
    frame = make_task(LONG, target="y", sequence_id="id", time="t")
    assert task.fingerprint == frame.fingerprint
    assert task.inputs.steps.shape == (8, 3, 1)
    for new in (LONG, place / "long.csv"):
        rows = new_rows(new, form="sequences", schema=task.schema, shape=(1,), target="y", labelled=True)
        np.testing.assert_array_equal(rows.inputs.steps, task.inputs.steps)
        assert rows.names == tuple("01234567")
        assert list(rows.target) == Y.tolist()
    with pytest.raises(DataError, match=r"No column 'idd' .* Did you mean 'id'\?"):
        new_rows(LONG, form="sequences", schema=task.schema, target="idd", labelled=True)


def test_columns_of_a_long_table_play_their_part():
    frame = LONG.assign(day=LONG["id"][::-1].to_numpy(), shop=LONG["id"] // 2, w=LONG["id"] + 1.0)
    frame.loc[frame["id"] == 3, "y"] = np.nan
    task = make_task(frame, target="y", sequence_id="id", time="t", ordered_by="day", group_by="shop", weights="w")
    assert task.schema["channels"] == ["v"]
    assert len(task) == 7
    assert task.order.tolist() == [7, 6, 5, 3, 2, 1, 0]
    assert task.groups.tolist() == [0, 0, 1, 2, 2, 3, 3]
    assert task.weights.tolist() == [1, 2, 3, 5, 6, 7, 8]


def test_the_size_of_images_may_be_said(place):
    for given in ({"X": place / "pics"}, {"X": place / "images.npz"}, {"X": PIXELS, "y": Y}):
        task = make_task(**given, image_size=3)
        assert task.inputs.pixels.shape == (8, 1, 3, 3)


def test_new_images_get_the_size_of_the_fit(place):
    task = make_task(place / "images.npz")
    large = np.repeat(np.repeat(PIXELS, 4, axis=1), 4, axis=2)
    rows = new_rows(large, form="images", schema=task.schema, shape=(1, 6, 6))
    assert rows.inputs.pixels.shape == (8, 1, 6, 6)
    assert np.abs(rows.inputs.pixels[:, 0].astype(int) - PIXELS).max() < 90
    one = new_rows(place / "pics" / "a" / "0.png", form="images", schema=task.schema, shape=(1, 6, 6))
    np.testing.assert_array_equal(one.inputs.pixels[0, 0], PIXELS[0])


def test_sequences_may_be_longer_than_at_fit():
    rows = new_rows(np.ones((2, 99, 3)), form="sequences", schema={}, shape=(3,))
    assert rows.inputs.steps.shape == (2, 99, 3)


@pytest.mark.parametrize(
    ("x", "form", "shape", "message"),
    [
        (np.zeros((2, 3, 6, 6), np.uint8), "images", (1, 6, 6), "images with 1 channels as at fit, got 3"),
        (np.zeros((2, 5, 2)), "sequences", (3,), "sequences with 3 values per step as at fit, got 2"),
        (np.zeros((2, 5)), "images", (1, 6, 6), r"images as an array \(N, C, H, W\), got ndarray of shape \(2, 5\)"),
        ([[1, 2], [3]], "sequences", (1,), "Expected sequences as an array"),
        (LONG, "images", (1, 6, 6), "Expected images as an array"),
        (LONG, "sequences", (1,), "as arrays or in an .npz file, as at fit, got a table"),
        ("none.png", "images", (1, 6, 6), "No file 'none.png'"),
        ("none.npz", "sequences", (1,), "No file 'none.npz'"),
        (__file__, "images", (1, 6, 6), "a folder of images or a file that ends in one of .png"),
    ],
)
def test_new_rows_of_another_shape(x, form, shape, message):
    with pytest.raises(DataError, match=message):
        new_rows(x, form=form, schema={}, shape=shape)


@pytest.mark.parametrize(
    ("source", "given", "error", "message"),
    [
        ("pics", {"target": "y"}, UsageError, "The class of an image is its folder .* leave out the target 'y'"),
        ("pics", {"group_by": "shop"}, UsageError, "Images have no columns, so 'shop' cannot be one"),
        ("pics", {"form": "sequences"}, DataError, "is a directory; name one file in it"),
        ("pics", {"form": "pictures"}, UsageError, "Expected a form among"),
        ("images.npz", {"target": "z"}, DataError, "No array 'z'"),
        ("images.npz", {"sequence_id": "id"}, UsageError, "have no columns, so 'id' cannot be one"),
        ("series.npz", {"image_size": 8}, UsageError, "an image size of 8 is asked for, got sequences"),
        ("none.npz", {}, DataError, "Near it: '.*.npz'"),
        ("long.csv", {"target": "y", "form": "sequences"}, UsageError, "names the sequence of each row"),
        ("long.csv", {"target": "y", "form": "images"}, UsageError, "Expected images: a folder .* got a table"),
        ("long.csv", {"target": "y", "image_size": 8}, UsageError, "Expected images: a folder"),
        ("long.csv", {"target": "y", "time": "t"}, UsageError, "beside that of time, 't'"),
        ("long.csv", {"target": "y", "sequence_id": "id", "form": "table"}, UsageError, "got form table"),
        ("long.csv", {"target": "y", "sequence_id": "ids"}, DataError, "'ids' for the sequence; .* mean 'id'"),
        ("long.csv", {"target": "y", "sequence_id": "id", "time": "tt"}, DataError, "No column 'tt' for the time"),
        ("long.csv", {"y": Y, "sequence_id": "id"}, UsageError, "name of the target's column, as steps make sequences"),
        ("long.csv", {"target": "v", "sequence_id": "id"}, DataError, "one value of 'v' per sequence"),
    ],
)
def test_what_does_not_fit_together(place, source, given, error, message):
    with pytest.raises(error, match=message) as caught:
        make_task(place / source, **given)
    assert "\n" not in str(caught.value)
