"""Gradient boosting by LightGBM, round by round."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np
from scipy.special import expit, softmax

from gstar.inputs import Inputs, Table
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.learners.boosted import (
    BoostedState,
    Watched,
    category_columns,
    encode_rows,
    finish_prediction,
    load_boosted,
    rounds_to_stop,
    save_boosted,
    trivial_answer,
    trivial_prediction,
    trivial_state,
    watch,
)
from gstar.schedule import rate_factors
from gstar.space import Categorical, Integer, Real, Scalar, Space

Array: TypeAlias = np.ndarray

LEAF_SAVING_S: Final = 8e-6
"""Seconds in which LightGBM writes one leaf as text."""


@dataclass(frozen=True, eq=False)
class _Rest:
    """Is what rounds need besides the booster.

    Args:
        rates: The rate of each one.
        constant: Whether all are the same.
        saving_s: Seconds that the trees of one round will take to be saved, which must be left at the deadline.
    """

    rates: Array
    constant: bool
    saving_s: float


class LightGBM(AbstractLearner):
    """Adds leaf-wise trees; categories natively, or encoded.

    References:
        Ke et al.: LightGBM: a highly efficient gradient boosting decision tree (2017),
        https://papers.nips.cc/paper/6907
    """

    name: ClassVar[str] = "lightgbm"
    has_schedule: ClassVar[bool] = True
    is_anytime: ClassVar[bool] = True
    steps_per_check: ClassVar[int] = 10
    space: ClassVar[Space] = Space(
        {
            "rounds": Integer(50, 10_000, log=True, default=5000),
            "rate": Real(0.01, 0.3, log=True, default=0.05),
            "leaves": Integer(4, 255, log=True, default=24),
            "min_leaf": Integer(1, 100, log=True, default=10),
            "feature_share": Real(0.3, 1.0, default=0.7),
            "row_share": Real(0.5, 1.0, default=0.9),
            "l2": Real(1e-3, 30.0, log=True, default=1.0),
            "extra": Categorical((False, True)),
            "categories": Categorical(("native", "ordinal", "target")),
            "target": Categorical(("standard", "log")),
        }
    )

    def init(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> BoostedState:
        import lightgbm as lgb

        assert isinstance(inputs, Table)
        c = spec.configuration
        encoder, matrix, target, classes, scale = encode_rows(inputs, target, spec, str(c["categories"]))
        limit = int(c["rounds"] or 1)
        if answer := trivial_answer(matrix, target, classes):
            return trivial_state(encoder, classes, spec.n_classes, scale, answer)
        rates = float(c["rate"] or 0.1) * rate_factors(spec.schedule, limit)
        n_classes = len(classes)
        objective = "regression" if not n_classes else "binary" if n_classes == 2 else "multiclass"
        parameters: dict[str, Any] = {
            "objective": objective,
            "learning_rate": float(rates[0]),
            "num_leaves": int(c["leaves"] or 31),
            "min_data_in_leaf": max(1, min(int(c["min_leaf"] or 20), len(target) // 20)),
            "feature_fraction": c["feature_share"],
            "bagging_fraction": c["row_share"],
            "bagging_freq": 1,
            "lambda_l2": c["l2"],
            "extra_trees": c["extra"],
            "max_bin": 255,
            "min_data_per_group": max(5, min(100, len(target) // 50)),
            "cat_smooth": 10.0,
            "num_threads": spec.threads,
            "seed": spec.seed,
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }
        if objective == "multiclass":
            parameters["num_class"] = n_classes
        places = category_columns(encoder, inputs)
        rows = lgb.Dataset(
            matrix,
            target,
            weight=spec.weights,
            categorical_feature=places,
            params={k: parameters[k] for k in ("max_bin", "min_data_in_leaf", "verbosity", "num_threads")},
            free_raw_data=True,
        )
        booster = lgb.Booster(parameters, rows)
        constant = bool(np.all(rates == rates[0]))
        leaves = min(parameters["num_leaves"], 1 + len(target) // parameters["min_data_in_leaf"])
        rest = _Rest(rates, constant, LEAF_SAVING_S * leaves * (n_classes if n_classes > 2 else 1))
        watched = watch(encoder, spec)
        return BoostedState(encoder, booster, rest, classes, spec.n_classes, scale, limit, watched=watched)

    def step(self, state: State, steps: int, deadline: float | None) -> BoostedState:
        assert isinstance(state, BoostedState)
        if state.is_trivial:
            return replace(state, steps=1)
        done = state.steps
        for _ in range(min(steps, state.limit - done)):
            if not state.rest.constant:
                state.booster.reset_parameter({"learning_rate": float(state.rest.rates[done])})
            exhausted = state.booster.update()
            done += 1
            if exhausted or (deadline is not None and time.monotonic() + done * state.rest.saving_s > deadline):
                return replace(state, steps=done).finished()
        return replace(state, steps=done)

    def snapshot(self, state: State) -> State:
        return state

    def predict(self, state: State, inputs: Inputs) -> Array:
        assert isinstance(state, BoostedState)
        assert isinstance(inputs, Table)
        if state.is_trivial:
            return trivial_prediction(state, len(inputs))
        if state.watched is not None and inputs is state.watched.inputs:
            return finish_prediction(state, _link(_raw_so_far(state, state.watched), state.n_classes))
        matrix = state.encoder.transform(inputs)
        raw = state.booster.predict(matrix, num_iteration=state.steps, num_threads=1)
        return finish_prediction(state, np.asarray(raw))

    def save(self, state: State) -> dict[str, bytes]:
        assert isinstance(state, BoostedState)
        text = None if state.is_trivial else state.booster.model_to_string(num_iteration=state.steps).encode()
        return save_boosted(state, "model.txt", text)

    def load(self, parts: Mapping[str, bytes]) -> BoostedState:
        import lightgbm as lgb

        booster = lgb.Booster(model_str=parts["model.txt"].decode()) if "model.txt" in parts else None
        return load_boosted(parts, booster)

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        leaves = min(float(configuration.get("leaves") or 24), 2 + rows / 10)
        rounds = rounds_to_stop(rows, float(configuration.get("rate") or 0.05), float(configuration.get("rounds") or 1))
        outputs = classes if classes > 2 else 1
        per_tree = 5e-5 + 1.5e-6 * leaves + 1.4e-9 * rows * features * math.log2(leaves + 1)
        return 0.03 + rounds * outputs * per_tree


def _raw_so_far(state: BoostedState, watched: Watched) -> Array:
    """Returns the sum of the trees on the watched rows; only those that are new are predicted."""
    if watched.raw is None or watched.steps > state.steps:
        watched.raw, watched.steps = None, 0
    if watched.steps < state.steps:
        new = state.steps - watched.steps
        raw = state.booster.predict(
            watched.matrix, start_iteration=watched.steps, num_iteration=new, raw_score=True, num_threads=1
        )
        watched.raw = np.asarray(raw) if watched.raw is None else watched.raw + raw
        watched.steps = state.steps
    assert watched.raw is not None
    return watched.raw


def _link(raw: Array, n_classes: int) -> Array:
    """Turns sums of trees into probabilities, or leaves them as values."""
    if not n_classes:
        return raw
    if raw.ndim == 1:
        return np.asarray(expit(raw))
    return np.asarray(softmax(raw, axis=1))
