"""Gradient boosting by CatBoost: cannot pause, so it trains in one step and is handed its deadline."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np

from gstar.inputs import Inputs, Table
from gstar.learner import AbstractLearner, State, TrainingSpec
from gstar.learners.boosted import (
    BoostedState,
    category_columns,
    encode_rows,
    finish_prediction,
    load_boosted,
    rounds_to_stop,
    save_boosted,
    trivial_answer,
    trivial_prediction,
    trivial_state,
)
from gstar.space import Categorical, Integer, Real, Scalar, Space

Array: TypeAlias = np.ndarray


@dataclass(frozen=True, eq=False)
class _Rows:
    """Is what the only step trains on."""

    pool: Any
    held_out: Any


class _Deadline:
    """Stops CatBoost when its time is over."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline

    def after_iteration(self, info: Any) -> bool:
        """Tells whether to go on; the name is CatBoost's."""
        return time.monotonic() < self.deadline


class CatBoost(AbstractLearner):
    """Adds oblivious trees; categories by ordered target statistics.

    References:
        Prokhorenkova et al.: CatBoost: unbiased boosting with categorical features (2018),
        https://arxiv.org/abs/1706.09516
    """

    name: ClassVar[str] = "catboost"
    requires: ClassVar[tuple[str, ...]] = ("catboost",)
    is_anytime: ClassVar[bool] = True
    space: ClassVar[Space] = Space(
        {
            "rounds": Integer(100, 10_000, log=True, default=4000),
            "rate": Real(0.01, 0.3, log=True, default=0.08),
            "depth": Integer(3, 9, default=6),
            "l2": Real(0.3, 30.0, log=True, default=3.0),
            "noise": Real(0.1, 10.0, log=True, default=1.0),
            "feature_share": Real(0.3, 1.0, default=1.0),
            "categories": Categorical(("native", "onehot")),
            "target": Categorical(("standard", "log")),
        }
    )

    def init(self, inputs: Inputs, target: Array, spec: TrainingSpec) -> BoostedState:
        from catboost import CatBoost as Booster

        assert isinstance(inputs, Table)
        c = spec.configuration
        encoder, matrix, target, classes, scale = encode_rows(inputs, target, spec, str(c["categories"]))
        if answer := trivial_answer(matrix, target, classes):
            return trivial_state(encoder, classes, spec.n_classes, scale, answer)
        n_classes = len(classes)
        places = category_columns(encoder, inputs)
        pool = _pool(matrix, places, target, spec.weights)
        held_out = None
        if spec.validation is not None:
            rows, held_target = spec.validation
            known = np.isin(held_target, classes) if n_classes else np.ones(len(held_target), bool)
            if known.any():
                assert isinstance(rows, Table)
                held = held_target[known]
                held = np.searchsorted(classes, held) if n_classes else scale.forward(held)
                held_out = _pool(encoder.transform(rows.take(np.flatnonzero(known))), places, held, None)
        booster = Booster(
            {
                "loss_function": "RMSE" if not n_classes else "Logloss" if n_classes == 2 else "MultiClass",
                "iterations": c["rounds"],
                "learning_rate": c["rate"],
                "depth": c["depth"],
                "l2_leaf_reg": c["l2"],
                "random_strength": c["noise"],
                "rsm": c["feature_share"],
                "boosting_type": "Plain",
                "border_count": 128,
                "max_ctr_complexity": 2,
                "thread_count": spec.threads,
                "random_seed": spec.seed,
                "allow_writing_files": False,
                "logging_level": "Silent",
                "od_type": "Iter",
                "od_wait": 50,
                "use_best_model": held_out is not None,
            }
        )
        return BoostedState(encoder, booster, _Rows(pool, held_out), classes, spec.n_classes, scale, 1)

    def step(self, state: State, steps: int, deadline: float | None) -> BoostedState:
        assert isinstance(state, BoostedState)
        if state.is_trivial:
            return replace(state, steps=1)
        callbacks = None if deadline is None else [_Deadline(deadline)]
        state.booster.fit(state.rest.pool, eval_set=state.rest.held_out, callbacks=callbacks)
        rounds = int(state.booster.tree_count_)
        return replace(state, steps=rounds, limit=rounds, rest=None)

    def snapshot(self, state: State) -> State:
        return state

    def predict(self, state: State, inputs: Inputs) -> Array:
        assert isinstance(state, BoostedState)
        assert isinstance(inputs, Table)
        if state.is_trivial:
            return trivial_prediction(state, len(inputs))
        pool = _pool(state.encoder.transform(inputs), category_columns(state.encoder, inputs), None, None)
        kind = "Probability" if state.n_classes else "RawFormulaVal"
        return finish_prediction(state, np.asarray(state.booster.predict(pool, prediction_type=kind, thread_count=1)))

    def save(self, state: State) -> dict[str, bytes]:
        assert isinstance(state, BoostedState)
        if state.is_trivial:
            return save_boosted(state, "model.cbm", None)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.cbm"
            state.booster.save_model(str(path))
            return save_boosted(state, "model.cbm", path.read_bytes())

    def load(self, parts: Mapping[str, bytes]) -> BoostedState:
        from catboost import CatBoost as Booster

        booster = None
        if "model.cbm" in parts:
            booster = Booster()
            booster.load_model(blob=parts["model.cbm"])
        return load_boosted(parts, booster)

    def work(self, rows: int, features: int, classes: int, configuration: Mapping[str, Scalar]) -> float:
        depth = float(configuration.get("depth") or 6)
        rounds = rounds_to_stop(rows, float(configuration.get("rate") or 0.08), float(configuration.get("rounds") or 1))
        outputs = classes if classes > 2 else 1
        return 0.1 + rounds * outputs * (2e-4 + 1.3e-6 * 2**depth + 4e-9 * rows * features * depth)


def _pool(matrix: Array, places: list[int], target: Array | None, weights: Array | None) -> Any:
    """Returns CatBoost's own form of rows; categories as bytes, gaps as a category of their own."""
    from catboost import FeaturesData, Pool

    is_category = np.zeros(matrix.shape[1], bool)
    is_category[places] = True
    categories = None
    if places:
        codes = np.nan_to_num(matrix[:, is_category], nan=-1).astype(int)
        names = np.array([str(code).encode() for code in range(-1, codes.max() + 1)], object)
        categories = names[codes + 1]
    numbers = np.ascontiguousarray(matrix[:, ~is_category], np.float32) if not is_category.all() else None
    return Pool(FeaturesData(num_feature_data=numbers, cat_feature_data=categories), target, weight=weights)
