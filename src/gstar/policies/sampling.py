"""Draws strategies: uniformly from a tree, or near a good one, with exact log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.special import ndtr, ndtri

from gstar.errors import UsageError
from gstar.space import Categorical, Condition, Integer, Parameter, Real, Scalar, Space
from gstar.strategy import Strategy

ATTEMPTS: Final = 200
"""How often a repeated draw is drawn again before the tree counts as used up."""

_LEAST: Final = 1e-300


@dataclass(frozen=True)
class Draw:
    """Is a distribution over the points of a tree of strategies.

    Walking the tree from the root, each parameter keeps the value it has in `base` with
    probability `keep`, and is drawn anew otherwise: a number near that value, a choice (and
    what `base` has off) from the uniform prior. Without a base this is the uniform prior.
    Probabilities are with respect to counting discrete values, the unit interval for real
    ones, and the kept value of a real one.

    Args:
        space: A tree that `gstar.strategy.strategy_space` built.
        base: A point of it, or empty.
        keep: Probability of keeping a value of the base.
        step: Deviation of a moved number, a normal one cut to the parameter's range, in units
            of that range; infinite: it is drawn from the uniform prior.
    """

    space: Space
    base: Mapping[str, Scalar] = field(default_factory=dict)
    keep: float = 0.0
    step: float = math.inf

    def sample(self, rng: np.random.Generator) -> Strategy:
        """Draws one strategy."""

        def choose(name: str, parameter: Parameter) -> Scalar:
            if name not in self.base:
                return parameter.sample(rng)
            if rng.random() < self.keep:
                return self.base[name]
            return self._moved(name, parameter, rng)

        return Strategy.from_point(self.space.build(choose))

    def sample_new(self, taken: Iterable[Strategy], rng: np.random.Generator) -> tuple[Strategy, float] | None:
        """Draws a strategy that is not taken, with its log-probability given that.

        Returns:
            The strategy and the log-probability, or None where nothing (or next to nothing) is left.
        """
        seen = set(taken)
        left = 1.0 - sum(self.mass(strategy) for strategy in seen)
        if left <= 1e-9:
            return None
        for _ in range(ATTEMPTS):
            strategy = self.sample(rng)
            if strategy not in seen:
                return strategy, self.log_prob(strategy) - math.log(left)
        return None

    def log_prob(self, strategy: Strategy) -> float:
        """Returns the log-probability of a strategy; raises `UsageError` if it is no point of the tree."""
        point = strategy.to_point(self.space)
        self.space.validate(point)
        return sum(self._log_factor(name, p, point[name]) for name, p in self.space.active(point))

    def mass(self, strategy: Strategy) -> float:
        """Returns the probability of drawing exactly this strategy again; 0 where it is a density."""
        point = strategy.to_point(self.space)
        for name, value in point.items():
            if isinstance(self.space.parameters.get(name), Real) and not self._kept(name, value):
                return 0.0
        try:
            return math.exp(self.log_prob(strategy))
        except UsageError:
            return 0.0

    def _moved(self, name: str, parameter: Parameter, rng: np.random.Generator) -> Scalar:
        """Draws another value for a parameter of the base."""
        if isinstance(parameter, Categorical) or math.isinf(self.step):
            return parameter.sample(rng)
        at = self._place(name, parameter)
        low, high = ndtr(-at / self.step), ndtr((1 - at) / self.step)
        return parameter.from_unit(float(np.clip(at + self.step * ndtri(rng.uniform(low, high)), 0.0, 1.0)))

    def _log_moved(self, name: str, parameter: Parameter, value: Scalar) -> float:
        """Returns the log-probability with which `_moved` draws a value."""
        prior = parameter.log_prob(value)
        if isinstance(parameter, Categorical) or math.isinf(self.step):
            return prior
        at = self._place(name, parameter)
        whole = ndtr((1 - at) / self.step) - ndtr(-at / self.step)
        if isinstance(parameter, Real):
            away = (parameter.to_unit(float(value)) - at) / self.step  # type: ignore[arg-type]
            return -0.5 * away**2 - math.log(self.step * math.sqrt(2 * math.pi)) - math.log(whole)
        left, right = (ndtr((edge - at) / self.step) for edge in parameter.edges(int(value)))  # type: ignore[arg-type]
        return math.log(max(right - left, _LEAST)) - math.log(whole)

    def _place(self, name: str, parameter: Real | Integer) -> float:
        return parameter.to_unit(float(self.base[name]))  # type: ignore[arg-type]

    def _kept(self, name: str, value: Scalar) -> bool:
        return self.keep > 0 and name in self.base and _same(self.base[name], value)

    def _log_factor(self, name: str, parameter: Parameter, value: Scalar) -> float:
        if name not in self.base:
            return parameter.log_prob(value)
        moved = self._log_moved(name, parameter, value)
        if isinstance(parameter, Real):
            return math.log(self.keep) if self._kept(name, value) else math.log(1 - self.keep) + moved
        return math.log(self.keep * self._kept(name, value) + (1 - self.keep) * math.exp(moved))


def restrict(space: Space, name: str, allowed: tuple[Scalar, ...]) -> Space:
    """Returns the tree in which a categorical parameter has only these choices left.

    Parameters that hang on the other choices alone leave with them.
    """
    parameters, conditions = dict(space.parameters), dict(space.conditions)
    parent = parameters[name]
    assert isinstance(parent, Categorical)
    parameters[name] = Categorical(
        tuple(c for c in parent.choices if c in allowed), parent.default if parent.default in allowed else None
    )
    for child, condition in space.conditions.items():
        if condition.parent != name:
            continue
        if left := tuple(value for value in condition.values if value in allowed):
            conditions[child] = Condition(name, left)
        else:
            del parameters[child], conditions[child]
    return Space(parameters, conditions)


def _same(a: Scalar, b: Scalar) -> bool:
    return a == b and type(a) is type(b)
