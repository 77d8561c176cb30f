"""What a person has that is no table, to images and sequences: at fit, and again for new rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gstar.arrays import ArraySchema, Rows, read_arrays
from gstar.bundle import Bundle
from gstar.columns import raw_columns
from gstar.errors import DataError, UsageError, did_you_mean
from gstar.files import check_exists, read_frame
from gstar.images import SUFFIXES, is_image_file, read_classes, read_images, resize, scale
from gstar.inputs import Images
from gstar.roles import column_of
from gstar.series import apply_series


def fit_rows(
    X: Any, *, target: str | None = None, form: str | None = None, image_size: int | None = None, labelled: bool = True
) -> Rows | None:
    """Returns images or sequences to learn from; None if X is a table, also one in a file.

    Args:
        X: A folder with a sub-folder of images per class, an ``.npz`` file, or as for `read_arrays`.
        target: Name of the target's array; None: one of the usual names.
        form: What it is, where there is a doubt.
        image_size: The longer side of images in pixels; None: as they are, files at most `images.MAX_SIDE`.
        labelled: Whether the target is wanted.

    Raises:
        DataError, UntrustedFileError: If it cannot be read.
        UsageError: If there is no target, or another one than its folder for an image.
    """
    path = _path(X)
    if path is None:
        rows = read_arrays(X, form=form)
    elif path.is_dir():
        if form not in (None, "images"):
            raise DataError(f"Expected a file with {form}, but '{path}' is a directory; name one file in it.")
        rows = read_classes(path, size=image_size)
        if target is not None:
            raise UsageError(f"The class of an image is its folder in '{path}'; leave out the target {target!r}.")
        return rows
    elif _is_bundle(path):
        check_exists(path)
        bundle = Bundle.open(path, target=target, form=form)
        rows = None if bundle.form == "table" else bundle.rows(labelled=labelled)
    else:
        return None
    if rows is None or image_size is None:
        return rows
    if not isinstance(rows.inputs, Images):
        raise UsageError(f"Expected images, as an image size of {image_size} is asked for, got sequences.")
    return replace(rows, inputs=Images(scale(rows.inputs.pixels, image_size)))


def new_rows(
    X: Any,
    *,
    form: str,
    schema: Mapping[str, Any],
    shape: tuple[int, ...] = (),
    target: str | None = None,
    labelled: bool = False,
) -> Rows:
    """Returns new images or sequences with their names, and their target if it is wanted.

    Args:
        X: As at fit; new images may also be one file, or lie in a folder as they like.
        form: ``"images"`` or ``"sequences"``.
        schema: `Task.schema`.
        shape: ``(C, H, W)`` or ``(D,)`` at fit; images are brought to that size. Empty: any.
        target: Name of the target's array or column; None: as for `fit_rows`.
        labelled: Whether the target is wanted.

    Raises:
        DataError: If they do not have that form, or lack what they had at fit.
    """
    how, path = ArraySchema.from_json(schema), _path(X)
    if path is not None and _is_bundle(path):
        check_exists(path)
        rows = Bundle.open(path, target=target, form=form, key=how.key).rows(how, labelled=labelled)
    elif path is None and isinstance(X, np.ndarray | list | tuple):
        rows = _from_arrays(X, form, how)
    elif form == "images":
        rows = _from_image_files(path, shape, labelled=labelled)
    else:
        rows = _from_long_table(X, how, target, labelled=labelled)
    return _of_shape(rows, shape)


def target_of_table(path: Path) -> str | None:
    """Returns the name of the target where a file says it itself: a table in an ``.npz`` file."""
    return (Bundle.open(path, form="table").target or None) if _is_bundle(path) and path.is_file() else None


def _path(X: Any) -> Path | None:
    return Path(X) if isinstance(X, str | os.PathLike) else None


def _is_bundle(path: Path) -> bool:
    return path.suffix.lower() == ".npz" and not path.is_dir()


def _from_arrays(X: Any, form: str, schema: ArraySchema) -> Rows:
    if (rows := read_arrays(X, form=form, schema=schema)) is not None:
        return rows
    wanted = "an array (N, C, H, W)" if form == "images" else "an array (N, T, D) or a list of (T, D) arrays"
    raise DataError(f"Expected {form} as {wanted}, got {type(X).__name__} of shape {getattr(X, 'shape', None)}.")


def _from_image_files(path: Path | None, shape: tuple[int, ...], *, labelled: bool) -> Rows:
    if path is None:
        raise DataError("Expected images as an array (N, C, H, W), or the path of a folder, a file or an .npz.")
    check_exists(path)
    if not path.is_dir() and not is_image_file(path):
        known = " ".join(SUFFIXES)
        raise DataError(f"Expected a folder of images or a file that ends in one of {known} .npz, got '{path.name}'.")
    return read_classes(path, shape=shape) if labelled else read_images(path, shape)


def _from_long_table(X: Any, schema: ArraySchema, target: str | None, *, labelled: bool) -> Rows:
    if not schema.channels:
        raise DataError("Expected sequences as arrays or in an .npz file, as at fit, got a table.")
    frame = read_frame(X) if isinstance(X, str | os.PathLike) else X
    raw = raw_columns(frame)
    if not labelled:
        return apply_series(raw, schema)
    if target not in raw.names:
        near = did_you_mean(str(target), raw.names)
        raise DataError(f"No column {target!r} with the target to compare with.{near}")
    return apply_series(raw, schema, labels=column_of(frame, raw, str(target)), title=str(target))


def _of_shape(rows: Rows, shape: tuple[int, ...]) -> Rows:
    """Returns the rows with images in the size of the fit."""
    if not shape:
        return rows
    if isinstance(rows.inputs, Images):
        pixels = rows.inputs.pixels
        if pixels.shape[1] != shape[0]:
            raise DataError(f"Expected images with {shape[0]} channels as at fit, got {pixels.shape[1]}.")
        return replace(rows, inputs=Images(resize(pixels, *shape[1:])))
    if (width := rows.inputs.steps.shape[2]) != shape[0]:
        raise DataError(f"Expected sequences with {shape[0]} values per step as at fit, got {width}.")
    return rows
