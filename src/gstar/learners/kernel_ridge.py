"""Ridge regression on columns, or on Gaussian kernels of them, that finds its settings by leaving rows out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np

from gstar.encoding import TableEncoder
from gstar.inputs import Table
from gstar.learner import TrainingSpec
from gstar.learners.ridge import Ridge
from gstar.learners.ridged import AbstractRidged, Rows
from gstar.serialisation import dump_arrays, load_arrays
from gstar.space import Categorical, Integer, Scalar, Space

Array: TypeAlias = np.ndarray

LINEAR: Final = 0.0
"""Stands for the linear kernel among reaches."""
ENCODINGS: Final = ("standard", "quantile", "spline")
REACHES: Final = (1.0, 4.0, LINEAR, 2.0, 0.5)
CANDIDATES: Final = (
    ("standard", 1.0),
    ("standard", 4.0),
    ("standard", LINEAR),
    ("quantile", 4.0),
    ("spline", 1.0),
    ("standard", 2.0),
    ("standard", 0.5),
)
"""Encodings of numbers and reaches that are compared where nothing is said, good ones first.

All fifteen would choose no better: more are also more often the best by chance."""
COMPARED_ROWS: Final = 2000
"""Candidates are compared on at most so many rows; the best one is trained on all."""
WIDE: Final = 800
"""With more columns, a linear model sees products with so many rows."""

_LEAST: Final = 1e-10


@dataclass(frozen=True, eq=False)
class Kernels:
    """Is from a table to encoded columns, or to columns whose products are nearly the kernel of two rows.

    Args:
        encoder: From a table to ``(N, D)``.
        landmarks: ``(L, D)`` encoded rows; none: the encoded columns themselves are meant.
        root: ``(L, L)`` inverse square root of the landmarks' kernel. It is the symmetric one: its columns are alike,
            so that a `Ridge` may scale them.
        gamma: The kernel is ``exp(-gamma |x - y|^2)``, or of 0 the product.
    """

    encoder: TableEncoder
    landmarks: Array
    root: Array
    gamma: float

    @staticmethod
    def fit(encoder: TableEncoder, matrix: Array, reach: float, n_landmarks: int, rng: np.random.Generator) -> Kernels:
        """Draws landmarks.

        Args:
            encoder: From a table to a matrix.
            matrix: ``(S, D)`` encoded rows.
            reach: Of the kernel, in root mean squared distances of a row from the centre, or `LINEAR`.
            n_landmarks: L.
            rng: Draws them.
        """
        if reach == LINEAR and matrix.shape[1] <= WIDE:
            return Kernels(encoder, np.empty((0, matrix.shape[1])), np.empty((0, 0)), 0.0)
        n_landmarks = min(n_landmarks if reach != LINEAR else WIDE, len(matrix))
        landmarks = matrix[np.sort(rng.choice(len(matrix), n_landmarks, replace=False))]
        width = float(np.sum(np.var(matrix, axis=0))) or 1.0
        gamma = 0.0 if reach == LINEAR else 1.0 / (2 * width * reach**2)
        values, vectors = np.linalg.eigh(_kernel(landmarks, landmarks, gamma))
        kept = values > _LEAST * max(float(values[-1]), _LEAST)
        root = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T
        return Kernels(encoder, landmarks, root, gamma)

    @property
    def n_columns(self) -> int:
        """F."""
        return len(self.landmarks) or self.landmarks.shape[1]

    def transform(self, table: Table) -> Array:
        """Returns ``(N, F)``."""
        return self.of(self.encoder.transform(table))

    def of(self, matrix: Array) -> Array:
        """Returns ``(N, F)`` for encoded rows."""
        return _kernel(matrix, self.landmarks, self.gamma) @ self.root if len(self.landmarks) else matrix


class KernelRidge(AbstractRidged):
    """Fits the best of some linear and Gaussian ridge regressions, by the loss of the rows left out.

    References:
        Williams, Seeger: Using the Nystroem method to speed up kernel machines (2000),
        https://papers.nips.cc/paper/1866-using-the-nystrom-method-to-speed-up-kernel-machines
        Rifkin, Lippert: Notes on regularized least squares (2007), https://dspace.mit.edu/handle/1721.1/37318
    """

    name: ClassVar[str] = "kernel_ridge"
    max_rows: ClassVar[int] = 20_000
    space: ClassVar[Space] = Space(
        {
            "numbers": Categorical(("any", "standard", "quantile", "spline")),
            "kernel": Categorical(("any", "linear", "gaussian")),
            "landmarks": Integer(50, 800, log=True, default=400),
            "target": Categorical(("standard", "log"), default="log"),
        }
    )

    def train(self, rows: Rows, spec: TrainingSpec, deadline: float | None) -> tuple[Kernels, Ridge]:
        part = np.sort(np.random.default_rng(spec.seed).permutation(len(rows.target))[:COMPARED_ROWS])
        few = rows.take(part)
        encoded: dict[str, tuple[TableEncoder, Array]] = {}
        best: tuple[float, str, float, tuple[Kernels, Ridge]] | None = None
        for numbers, reach in _candidates(spec.configuration, _has_numbers(rows.inputs)):
            if best is not None and _is_late(deadline):
                break
            if numbers not in encoded:
                encoded[numbers] = _encode(few, numbers, spec)
            found = _fit(*encoded[numbers], reach, few, spec)
            if best is None or found[1].loss < best[0]:
                best = (float(found[1].loss), numbers, reach, found)
        assert best is not None
        _, numbers, reach, found = best
        if len(part) == len(rows.target) or _is_late(deadline):
            return found
        return _fit(*_encode(rows, numbers, spec), reach, rows, spec)

    def save_features(self, features: Any) -> dict[str, bytes]:
        assert isinstance(features, Kernels)
        arrays = {"landmarks": features.landmarks, "root": features.root, "gamma": np.array(features.gamma)}
        return features.encoder.save() | {"kernels.npz": dump_arrays(arrays)}

    def load_features(self, parts: Mapping[str, bytes]) -> Kernels:
        arrays = load_arrays(parts["kernels.npz"])
        landmarks, root = arrays["landmarks"], arrays["root"]
        if landmarks.ndim != 2 or root.shape != (len(landmarks), len(landmarks)):
            raise ValueError("the shapes of landmarks do not agree")
        return Kernels(TableEncoder.load(parts), landmarks, root, float(arrays["gamma"]))

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        configuration = {**self.space.default(), **configuration}
        candidates = _candidates(configuration, True)
        few, rows = min(rows, COMPARED_ROWS), min(rows, self.max_rows)
        is_linear = configuration["kernel"] == "linear"
        columns = min(8 * features, WIDE) if is_linear else min(few, int(configuration["landmarks"] or 1))
        seen = len(candidates) * few + (3 * rows if rows > few else 0)
        each = 2e-8 * columns + 1.2e-10 * columns**2 + (1.4e-5 + 2.2e-6 * classes if classes else 0.0)
        return 0.05 + 3e-10 * len(candidates) * columns**3 + each * seen


def _candidates(configuration: Mapping[str, Scalar], has_numbers: bool) -> list[tuple[str, float]]:
    """Returns what to compare: without numbers, all encodings are the same."""
    numbers, kernel = str(configuration["numbers"]), str(configuration["kernel"])
    encodings = ENCODINGS if numbers == "any" else (numbers,)
    if not has_numbers:
        encodings = encodings[:1]
    if numbers == kernel == "any":
        return [(encoding, reach) for encoding, reach in CANDIDATES if encoding in encodings]
    reaches = [reach for reach in REACHES if kernel == "any" or (kernel == "linear") == (reach == LINEAR)]
    return [(encoding, reach) for reach in reaches for encoding in encodings]


def _has_numbers(table: Table) -> bool:
    return bool(table.numbers.shape[1] + table.dates.shape[1])


def _encode(rows: Rows, numbers: str, spec: TrainingSpec) -> tuple[TableEncoder, Array]:
    options = {"numbers": numbers, "categories": "onehot"}  # encoded by target, rows left out are not quite left out
    return TableEncoder.fit(rows.inputs, rows.target, spec.kind, options, weights=rows.weights, seed=spec.seed)


def _fit(encoder: TableEncoder, matrix: Array, reach: float, rows: Rows, spec: TrainingSpec) -> tuple[Kernels, Ridge]:
    n_landmarks, rng = int(spec.configuration["landmarks"] or 1), np.random.default_rng(spec.seed)
    kernels = Kernels.fit(encoder, matrix, reach, n_landmarks, rng)
    return kernels, Ridge.fit(kernels.of(matrix), rows.target, rows.n_classes, rows.weights)


def _kernel(left: Array, right: Array, gamma: float) -> Array:
    """Returns ``(N, L)`` the kernel of each two rows."""
    product = left @ right.T
    if gamma == 0.0:
        return np.asarray(product)
    squares = np.sum(left**2, axis=1)[:, None] + np.sum(right**2, axis=1) - 2 * product
    return np.asarray(np.exp(-gamma * np.maximum(squares, 0.0)))


def _is_late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline
