"""The state of the outer loop as one file, so that a killed run goes on where it stood.

A checkpoint is a safetensors file: arrays, and JSON in its metadata. It is written beside its
place and moved there, so that there is a whole one at any moment; reading it runs no code.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.distribution import AbstractDistribution
from gstar.errors import StorageError, UntrustedFileError, UsageError
from gstar.failpoints import failpoint
from gstar.gradients import Draws
from gstar.outer.ascent import Adam
from gstar.outer.state import OuterSettings, OuterState

Array: TypeAlias = np.ndarray

FORMAT: Final = "gstar-outer-1"
MAY_CHANGE: Final = frozenset({"iterations", "budget_s", "convergence"})
"""Settings that a run may be continued with other values of."""


def write_checkpoint(path: Path, state: OuterState, g: AbstractDistribution, settings: OuterSettings) -> None:
    """Writes a state; an earlier one at this path stays whole until the new one is.

    Raises:
        StorageError: If it cannot be written.
    """
    from safetensors.numpy import save

    arrays = {
        "meta": state.meta,
        "start": state.start,
        "mean": state.adam.mean,
        "square": state.adam.square,
        "memory": state.memory,
        "rewards": state.rewards,
        "trail": state.trail,
    }
    counts = {name: getattr(state, name) for name in ("iteration", "lowered", "n_trainings", "n_failed", "hopeless")}
    about: dict[str, Any] = counts | {"count": state.adam.count, "settings": _essence(settings), "size": g.size}
    about["past"] = [_past_entry(arrays, i, draws, rewards) for i, (draws, rewards) in enumerate(state.past)]
    content = save(
        {name: np.ascontiguousarray(a, float) for name, a in arrays.items()},
        {"format": FORMAT, "about": json.dumps(about, sort_keys=True)},
    )
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        failpoint("checkpoint.before_replace")
        beside.replace(path)
    except OSError as error:
        raise StorageError(f"The checkpoint {path} could not be written: {error}") from error


def read_checkpoint(path: Path, g: AbstractDistribution, settings: OuterSettings) -> OuterState | None:
    """Reads the state of an earlier run; None if there is no file.

    Raises:
        UntrustedFileError: If the file is damaged or is something else.
        UsageError: If it is of a run with another space or other settings.
        StorageError: If it cannot be read.
    """
    if not path.exists():
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(f"The checkpoint {path} could not be read: {error}") from error
    arrays, about = _parsed(path, content)
    try:
        if about["size"] != g.size or about["settings"] != _essence(settings):
            raise UsageError(
                f"The checkpoint {path} is of another run ({about['settings']}, {about['size']} meta-parameters); "
                "take the same settings and space, or another file."
            )
        counts = {name: int(about[name]) for name in ("iteration", "lowered", "n_trainings", "n_failed", "hopeless")}
        return OuterState(
            arrays["meta"],
            arrays["start"],
            Adam(arrays["mean"], arrays["square"], int(about["count"])),
            arrays["memory"],
            rewards=arrays["rewards"],
            trail=arrays["trail"].reshape(-1, g.size),
            past=tuple(_past_of(arrays, i, entry, g) for i, entry in enumerate(about["past"])),
            **counts,
        )
    except (KeyError, TypeError) as error:
        raise UntrustedFileError(f"The checkpoint {path} lacks a part ({error!r}); delete it to begin anew.") from error


def _parsed(path: Path, content: bytes) -> tuple[dict[str, Array], dict[str, Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        if header["format"] != FORMAT:
            raise ValueError(f"its format is {header['format']!r}, expected {FORMAT!r}")
        return arrays, json.loads(header["about"])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UntrustedFileError(
            f"Expected a checkpoint of the outer loop in {path}, but {error}. Delete it to begin anew."
        ) from error


def _essence(settings: OuterSettings) -> dict[str, Any]:
    return {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
        if field.name not in MAY_CHANGE
    }


def _past_entry(arrays: dict[str, Array], i: int, draws: Draws, rewards: Array) -> list[Mapping[str, Any]]:
    """Adds the arrays of remembered draws, and returns their strategies as JSON values."""
    arrays |= {
        f"past.{i}.contexts": draws.contexts,
        f"past.{i}.log_probs": draws.log_probs,
        f"past.{i}.rewards": rewards,
    }
    return list(draws.points.configurations)


def _past_of(
    arrays: Mapping[str, Array], i: int, configurations: list[dict[str, Any]], g: AbstractDistribution
) -> tuple[Draws, Array]:
    draws = Draws(arrays[f"past.{i}.contexts"], g.points(configurations), arrays[f"past.{i}.log_probs"])
    return draws, arrays[f"past.{i}.rewards"]
