"""The state of the outer loop as one file, so that a killed run goes on where it stood.

A checkpoint is a safetensors file: arrays, and JSON in its metadata. It is written beside its
place and moved there, so that there is a whole one at any moment; reading it runs no code.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.distribution import AbstractDistribution
from gstar.errors import StorageError, UntrustedFileError, UsageError
from gstar.gradients import Draws
from gstar.outer.ascent import Adam
from gstar.outer.state import OuterSettings, OuterState
from gstar.tensorfile import DAMAGED, TensorFile

Array: TypeAlias = np.ndarray

FILE: Final = TensorFile(
    "checkpoint", "checkpoint of the outer loop", "gstar-outer-3", "about", 2**30, " Delete it to begin anew."
)
MAY_CHANGE: Final = frozenset({"iterations", "budget_s", "convergence"})
"""Settings that a run may be continued with other values of."""
COUNTS: Final = ("iteration", "lowered", "n_trainings", "n_failed", "hopeless")
"""Fields of the state that are whole numbers."""


def write_checkpoint(
    path: Path, state: OuterState, g: AbstractDistribution, settings: OuterSettings, key: str = ""
) -> None:
    """Writes a state; an earlier one at this path stays whole until the new one is.

    Args:
        path: Where it goes.
        state: What is written.
        g: The distribution.
        settings: How it learns.
        key: Names all else that must be the same when it goes on, such as the tasks.

    Raises:
        StorageError: If it cannot be written.
    """
    arrays = {
        "meta": state.meta,
        "start": state.start,
        "behind": state.behind,
        "mean": state.adam.mean,
        "square": state.adam.square,
        "memory": state.memory,
        "rewards": state.rewards,
        "trail": state.trail,
    }
    about: dict[str, Any] = {name: getattr(state, name) for name in COUNTS}
    about |= {"count": state.adam.count, "settings": _essence(settings), "g": g.fingerprint, "key": key}
    about["past"] = [_past_entry(arrays, i, draws, rewards) for i, (draws, rewards) in enumerate(state.past)]
    FILE.write(path, arrays, about)


class CheckpointWarning(UserWarning):
    """Says that a run goes on, but that a kill would now set it back."""


@dataclass(eq=False)
class Keeper:
    """Writes the checkpoint of a run that is worth more than its checkpoint: a full disk does not end it.

    Args:
        path: Where the checkpoint goes, or None for nowhere.
        key: See `write_checkpoint`.
        failed: Whether it has said that it could not be written.
    """

    path: Path | None
    key: str = ""
    failed: bool = False

    def keep(self, state: OuterState, g: AbstractDistribution, settings: OuterSettings) -> None:
        """Writes a state; the first time that this fails, it warns, and an earlier checkpoint stays."""
        if self.path is None:
            return
        try:
            write_checkpoint(self.path, state, g, settings, self.key)
        except StorageError as error:
            if not self.failed:
                advice = "It goes on; but if it is stopped before there is room, what it learned from here on is lost."
                warnings.warn(f"{error}. {advice}", CheckpointWarning, stacklevel=3)
            self.failed = True


def read_checkpoint(path: Path, g: AbstractDistribution, settings: OuterSettings, key: str = "") -> OuterState | None:
    """Reads the state of an earlier run; None if there is no file.

    Raises:
        UntrustedFileError: If the file is damaged or is something else.
        UsageError: If it is of a run with another space or other settings.
        StorageError: If it cannot be read.
    """
    if not path.exists():
        return None
    arrays, about = FILE.read(path)
    if about.get("g") != g.fingerprint or about.get("settings") != _essence(settings):
        raise UsageError(
            f"The checkpoint {path} is of another run ({about.get('settings')}); "
            "take the same settings and space, or another file."
        )
    if about.get("key") != key:
        raise UsageError(
            f"The checkpoint {path} is of another run, with other tasks or remembered weights; take the same ones, "
            "or another file, or delete it to begin anew."
        )
    try:
        return _state_of(arrays, about, g)
    except DAMAGED as error:
        raise UntrustedFileError(
            f"The checkpoint {path} has a wrong or no part ({error!r}); delete it to begin anew."
        ) from error


def _state_of(arrays: Mapping[str, Array], about: Mapping[str, Any], g: AbstractDistribution) -> OuterState:
    """Builds the state; what does not fit raises a `KeyError`, `TypeError` or `ValueError`."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("meta", "start", "mean", "square"), (g.size,))
    shapes["behind"] = (int(about["settings"]["ahead"]), g.size)
    shapes["trail"] = (len(arrays["rewards"]), g.size)
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {arrays[name].shape}")
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise ValueError(f"expected finite numbers in {', '.join(broken)}")
    return OuterState(
        arrays["meta"],
        arrays["start"],
        arrays["behind"],
        Adam(arrays["mean"], arrays["square"], int(about["count"])),
        arrays["memory"],
        rewards=arrays["rewards"],
        trail=arrays["trail"],
        past=tuple(_past_of(arrays, i, entry, g) for i, entry in enumerate(about["past"])),
        **{name: int(about[name]) for name in COUNTS},
    )


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
    rewards = arrays[f"past.{i}.rewards"]
    if not len(configurations) == draws.log_probs.size == rewards.size:
        raise ValueError(f"expected as many strategies as rewards, got {len(configurations)} and {rewards.size}")
    return draws, rewards
