"""A small typed tree of choices: what can be tried, and how to move in it.

A `Space` maps names to parameters (`Categorical`, `Integer`, `Real`) and says under
which condition each one is *on*. A point of a space is a plain dictionary that holds
exactly the parameters that are on, so it goes to JSON and back unchanged.

Everything a policy needs is here and nothing more: `sample`, `log_prob` under the
uniform prior, `encode` to a vector of fixed length, `validate`, JSON both ways. A
learned distribution replaces the uniform prior parameter by parameter: `active` walks
the tree in an order in which parents come before children.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.errors import UsageError, did_you_mean

Scalar: TypeAlias = str | int | float | bool | None
Configuration: TypeAlias = dict[str, Scalar]

_SAME: Final = 1e-9


@dataclass(frozen=True)
class Categorical:
    """Is a choice from a few values without order.

    Args:
        choices: The values; JSON scalars, all different.
        default: The value a newcomer should start with; the first one if not given.
    """

    choices: tuple[Scalar, ...]
    default: Scalar = None

    def __post_init__(self) -> None:
        if not self.choices:
            raise UsageError("A categorical parameter needs at least one choice, got none.")
        if self.default is None and None not in self.choices:
            object.__setattr__(self, "default", self.choices[0])
        self.index(self.default)

    @property
    def size(self) -> int:
        """The length of the encoding: one cell per choice."""
        return len(self.choices)

    def index(self, value: Scalar) -> int:
        """Returns the position of a value, telling 1, 1.0 and True apart."""
        for i, choice in enumerate(self.choices):
            if choice == value and type(choice) is type(value):
                return i
        raise UsageError(f"Expected one of {list(self.choices)}, got {value!r}.")

    def validate(self, value: Scalar) -> None:
        """Raises `UsageError` unless the value is one of the choices."""
        self.index(value)

    def sample(self, rng: np.random.Generator) -> Scalar:
        """Draws one choice, all with the same probability."""
        return self.choices[int(rng.integers(len(self.choices)))]

    def log_prob(self, value: Scalar) -> float:
        """Returns the log-probability of a choice under the uniform prior."""
        self.index(value)
        return -math.log(len(self.choices))

    def encode(self, value: Scalar) -> list[float]:
        """Returns the choice as a one-hot row."""
        row = [0.0] * len(self.choices)
        row[self.index(value)] = 1.0
        return row


@dataclass(frozen=True)
class Real:
    """Is a real number between two bounds, on a linear or a logarithmic scale.

    `to_unit` and `from_unit` map to and from [0, 1] along that scale: a learned
    distribution lives there. Densities are with respect to the unit interval.
    """

    low: float
    high: float
    log: bool = False
    default: float | None = None

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)
        if self.default is None:
            object.__setattr__(self, "default", self.from_unit(0.5))
        self.validate(self.default)

    @property
    def size(self) -> int:
        """The length of the encoding."""
        return 1

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """The bounds on the parameter's scale."""
        return (math.log(self.low), math.log(self.high)) if self.log else (float(self.low), float(self.high))

    def validate(self, value: Scalar) -> None:
        """Raises `UsageError` unless the value is a number within the bounds."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"Expected a number in [{self.low}, {self.high}], got {value!r}.")
        slack = _SAME * max(abs(self.low), abs(self.high))
        if not self.low - slack <= value <= self.high + slack:
            raise UsageError(f"Expected a number in [{self.low}, {self.high}], got {value!r}.")

    def to_unit(self, value: float) -> float:
        """Maps a value to its place in [0, 1] on the parameter's scale."""
        (a, b), x = self._ends, math.log(value) if self.log else float(value)
        return 0.5 if a == b else min(1.0, max(0.0, (x - a) / (b - a)))

    def from_unit(self, u: float) -> float:
        """Maps a place in [0, 1] to a value, rounded to 6 digits so that JSON is short."""
        a, b = self._ends
        x = a + u * (b - a)
        return min(self.high, max(self.low, float(f"{math.exp(x) if self.log else x:.6g}")))

    def sample(self, rng: np.random.Generator) -> float:
        """Draws uniformly along the parameter's scale."""
        return self.from_unit(float(rng.random()))

    def log_prob(self, value: Scalar) -> float:
        """Returns 0: the density of the uniform prior on the unit interval."""
        self.validate(value)
        return 0.0

    def encode(self, value: Scalar) -> list[float]:
        """Returns the place of the value in [0, 1]."""
        assert isinstance(value, int | float)
        return [self.to_unit(float(value))]


@dataclass(frozen=True)
class Integer:
    """Is a whole number between two bounds, both included, on a linear or log scale."""

    low: int
    high: int
    log: bool = False
    default: int | None = None

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)
        if self.default is None:
            object.__setattr__(self, "default", self.from_unit(0.5))
        self.validate(self.default)

    @property
    def size(self) -> int:
        """The length of the encoding."""
        return 1

    def validate(self, value: Scalar) -> None:
        """Raises `UsageError` unless the value is a whole number within the bounds."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise UsageError(f"Expected an integer in [{self.low}, {self.high}], got {value!r}.")
        if not self.low <= value <= self.high:
            raise UsageError(f"Expected an integer in [{self.low}, {self.high}], got {value!r}.")

    def edges(self, value: float) -> tuple[float, float]:
        """Returns the part of [0, 1] that rounds to this value, on the parameter's scale."""
        scale: Callable[[float], float] = math.log if self.log else float
        a, b = scale(self.low - 0.5), scale(self.high + 0.5)
        return (scale(value - 0.5) - a) / (b - a), (scale(value + 0.5) - a) / (b - a)

    def to_unit(self, value: float) -> float:
        """Maps a value to the middle of the part of [0, 1] that rounds to it."""
        left, right = self.edges(int(value))
        return 0.5 * (left + right)

    def from_unit(self, u: float) -> int:
        """Maps a place in [0, 1] to the whole number whose part holds it."""
        a, b = self.low - 0.5, self.high + 0.5
        x = a * (b / a) ** u if self.log else a + u * (b - a)
        return int(min(self.high, max(self.low, math.floor(x + 0.5))))

    def sample(self, rng: np.random.Generator) -> int:
        """Draws uniformly along the parameter's scale."""
        return self.from_unit(float(rng.random()))

    def log_prob(self, value: Scalar) -> float:
        """Returns the log-probability mass of the value under the uniform prior."""
        self.validate(value)
        assert isinstance(value, int)
        left, right = self.edges(value)
        return math.log(right - left)

    def encode(self, value: Scalar) -> list[float]:
        """Returns the place of the value in [0, 1]."""
        assert isinstance(value, int)
        return [self.to_unit(value)]


Parameter: TypeAlias = Categorical | Real | Integer


@dataclass(frozen=True)
class Condition:
    """Says that a parameter is on only while its parent is on and has one of these values."""

    parent: str
    values: tuple[Scalar, ...]

    def holds(self, configuration: Mapping[str, Scalar]) -> bool:
        """Tells whether the parent is there with one of the values."""
        return self.parent in configuration and configuration[self.parent] in self.values


@dataclass(frozen=True)
class Space:
    """Is a tree of parameters: names, kinds, and conditions among them.

    Args:
        parameters: Name to parameter. A parent stands before its children.
        conditions: Name of a child to the condition under which it is on.

    Raises:
        UsageError: If a condition names an unknown or later parent, or a value that the
            parent cannot take.

    Example:
        >>> space = Space({"kernel": Categorical(("linear", "rbf")),
        ...                "gamma": Real(1e-3, 1e1, log=True)},
        ...               {"gamma": Condition("kernel", ("rbf",))})
        >>> space.default()
        {'kernel': 'linear'}
        >>> space.encode({"kernel": "rbf", "gamma": 0.1}).tolist()
        [0.0, 1.0, 1.0, 0.5]
    """

    parameters: Mapping[str, Parameter]
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for name in self.parameters:
            condition = self.conditions.get(name)
            if condition is not None:
                if condition.parent not in seen:
                    raise UsageError(f"{name!r} hangs on {condition.parent!r}, which does not stand before it.")
                for value in condition.values:
                    self.parameters[condition.parent].validate(value)
            seen.add(name)
        for name in self.conditions:
            if name not in seen:
                raise UsageError(f"A condition names {name!r}, which is no parameter of the space.")

    @property
    def size(self) -> int:
        """The length D of the vector that `encode` returns."""
        return sum(p.size + (name in self.conditions) for name, p in self.parameters.items())

    def active(self, configuration: Mapping[str, Scalar]) -> Iterator[tuple[str, Parameter]]:
        """Yields the parameters that are on, parents first, reading the mapping as it grows.

        A caller may add the value of each name it is handed before it asks for the next:
        that is how `sample` and every learned distribution walk the tree.
        """
        for name, parameter, parent, values in self._walk:
            if parent is None or (parent in configuration and configuration[parent] in values):
                yield name, parameter

    @cached_property
    def _walk(self) -> tuple[tuple[str, Parameter, str | None, tuple[Scalar, ...]], ...]:
        """Each parameter with its name, its parent and the parent's values; a search walks the tree very often."""
        found = []
        for name, parameter in self.parameters.items():
            condition = self.conditions.get(name)
            parent, values = (None, ()) if condition is None else (condition.parent, condition.values)
            found.append((name, parameter, parent, values))
        return tuple(found)

    def build(self, choose: Callable[[str, Parameter], Scalar]) -> Configuration:
        """Returns the configuration that a function chooses, asked parameter by parameter."""
        configuration: Configuration = {}
        for name, parameter in self.active(configuration):
            configuration[name] = choose(name, parameter)
        return configuration

    def default(self) -> Configuration:
        """Returns the defaults of the parameters that are on."""
        return self.build(lambda _, parameter: parameter.default)

    def sample(self, rng: np.random.Generator) -> Configuration:
        """Draws a configuration from the uniform prior."""
        return self.build(lambda _, parameter: parameter.sample(rng))

    def log_prob(self, configuration: Mapping[str, Scalar]) -> float:
        """Returns the log-probability under the uniform prior (density for real parameters)."""
        self.validate(configuration)
        return sum(p.log_prob(configuration[name]) for name, p in self.active(configuration))

    def validate(self, configuration: Mapping[str, Scalar]) -> None:
        """Raises `UsageError` unless exactly the parameters that are on have a valid value."""
        on = dict(self.active(configuration))
        for name, value in configuration.items():
            if name not in self.parameters:
                raise UsageError(f"Unknown parameter {name!r}.{did_you_mean(name, self.parameters)}")
            if name not in on:
                raise UsageError(f"{name!r} is off here: it needs {self.conditions[name]}, got {dict(configuration)}.")
            try:
                on[name].validate(value)
            except UsageError as error:
                raise UsageError(f"{name!r}: {error}") from None
        missing = [name for name in on if name not in configuration]
        if missing:
            raise UsageError(f"Missing parameters: {missing}.")

    def complete(self, configuration: Mapping[str, Scalar]) -> Configuration:
        """Fills in the defaults of what is on and not given, then validates."""
        full = self.build(lambda name, parameter: configuration.get(name, parameter.default))
        self.validate({**configuration, **full})
        return full

    def encode(self, configuration: Mapping[str, Scalar]) -> np.ndarray:
        """Returns a configuration as a vector.

        Args:
            configuration: A valid point of the space.

        Returns:
            ``(D,)`` float64 in [0, 1]: one-hot cells for categories, the place on the scale
            for numbers; a conditional parameter has one more cell in front, 1 if it is on.
        """
        row: list[float] = []
        for name, parameter in self.parameters.items():
            on = name in configuration
            if name in self.conditions:
                row.append(float(on))
            row.extend(parameter.encode(configuration[name]) if on else [0.0] * parameter.size)
        return np.asarray(row)

    def to_json(self) -> dict[str, Any]:
        """Returns the space as JSON values; `from_json` turns them back."""
        kinds = {Categorical: "categorical", Real: "real", Integer: "integer"}
        parameters: dict[str, Any] = {}
        for name, p in self.parameters.items():
            entry: dict[str, Any] = {"kind": kinds[type(p)], "default": p.default}
            if isinstance(p, Categorical):
                entry["choices"] = list(p.choices)
            else:
                entry |= {"low": p.low, "high": p.high, "log": p.log}
            condition = self.conditions.get(name)
            if condition is not None:
                entry["when"] = {"parent": condition.parent, "values": list(condition.values)}
            parameters[name] = entry
        return {"parameters": parameters}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Space:
        """Builds a space from what `to_json` returned."""
        parameters: dict[str, Parameter] = {}
        conditions: dict[str, Condition] = {}
        for name, entry in data["parameters"].items():
            if entry["kind"] == "categorical":
                parameters[name] = Categorical(tuple(entry["choices"]), entry["default"])
            else:
                numeric: Mapping[str, type[Real] | type[Integer]] = {"real": Real, "integer": Integer}
                parameters[name] = numeric[entry["kind"]](entry["low"], entry["high"], entry["log"], entry["default"])
            if "when" in entry:
                conditions[name] = Condition(entry["when"]["parent"], tuple(entry["when"]["values"]))
        return Space(parameters, conditions)


def nest(branches: Mapping[str, Space], *, root: str, default: str) -> Space:
    """Joins spaces under one categorical root: exactly one branch is on at a time.

    Args:
        branches: Value of the root to the space below it.
        root: Name of the categorical parameter.
        default: The branch a newcomer should start with.

    Returns:
        A space with `root` and every ``branch.parameter``, on only under its branch.
    """
    parameters: dict[str, Parameter] = {root: Categorical(tuple(branches), default)}
    conditions: dict[str, Condition] = {}
    for branch, space in branches.items():
        for name, parameter in space.parameters.items():
            full = f"{branch}.{name}"
            parameters[full] = parameter
            inner = space.conditions.get(name)
            conditions[full] = (
                Condition(root, (branch,)) if inner is None else Condition(f"{branch}.{inner.parent}", inner.values)
            )
    return Space(parameters, conditions)


def _check_bounds(low: float, high: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise UsageError(f"Expected finite bounds with low <= high, got {low=}, {high=}.")
    if log and low <= 0:
        raise UsageError(f"A log scale needs low > 0, got {low=}.")
