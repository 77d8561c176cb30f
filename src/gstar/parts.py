"""Saved models of a trial, one for each fold, in one file: thousands of small ones are slow to make and to remove."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_NAME: Final = "models.zip"


def write_parts(folder: Path, fold: int, parts: Mapping[str, bytes]) -> None:
    """Adds the saved model of one fold to those of a trial.

    Args:
        folder: Of the trial.
        fold: Number of the fold.
        parts: Name to content, as a learner saves a model.
    """
    with zipfile.ZipFile(folder / _NAME, "a") as kept:
        for name, content in parts.items():
            kept.writestr(f"{fold}.{name}", content)


def read_parts(folder: Path, fold: int) -> dict[str, bytes]:
    """Returns the saved model of one fold: what `write_parts` was given, by name."""
    prefix = f"{fold}."
    with zipfile.ZipFile(folder / _NAME) as kept:
        return {name[len(prefix) :]: kept.read(name) for name in sorted(kept.namelist()) if name.startswith(prefix)}
