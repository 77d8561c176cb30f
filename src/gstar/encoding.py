"""From the blocks of a `Table` to the matrix a model wants; part of a strategy.

All that is learned from the support rows sits in scikit-learn objects, so an encoder is
saved by `gstar.serialisation` and JSON, never by pickle.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from gstar.inputs import Table
from gstar.metric import TaskKind
from gstar.serialisation import dump_sklearn, load_sklearn
from gstar.space import Categorical, Parameter, Scalar

Array: TypeAlias = np.ndarray

MAX_ONEHOT: Final = 60
SPLINE_KNOTS: Final = 6
MAX_SPLINE_COLUMNS: Final = 120
TEXT_COMPONENTS: Final = 12
CLIP: Final = 8.0
LARGEST: Final = 1e30
"""Numbers beyond this count as this: their squares are finite, and so they are as float32."""
LEAST_WEIGHT: Final = 1e-12
"""As a share of the largest: a row without any weight would make variances of nothing."""
_DAY_S: Final = 86_400.0

TREE_ENCODING: Final[dict[str, Parameter]] = {"categories": Categorical(("ordinal", "target", "onehot"))}
"""Choices for models that split on thresholds and know what to do with gaps."""


def date_parts(dates: Array) -> Array:
    """Returns days since 1970, day of the year, weekday and hour of each date.

    Args:
        dates: ``(N, Fd)`` seconds since 1970, NaN where missing.

    Returns:
        ``(N, 4 Fd)``, NaN where missing.
    """
    days = dates / _DAY_S
    year_day = np.mod(days, 365.2425)
    week_day = np.mod(np.floor(days) + 4, 7)
    hour = np.mod(dates, _DAY_S) / 3600
    return np.concatenate([days, year_day, week_day, hour], axis=1)


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """Is a fitted encoding.

    Args:
        options: ``numbers`` (none | standard | quantile | spline) and ``categories``
            (native | ordinal | onehot | target).
        parts: Name of a block to its fitted scikit-learn object.
    """

    options: Mapping[str, Scalar]
    parts: Mapping[str, Any]

    @staticmethod
    def fit(
        table: Table,
        target: Array,
        kind: TaskKind,
        options: Mapping[str, Scalar],
        *,
        weights: Array | None = None,
        seed: int = 0,
    ) -> tuple[TableEncoder, Array]:
        """Fits an encoding and encodes the rows it was fitted on, without leaking their targets.

        Args:
            table: S rows.
            target: ``(S,)`` class codes or values, for target encoding.
            kind: Kind of task.
            options: As for the class; numbers are left as they are and categories are ordinal if not given.
            weights: ``(S,)`` row weights for means, deviations and knots, or None.
            seed: Seed of everything random.

        Returns:
            The encoding, and ``(S, D)`` float32, or float64 where numbers are scaled.
        """
        options = {"numbers": "none", "categories": "ordinal", **options}
        parts: dict[str, Any] = {}
        blocks: list[Array] = []
        numbers = _number_block(table)
        if numbers.shape[1]:
            parts["numbers"] = transformer = _number_transformer(str(options["numbers"]), numbers, seed)
            blocks.append(numbers if transformer is None else _fit_numbers(transformer, numbers, weights))
        if table.codes.shape[1]:
            parts["codes"] = coder = _code_transformer(str(options["categories"]), table, kind, seed)
            blocks.append(_gaps(table.codes) if coder is None else _fit_codes(coder, table.codes, target))
        for j in range(table.texts.shape[1]):
            vectoriser, projection, block = _fit_text(table.texts[:, j], seed)
            if vectoriser is not None:
                parts[f"text{j}"] = [vectoriser, projection]
                blocks.append(block)
        encoder = TableEncoder(options, parts)
        return encoder, _join(blocks, len(table), encoder.dtype)

    def transform(self, table: Table) -> Array:
        """Encodes rows.

        Args:
            table: N rows with the same columns as at fit.

        Returns:
            ``(N, D)`` float32, or float64 where numbers are scaled.
        """
        blocks: list[Array] = []
        numbers = _number_block(table)
        if numbers.shape[1]:
            transformer = self.parts["numbers"]
            blocks.append(numbers if transformer is None else np.clip(transformer.transform(numbers), -CLIP, CLIP))
        if table.codes.shape[1]:
            coder = self.parts["codes"]
            blocks.append(_gaps(table.codes) if coder is None else np.asarray(coder.transform(table.codes)))
        for j in range(table.texts.shape[1]):
            if f"text{j}" in self.parts:
                vectoriser, projection = self.parts[f"text{j}"]
                blocks.append(projection.transform(vectoriser.transform(table.texts[:, j])))
        return _join(blocks, len(table), self.dtype)

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """The type of the matrix: float64 for smooth models, float32 for trees."""
        return np.float32 if self.options["numbers"] == "none" else np.float64

    def save(self) -> dict[str, bytes]:
        """Returns the encoding as named parts."""
        about = json.dumps({"options": dict(self.options), "parts": list(self.parts)})
        fitted = {name: part for name, part in self.parts.items() if part is not None}
        return {"encoder.json": about.encode(), "encoder.skops": dump_sklearn(fitted)}

    @staticmethod
    def load(parts: Mapping[str, bytes]) -> TableEncoder:
        """Builds an encoding from what `save` returned."""
        about = json.loads(parts["encoder.json"])
        fitted = load_sklearn(parts["encoder.skops"])
        return TableEncoder(about["options"], {name: fitted.get(name) for name in about["parts"]})


def _number_block(table: Table) -> Array:
    numbers = np.clip(table.numbers, -LARGEST, LARGEST)
    return np.concatenate([numbers, date_parts(table.dates)], axis=1) if table.dates.shape[1] else numbers


def _number_transformer(choice: str, numbers: Array, seed: int) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer, SplineTransformer, StandardScaler

    if choice == "none":
        return None
    impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    if len(numbers) < 2:  # of one row there are no quantiles
        return make_pipeline(impute, StandardScaler())
    if choice == "quantile":
        n_quantiles = min(256, len(numbers))
        bend = QuantileTransformer(
            n_quantiles=n_quantiles, output_distribution="normal", subsample=10_000, random_state=seed
        )
        return make_pipeline(impute, bend, StandardScaler())
    if choice == "spline" and numbers.shape[1] <= MAX_SPLINE_COLUMNS:
        bend = SplineTransformer(n_knots=SPLINE_KNOTS, degree=3, knots="quantile", extrapolation="linear")
        return make_pipeline(impute, StandardScaler(), bend, StandardScaler())
    return make_pipeline(impute, StandardScaler())


def _fit_numbers(transformer: Any, numbers: Array, weights: Array | None) -> Array:
    """Fits and transforms; steps that know of weights get them, so that a weight of 2 is two rows."""
    weights = np.ones(len(numbers)) if weights is None else np.maximum(weights, LEAST_WEIGHT * np.max(weights))
    heed = [name for name, _ in transformer.steps if name.startswith(("standardscaler", "splinetransformer"))]
    given = {f"{name}__sample_weight": weights for name in heed}
    with np.errstate(invalid="ignore"):  # the weighted variance of a constant may be a hair below zero
        return np.asarray(np.clip(transformer.fit_transform(numbers, **given), -CLIP, CLIP))


def _code_transformer(choice: str, table: Table, kind: TaskKind, seed: int) -> Any:
    from sklearn.preprocessing import OneHotEncoder, TargetEncoder

    if choice in {"ordinal", "native"}:
        return None
    if choice == "target":
        target_type = {"binary": "binary", "multiclass": "multiclass", "regression": "continuous"}[kind]
        return TargetEncoder(target_type=target_type, random_state=seed, cv=5)
    rare = max(2, len(table) // 500)
    return OneHotEncoder(
        min_frequency=rare, max_categories=MAX_ONEHOT, handle_unknown="infrequent_if_exist", sparse_output=False
    )


def _fit_codes(coder: Any, codes: Array, target: Array) -> Array:
    """Fits and encodes; target encoding is cross-fitted where there are rows enough for its folds."""
    from sklearn.preprocessing import TargetEncoder

    if not isinstance(coder, TargetEncoder):
        return np.asarray(coder.fit_transform(codes))
    classes, counts = np.unique(target, return_counts=True)
    discrete = coder.target_type != "continuous"
    if discrete and len(classes) == 2:
        coder.target_type = "binary"
    elif discrete and len(classes) > 2:
        coder.target_type = "multiclass"
    enough = counts.min() >= 5 and len(classes) > 1 if discrete else len(target) >= 10
    if not enough:
        coder.target_type = "continuous"
        coder.fit(codes, target.astype(float))
        return np.asarray(coder.transform(codes))
    with warnings.catch_warnings():  # scikit-learn 1.9 renames how the folds are seeded
        warnings.simplefilter("ignore", FutureWarning)
        return np.asarray(coder.fit_transform(codes, target))


def _fit_text(column: Array, seed: int) -> tuple[Any, Any, Array]:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectoriser = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), max_features=4000, sublinear_tf=True, dtype=np.float32
    )
    try:
        counts = vectoriser.fit_transform(column)
    except ValueError:  # nothing but empty texts
        return None, None, np.empty((len(column), 0))
    n = min(TEXT_COMPONENTS, counts.shape[1] - 1, counts.shape[0] - 1)
    if n < 1:
        return None, None, np.empty((len(column), 0))
    projection = TruncatedSVD(n, random_state=seed)
    return vectoriser, projection, np.asarray(projection.fit_transform(counts))


def _gaps(codes: Array) -> Array:
    return np.where(codes < 0, np.nan, codes)


def _join(blocks: list[Array], rows: int, dtype: type[np.floating[Any]]) -> Array:
    if not blocks:
        return np.zeros((rows, 1), dtype)
    joined = np.concatenate([np.asarray(block, float) for block in blocks], axis=1)
    return np.asarray(joined, dtype)
