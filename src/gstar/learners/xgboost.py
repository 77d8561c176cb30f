"""Gradient boosting by XGBoost, round by round."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias

import numpy as np

from gstar.inputs import Inputs, Table
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.learners.boosted import (
    BoostedState,
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


class XGBoost(AbstractLearner):
    """Adds depth-wise trees on histograms.

    References:
        Chen, Guestrin: XGBoost: a scalable tree boosting system (2016), https://arxiv.org/abs/1603.02754
    """

    name: ClassVar[str] = "xgboost"
    has_schedule: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("xgboost",)
    is_anytime: ClassVar[bool] = True
    steps_per_check: ClassVar[int] = 10
    space: ClassVar[Space] = Space(
        {
            "rounds": Integer(50, 10_000, log=True, default=5000),
            "rate": Real(0.01, 0.3, log=True, default=0.06),
            "depth": Integer(2, 10, default=5),
            "min_child": Real(0.01, 20.0, log=True, default=1.0),
            "row_share": Real(0.5, 1.0, default=0.8),
            "feature_share": Real(0.3, 1.0, default=0.7),
            "l2": Real(1e-2, 30.0, log=True, default=1.0),
            "categories": Categorical(("onehot", "ordinal", "target")),
            "target": Categorical(("standard", "log")),
        }
    )

    def init(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> BoostedState:
        import xgboost as xgb

        assert isinstance(inputs, Table)
        c = spec.configuration
        encoder, matrix, target, classes, scale = encode_rows(inputs, target, spec, str(c["categories"]))
        if answer := trivial_answer(matrix, target, classes):
            return trivial_state(encoder, classes, spec.n_classes, scale, answer)
        n_classes = len(classes)
        objective = "reg:squarederror" if not n_classes else "binary:logistic" if n_classes == 2 else "multi:softprob"
        parameters: dict[str, Any] = {
            "objective": objective,
            "eta": c["rate"],
            "max_depth": c["depth"],
            "min_child_weight": c["min_child"],
            "subsample": c["row_share"],
            "colsample_bytree": c["feature_share"],
            "lambda": c["l2"],
            "tree_method": "hist",
            "nthread": spec.threads,
            "seed": spec.seed,
            "verbosity": 0,
        }
        if n_classes > 2:
            parameters["num_class"] = n_classes
        limit = int(c["rounds"] or 1)
        rates = float(c["rate"] or 0.1) * rate_factors(spec.schedule, limit)
        rows = xgb.DMatrix(matrix, target, weight=spec.weights, nthread=spec.threads)
        booster = xgb.Booster(parameters, [rows])
        watched = watch(encoder, spec, lambda matrix: xgb.DMatrix(matrix, nthread=1))
        return BoostedState(encoder, booster, (rows, rates), classes, spec.n_classes, scale, limit, watched=watched)

    def step(self, state: State, steps: int, deadline: float | None) -> BoostedState:
        assert isinstance(state, BoostedState)
        if state.is_trivial:
            return replace(state, steps=1)
        rows, rates = state.rest
        done = state.steps
        for _ in range(min(steps, state.limit - done)):
            if rates[done] != rates[max(0, done - 1)]:
                state.booster.set_param({"eta": float(rates[done])})
            state.booster.update(rows, done)
            done += 1
            if deadline is not None and time.monotonic() > deadline:
                break
        return replace(state, steps=done)

    def snapshot(self, state: State) -> State:
        return state

    def predict(self, state: State, inputs: Inputs) -> Array:
        import xgboost as xgb

        assert isinstance(state, BoostedState)
        assert isinstance(inputs, Table)
        if state.is_trivial:
            return trivial_prediction(state, len(inputs))
        if state.watched is not None and inputs is state.watched.inputs:
            rows = state.watched.matrix  # XGBoost remembers what its first trees said of it
        else:
            rows = xgb.DMatrix(state.encoder.transform(inputs), nthread=1)
        raw = state.booster.predict(rows, iteration_range=(0, state.steps))
        return finish_prediction(state, np.asarray(raw, float))

    def save(self, state: State) -> dict[str, bytes]:
        assert isinstance(state, BoostedState)
        content = None if state.is_trivial else bytes(state.booster[: state.steps].save_raw("ubj"))
        return save_boosted(state, "model.ubj", content)

    def load(self, parts: Mapping[str, bytes]) -> BoostedState:
        import xgboost as xgb

        booster = None
        if "model.ubj" in parts:
            booster = xgb.Booster({"nthread": 1})
            booster.load_model(bytearray(parts["model.ubj"]))
        return load_boosted(parts, booster)

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        depth = float(configuration.get("depth") or 5)
        rounds = rounds_to_stop(rows, float(configuration.get("rate") or 0.06), float(configuration.get("rounds") or 1))
        outputs = classes if classes > 2 else 1
        per_tree = 3e-5 + 1e-6 * min(2**depth, 2 + rows / 5) + 1.4e-9 * rows * features * depth
        return 0.04 + rounds * outputs * per_tree
