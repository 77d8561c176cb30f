"""Folders of images to arrays: which files, in what order, in what size and colour."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from PIL import Image

from gstar import images
from gstar.errors import DataError, MissingExtraError, UsageError
from gstar.images import check_size, read_classes, read_images, resize, scale


def paint(path, value, *, size=(8, 6), mode="RGB", **options):
    """Writes an image of one colour, as wide and high as `size` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **options)
    return path


@pytest.fixture
def pets(tmp_path):
    for name in ("b", "a"):
        paint(tmp_path / "cats" / f"{name}.png", (10, 20, 30))
        paint(tmp_path / "dogs" / f"{name}.bmp", (200, 0, 0))
    return tmp_path


def test_a_folder_per_class(pets):
    rows = read_classes(pets)
    assert rows.names == ("cats/a.png", "cats/b.png", "dogs/a.bmp", "dogs/b.bmp")
    assert rows.target == ["cats", "cats", "dogs", "dogs"]
    assert rows.title == "file"
    assert rows.notes == ()
    assert rows.inputs.pixels.shape == (4, 3, 6, 8)
    assert rows.inputs.pixels.dtype == np.uint8
    assert rows.inputs.pixels[[0, 2], :, 3, 3].tolist() == [[10, 20, 30], [200, 0, 0]]


def test_what_is_hidden_or_deeper_or_something_else(pets):
    paint(pets / ".trash" / "a.png", 0)
    paint(pets / "__MACOSX" / "a.png", 0)
    paint(pets / "cats" / ".a.png", 0)
    paint(pets / "cats" / "old" / "z.png", 0)
    (pets / "cats" / "notes.txt").write_text("no image")
    (pets / "readme.md").write_text("no image")
    assert read_classes(pets).names == ("cats/a.png", "cats/b.png", "cats/old/z.png", "dogs/a.bmp", "dogs/b.bmp")


def test_what_is_left_out_is_told(pets):
    (pets / "cats" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (pets / "birds").mkdir()
    (pets / "fish").mkdir()
    (pets / "fish" / "x.jpg").write_bytes(b"")
    paint(pets / "loose.png", 0)
    rows = read_classes(pets)
    assert rows.target == ["cats", "dogs", "dogs"]
    assert rows.notes == (
        "Left out 2 files that cannot be read as images: 'cats/a.png', 'fish/x.jpg'.",
        "Left out 2 of 4 folders, without a readable image: 'birds', 'fish'.",
        "Left out 1 images that lie in no folder of a class.",
    )


def test_nothing_to_read(tmp_path):
    with pytest.raises(DataError, match=r"a sub-folder of images per class, .* \(it has 0 folders and 0 images"):
        read_classes(tmp_path)
    paint(tmp_path / "loose.png", 0)
    with pytest.raises(DataError, match="0 folders and 1 images"):
        read_classes(tmp_path)
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "a.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"none of 1 files can be read as one: 'cats/a.png'"):
        read_classes(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"found no file that ends in one of \.png"):
        read_images(tmp_path / "empty", (3, 8, 8))
    with pytest.raises(DataError, match=r"Folder '.*' cannot be read"):
        read_classes(tmp_path / "none")


def test_grey_if_all_are(tmp_path):
    paint(tmp_path / "a" / "1.png", 7, mode="L")
    paint(tmp_path / "b" / "2.png", 1, mode="1")
    Image.fromarray(np.full((6, 8), 40_000, np.uint16)).save(tmp_path / "b" / "3.png")
    rows = read_classes(tmp_path)
    assert rows.inputs.pixels.shape == (3, 1, 6, 8)
    assert rows.inputs.pixels[:, 0, 0, 0].tolist() == [7, 255, 40_000 // 256]
    paint(tmp_path / "b" / "4.png", (0, 9, 0))
    assert read_classes(tmp_path).inputs.pixels[0, :, 0, 0].tolist() == [7, 7, 7]


def test_transparent_is_white_and_photos_stand_upright(tmp_path):
    paint(tmp_path / "a" / "1.png", (0, 0, 0, 0), mode="RGBA", size=(4, 4))
    upright = np.zeros((4, 4, 3), np.uint8)
    upright[0] = 200
    exif = Image.Exif()
    exif[0x0112] = 3  # turned upside down
    Image.fromarray(upright[::-1]).save(tmp_path / "a" / "2.png", exif=exif)
    pixels = read_classes(tmp_path).inputs.pixels
    assert (pixels[0] == 255).all()
    assert pixels[1, 0, :, 0].tolist() == [200, 0, 0, 0]


def test_one_size_for_all(tmp_path):
    for i, size in enumerate([(400, 200), (100, 50), (300, 150)]):
        paint(tmp_path / "a" / f"{i}.png", (1, 2, 3), size=size)
    assert read_classes(tmp_path).inputs.pixels.shape == (3, 3, 32, 64)
    assert read_classes(tmp_path, size=10).inputs.pixels.shape == (3, 3, 5, 10)
    assert read_classes(tmp_path, size=100).inputs.pixels.shape == (3, 3, 50, 100)
    assert read_classes(tmp_path, shape=(1, 7, 7)).inputs.pixels.shape == (3, 1, 7, 7)


def test_new_images_are_a_file_or_any_folder(pets):
    rows = read_images(pets, (3, 6, 8))
    assert rows.target is None
    np.testing.assert_array_equal(rows.inputs.pixels, read_classes(pets).inputs.pixels)
    one = read_images(pets / "dogs" / "a.bmp", (3, 6, 8))
    assert one.names == ("a.bmp",)
    np.testing.assert_array_equal(one.inputs.pixels[0], rows.inputs.pixels[2])
    with pytest.raises(DataError, match="Expected arrays with 5 channels as at fit, got files"):
        read_images(pets, (5, 6, 8))


def test_a_bomb_is_not_decoded(pets, monkeypatch):
    paint(pets / "cats" / "bomb.png", 0, size=(300, 300), mode="L")
    monkeypatch.setattr(images, "MAX_PIXELS", 80_000)
    rows = read_classes(pets)
    assert len(rows.names) == 4
    assert "'cats/bomb.png'" in rows.notes[0]


def test_a_pipe_and_a_format_that_could_run_something(pets):
    os.mkfifo(pets / "cats" / "pipe.png")
    (pets / "dogs" / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    assert "'cats/pipe.png', 'dogs/script.png'" in read_classes(pets).notes[0]


def test_links_to_folders_are_not_followed_below_a_class(pets):
    (pets / "cats" / "loop").symlink_to(pets)
    assert len(read_classes(pets).names) == 4


def test_more_images_than_memory(pets, monkeypatch):
    monkeypatch.setattr("gstar.arrays.MAX_BYTES", 1000)
    with pytest.raises(DataError, match=r"4 images of shape \(3, 6, 8\) take 2,304 bytes"):
        read_classes(pets)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays_are_resized_too(dtype):
    pixels = np.zeros((2, 5, 4, 8), dtype)
    pixels[:, :, :, 4:] = 100
    assert resize(pixels, 4, 8) is pixels
    half = resize(pixels, 2, 4)
    assert half.dtype == dtype
    assert half.shape == (2, 5, 2, 4)
    assert half[1, 4, 1, 0] < 20 < 80 < half[1, 4, 1, 3]
    assert scale(pixels, 4).shape == (2, 5, 2, 4)


def test_sizes_that_make_no_sense():
    for size in (0, 5000):
        with pytest.raises(UsageError, match="image size from 1 to 1024 pixels"):
            check_size(size)


def test_pillow_is_named_if_it_is_missing(pets, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gstar\[images\]'"):
        read_classes(pets)
