"""Files of images to arrays: a folder per class, or a folder or a file of new ones.

All images are brought to one size, and to grey if all are grey. Only common formats are
opened, none of which can run anything, and none that would decode to too many pixels.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import numpy as np

from gstar.arrays import ArraySchema, Rows, check_room
from gstar.columns import shorten
from gstar.errors import DataError, MissingExtraError, UsageError
from gstar.inputs import Images
from gstar.machine import cores

if TYPE_CHECKING:
    from PIL import Image

Array: TypeAlias = np.ndarray
T = TypeVar("T")

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
MAX_SIDE: Final = 64
"""The longer side of the images that are learned from, in pixels, if nobody says another."""
MAX_PIXELS: Final = 64_000_000
"""A larger image is taken for a bomb."""

_FORMATS: Final = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_GREY_MODES: Final = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L")


def is_image_file(path: Path) -> bool:
    """Tells by its name whether a file holds an image."""
    return path.suffix.lower() in SUFFIXES


def read_classes(folder: Path, *, size: int | None = None, shape: tuple[int, ...] | None = None) -> Rows:
    """Returns the images of a folder with one sub-folder per class, sorted by class and name.

    Args:
        folder: Its sub-folders name the classes; images may lie deeper in them. What begins with a
            dot is left alone.
        size: The longer side of the images in pixels, the shape being that of the median image;
            None: as the median image has it, at most `MAX_SIDE`.
        shape: ``(C, H, W)`` as at fit, instead.

    Raises:
        DataError: If there is no such sub-folder, or no readable image.
        MissingExtraError: If Pillow is not installed.
    """
    classes = [entry for entry in _entries(folder) if entry.is_dir()]
    found = [(path, entry.name) for entry in classes for path in _images_in(entry)]
    if not found:
        loose = sum(is_image_file(entry) for entry in _entries(folder))
        raise DataError(
            f"Expected a file, or a folder with a sub-folder of images per class, but '{folder}' is a directory; name "
            f"one file in it, or sort images into folders (it has {len(classes)} folders and {loose} images beside "
            "them)."
        )
    label_of = dict(found)
    rows = _read(folder, [path for path, _ in found], size=size, shape=shape)
    target = [label_of[folder / name] for name in rows.names]
    notes = [*rows.notes]
    if empty := sorted({entry.name for entry in classes} - set(target)):
        notes.append(f"Left out {len(empty)} of {len(classes)} folders, without a readable image: {shorten(empty)}.")
    if loose := sum(is_image_file(entry) for entry in _entries(folder)):
        notes.append(f"Left out {loose} images that lie in no folder of a class.")
    return Rows(rows.inputs, rows.schema, target, rows.names, rows.title, notes=tuple(notes))


def read_images(path: Path, shape: tuple[int, ...]) -> Rows:
    """Returns new images: one file, or all in a folder and below, sorted by name.

    Args:
        path: The file or folder.
        shape: ``(C, H, W)`` as at fit.

    Raises:
        DataError: If there is no readable image, or images at fit had other than 1 or 3 channels.
        MissingExtraError: If Pillow is not installed.
    """
    if not path.is_dir():
        return _read(path.parent, [path], shape=shape)
    if not (found := _images_in(path)):
        raise DataError(f"Expected images in '{path}', found no file that ends in one of {' '.join(SUFFIXES)}.")
    return _read(path, found, shape=shape)


def resize(pixels: Array, height: int, width: int) -> Array:
    """Returns ``(N, C, H, W)`` pixels in another size, of the same type.

    Raises:
        MissingExtraError: If the size differs and Pillow is not installed.
    """
    if pixels.shape[2:] == (height, width):
        return pixels
    pillow = _pillow()
    resized = np.empty((*pixels.shape[:2], height, width), pixels.dtype)
    for i, j in np.ndindex(pixels.shape[:2]):
        plane = pillow.fromarray(pixels[i, j])
        resized[i, j] = np.asarray(plane.resize((width, height), pillow.Resampling.BILINEAR))
    return resized


def scale(pixels: Array, size: int) -> Array:
    """Returns ``(N, C, H, W)`` pixels with this longer side, as high for their width as they were."""
    height, width = pixels.shape[2:]
    return resize(pixels, *_sides(height, width, size))


def _sides(height: float, width: float, longer: float) -> tuple[int, int]:
    factor = longer / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("Reading images needs Pillow; install it with: pip install 'gstar[images]'.") from None
    return Image


def _entries(folder: Path) -> list[Path]:
    """Returns what lies in a folder, sorted by name, without what is hidden or other programs' litter."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise DataError(f"Folder '{folder}' cannot be read: {error.strerror or error}.") from None
    return [folder / name for name in names]


def _images_in(folder: Path) -> list[Path]:
    """Returns the images in a folder and below; links to folders are not followed."""
    found = []
    for entry in _entries(folder):
        if entry.is_dir() and not entry.is_symlink():
            found += _images_in(entry)
        elif is_image_file(entry):
            found.append(entry)
    return found


def _read(
    folder: Path, paths: Sequence[Path], *, size: int | None = None, shape: tuple[int, ...] | None = None
) -> Rows:
    """Returns the images that can be read, named by their place in the folder."""
    if shape is not None and (len(shape) != 3 or shape[0] not in (1, 3)):
        raise DataError(f"Expected arrays with {shape[0]} channels as at fit, got files, which have 1 or 3.")
    _pillow()
    with warnings.catch_warnings(), ThreadPoolExecutor(cores()) as pool:
        warnings.simplefilter("ignore")  # of Pillow about odd metadata
        if shape is None:
            looks = [look for look in pool.map(_tried(_look), paths) if look is not None]
            shape = _common_shape(looks, size) if looks else (1, 1, 1)
            check_room((len(paths), *shape), f"{len(paths)} images of shape {shape}")
        decoded = list(pool.map(_tried(lambda path: _decode(path, shape)), paths))
    bad = [_name(folder, path) for path, pixels in zip(paths, decoded, strict=True) if pixels is None]
    kept = [pixels for pixels in decoded if pixels is not None]
    if not kept:
        raise DataError(f"Expected images, but none of {len(bad)} files can be read as one: {shorten(bad)}.")
    names = tuple(_name(folder, path) for path, pixels in zip(paths, decoded, strict=True) if pixels is not None)
    notes = (f"Left out {len(bad)} files that cannot be read as images: {shorten(bad)}.",) if bad else ()
    return Rows(Images(np.stack(kept)), ArraySchema(dtype="uint8"), names=names, title="file", notes=notes)


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _tried(read: Callable[[Path], T]) -> Callable[[Path], T | None]:
    """Returns a function that returns None for a file that is no readable image."""

    def attempt(path: Path) -> T | None:
        try:
            return read(path)
        except MemoryError:
            raise
        except Exception:  # Pillow raises nearly anything over bytes that make no sense
            return None

    return attempt


def _opened(path: Path) -> Image.Image:
    if not path.is_file():
        raise ValueError(f"{path} is a device or a pipe")
    image: Image.Image = _pillow().open(path, formats=_FORMATS)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ValueError(f"{path} has {image.width} x {image.height} pixels")
    return image


def _look(path: Path) -> tuple[bool, int, int]:
    """Returns whether an image is grey, its height and its width, from its first bytes."""
    with _opened(path) as image:
        return image.mode in _GREY_MODES, image.height, image.width


def _common_shape(looks: Sequence[tuple[bool, int, int]], size: int | None) -> tuple[int, int, int]:
    """Returns the ``(C, H, W)`` that all images get."""
    grey, heights, widths = zip(*looks, strict=True)
    height, width = float(np.median(heights)), float(np.median(widths))
    return 1 if all(grey) else 3, *_sides(height, width, size or min(MAX_SIDE, max(height, width)))


def _decode(path: Path, shape: tuple[int, ...]) -> Array:
    """Returns an image as ``(C, H, W)`` uint8: upright, what is transparent on white."""
    from PIL import ImageOps

    mode, size = "L" if shape[0] == 1 else "RGB", (shape[2], shape[1])
    pillow = _pillow()
    with _opened(path) as opened:
        opened.draft(mode, (2 * size[0], 2 * size[1]))
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):  # 16 bits
            image = pillow.fromarray((np.clip(np.asarray(image), 0, 2**16 - 1) // 256).astype(np.uint8))
        elif image.mode == "F":
            raise ValueError(f"{path} has pixels of no known scale")
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            image = pillow.alpha_composite(pillow.new("RGBA", image.size, "white"), image)
        image = image.convert(mode)
        if image.size != size:
            image = image.resize(size, pillow.Resampling.BILINEAR)
        pixels = np.asarray(image)
    return pixels[None] if shape[0] == 1 else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def check_size(size: int | None) -> None:
    """Raises `UsageError` unless it is None or a number of pixels that makes sense."""
    if size is not None and not 1 <= size <= 1024:
        raise UsageError(f"Expected an image size from 1 to 1024 pixels, got {size}.")
