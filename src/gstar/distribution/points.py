"""Many points of a space as arrays, so that one pass gives all their log-probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gstar.distribution.heads import AbstractHead
from gstar.space import Configuration, Scalar, Space

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class Points:
    """Is N points of a space with J parameters.

    Args:
        configurations: The points themselves.
        on: ``(N, J)`` bool: which parameters are on.
        left: ``(N, J)`` index of a choice, place of a real number, left edge of an integer's part; 0 if off.
        right: ``(N, J)`` the same, or the right edge; 1 if off.
        index: ``(N,)`` positions in the list of candidates that they were taken from; 0..N-1 for a list itself.
    """

    configurations: tuple[Configuration, ...]
    on: Array
    left: Array
    right: Array
    index: Array

    def __len__(self) -> int:
        return len(self.configurations)

    @staticmethod
    def of(space: Space, heads: Mapping[str, AbstractHead], configurations: Sequence[Mapping[str, Scalar]]) -> Points:
        """Builds the arrays from configurations."""
        names = list(space.parameters)
        shape = (len(configurations), len(names))
        on, left, right = np.zeros(shape, bool), np.zeros(shape), np.ones(shape)
        for j, name in enumerate(names):
            head = heads[name]
            for i, configuration in enumerate(configurations):
                if name in configuration:
                    on[i, j] = True
                    left[i, j], right[i, j] = head.places(configuration[name])
        return Points(tuple(dict(c) for c in configurations), on, left, right, np.arange(len(configurations)))

    def take(self, rows: Array) -> Points:
        """Returns the points at these positions."""
        return Points(
            tuple(self.configurations[i] for i in rows),
            self.on[rows],
            self.left[rows],
            self.right[rows],
            self.index[rows],
        )

    @staticmethod
    def join(parts: Sequence[Points]) -> Points:
        """Returns the points of all parts, one after another."""
        return Points(
            tuple(c for p in parts for c in p.configurations),
            np.concatenate([p.on for p in parts]),
            np.concatenate([p.left for p in parts]),
            np.concatenate([p.right for p in parts]),
            np.concatenate([p.index for p in parts]),
        )
