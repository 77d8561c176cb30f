"""What a person has set: flag > ``GSTAR_*`` > project file > user file > default.

The project file is ``gstar.toml`` in the working folder, else ``[tool.gstar]`` in its
``pyproject.toml``. In all places a setting has the same name and takes the same values:

    budget = "5m"
    learners = ["lightgbm", "linear"]
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from gstar.errors import UsageError, did_you_mean
from gstar.places import config_file, experience_url, split_experience

ROOM_MB: Final = 500.0
"""Room for the weights of networks where they are kept and nothing else is said."""

Layer: TypeAlias = Mapping[str, tuple[Any, str]]
"""Name of a setting to what was written, and where."""

_SECONDS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_MEBIBYTES: Final = {
    "MB": 1e6 / 2**20,
    "GB": 1e9 / 2**20,
    "TB": 1e12 / 2**20,
    "MIB": 1.0,
    "GIB": 1024.0,
    "TIB": 1024.0**2,
    "M": 1.0,
    "G": 1024.0,
    "T": 1024.0**2,
}


def read_duration_s(value: object) -> float:
    """Returns seconds from ``60s``, ``5m``, ``1h30m`` or a number of seconds.

    Example:
        >>> read_duration_s("1m30s"), read_duration_s("0.5h"), read_duration_s(10)
        (90.0, 1800.0, 10.0)
    """
    text = str(value).strip().lower()
    parts = re.findall(r"(\d+(?:\.\d+)?)(min|[smh]|$)", text)
    seconds = sum(float(amount) * _SECONDS[unit] for amount, unit in parts)
    if "".join(amount + unit for amount, unit in parts) != text or not 0 < seconds < math.inf:
        raise UsageError(f"Expected a duration such as 60s, 5m or 1h30m, got {text!r}.")
    return seconds


def read_size_mb(value: object) -> float:
    """Returns MiB from a size with its unit.

    Example:
        >>> read_size_mb("4GiB"), read_size_mb("512M")
        (4096.0, 512.0)
    """
    text = str(value).strip()
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text)
    if not found or found[2].upper() not in _MEBIBYTES or float(found[1]) <= 0:
        raise UsageError(f"Expected a size with its unit such as 4GiB or 512MiB, got {text!r}.")
    return float(found[1]) * _MEBIBYTES[found[2].upper()]


def _whole(least: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,18}", str(value).strip()) or int(str(value)) < least:
            raise UsageError(f"Expected a whole number, {least} or more, got {str(value)!r}.")
        return int(str(value))

    return read


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"Expected a name, got {value!r}.")
    return value.strip()


def _names(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or not all(isinstance(part, str) and part.strip() for part in parts):
        raise UsageError(f"Expected names separated by commas, got {value!r}.")
    return tuple(part.strip() for part in parts)


def _experience(value: object) -> str:
    split_experience(_name(value))
    return _name(value)


def read_room_mb(value: object) -> float:
    """Returns MiB for the weights of networks from ``off``, ``on`` or a size.

    Example:
        >>> read_room_mb("off"), read_room_mb("on"), read_room_mb("2GiB")
        (0.0, 500.0, 2048.0)
    """
    text = str(value).strip().lower()
    if text in ("off", "on", "false", "true"):
        return ROOM_MB if text in ("on", "true") else 0.0
    try:
        return read_size_mb(value)
    except UsageError as error:
        raise UsageError(f"Expected off, on or a size such as 500MiB, got {value!r}.") from error


@dataclass(frozen=True)
class Setting:
    """Is what may be set.

    Args:
        meaning: One line for the user.
        read: Turns what was written into a value.
        default: The value where nothing is set.
    """

    meaning: str
    read: Callable[[object], Any]
    default: Any = None


SETTINGS: Final[Mapping[str, Setting]] = {
    "budget": Setting("time for a fit, everything included: 60s, 5m, 1h30m", read_duration_s, 60.0),
    "trials": Setting("strategies to try, instead of a time; such a fit repeats bit for bit", _whole(1)),
    "metric": Setting("what to optimise; fits the kind of task if not set", _name),
    "policy": Setting("what chooses the strategies", _name, "gaussian"),
    "learners": Setting("the learners that may be used; all if not set", _names),
    "workers": Setting("trials side by side; one per core if not set", _whole(0)),
    "memory": Setting("memory for one trial: 4GiB; a fair share if not set", read_size_mb),
    "seed": Setting("seed of everything random", _whole(0), 0),
    "experience": Setting("on, frozen, off, a path or a URL", _experience, "on"),
    "weights": Setting("room for weights of networks: off, on (500 MiB) or a size", read_room_mb, 0.0),
}

NOT_SETTINGS: Final = ("GSTAR_HOME", "GSTAR_SHIPPED", "GSTAR_FAILPOINT")
"""Environment variables of gstar that are no settings."""


@dataclass(frozen=True)
class Value:
    """Is the value of a setting, and where it comes from.

    Args:
        value: What counts.
        origin: A flag, a variable, a file, or ``"default"``.
        rank: 0 for the strongest origin.
    """

    value: Any
    origin: str
    rank: int


@dataclass(frozen=True)
class Settings:
    """Is the values of all settings.

    Args:
        values: By name.
        experience: Path or URL of the experience.
        mode: ``"on"``, ``"frozen"`` or ``"off"``.
    """

    values: Mapping[str, Value]
    experience: str
    mode: str

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    @property
    def budget_s(self) -> float | None:
        """Seconds, or None if a number of trials was set closer to the command."""
        budget, trials = self.values["budget"], self.values["trials"]
        return None if trials.value is not None and trials.rank < budget.rank else budget.value

    @property
    def trials(self) -> int | None:
        """How many trials, or None if a time was set closer to the command."""
        budget, trials = self.values["budget"], self.values["trials"]
        return None if budget.rank < trials.rank else trials.value


def settle(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> Settings:
    """Returns the value of each setting.

    Args:
        flags: What was given on the command line by name; None where it was not.
        environ: Environment variables.
        folder: The working folder.

    Raises:
        UsageError: If a value cannot be read, or a name in a file is unknown.
    """
    layers = (
        {name: (value, f"--{name}") for name, value in (flags or {}).items() if value is not None},
        _of_variables(environ),
        _of_project(folder or Path()),
        _of_file(config_file(environ)),
    )
    values = {name: _strongest(name, layers) for name in SETTINGS}
    said = [split_experience(str(layer["experience"][0])) for layer in layers if "experience" in layer]
    place = next((place for place, _ in said if place), None) or experience_url(environ)
    mode = split_experience(values["experience"].value)[1] or "on"
    return Settings(values, place, mode)


def _strongest(name: str, layers: Sequence[Layer]) -> Value:
    setting = SETTINGS[name]
    for rank, layer in enumerate(layers):
        if name in layer:
            value, origin = layer[name]
            try:
                return Value(setting.read(value), origin, rank)
            except UsageError as error:
                raise UsageError(f"{origin}: {error}") from None
    return Value(setting.default, "default", len(layers))


def _of_variables(environ: Mapping[str, str]) -> Layer:
    """Returns what ``GSTAR_*`` variables set; a misspelt one is an error, an unrelated one is not."""
    names = {f"GSTAR_{name.upper()}": name for name in SETTINGS}
    known = [*names, *NOT_SETTINGS]
    for variable in environ:
        if variable.startswith("GSTAR_") and variable not in known:
            near = did_you_mean(variable.removeprefix("GSTAR_"), [name.removeprefix("GSTAR_") for name in known])
            if near:
                whole = near.replace("'", "'GSTAR_", 1)
                raise UsageError(f"No setting {variable!r} among the environment variables.{whole}")
    return {name: (environ[variable], variable) for variable, name in names.items() if environ.get(variable)}


def _of_project(folder: Path) -> Layer:
    own = folder / "gstar.toml"
    return _of_file(own) if own.exists() else _of_file(folder / "pyproject.toml", table="tool.gstar")


def _of_file(path: Path, *, table: str = "") -> Layer:
    """Returns what a TOML file sets, at its top or in a table; nothing if there is no file."""
    try:
        content: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"Settings in {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"Settings in {path} are no TOML: {error}.") from None
    for part in filter(None, table.split(".")):
        content = content.get(part, {}) if isinstance(content, dict) else {}
    if not isinstance(content, dict):
        raise UsageError(f"Expected a table [{table}] in {path}, got {content!r}.")
    for name in content:
        if name not in SETTINGS:
            raise UsageError(f"No setting {name!r} in {path}; known: {list(SETTINGS)}.{did_you_mean(name, SETTINGS)}")
    return {name: (value, str(path)) for name, value in content.items()}
