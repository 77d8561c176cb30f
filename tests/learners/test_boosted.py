"""Boosters look at the validation rows tree by tree; they grow as long as it helps, and end in time."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from gstar.inputs import Table
from gstar.learner import TrainingSpec, get_learner
from gstar.learners.boosted import rounds_to_stop
from gstar.metric import TaskKind
from gstar.strategy import SCHEDULE_SPACE

KINDS = {TaskKind.BINARY: 2, TaskKind.MULTICLASS: 3, TaskKind.REGRESSION: 0}
ROUND_BY_ROUND = pytest.mark.parametrize("name", ["lightgbm", "xgboost"])


def rows(seed, n=200):
    numbers = np.random.default_rng(seed).normal(size=(n, 4))
    return Table.of(numbers), numbers[:, 0] * numbers[:, 1] + numbers[:, 2]


def spec_of(learner, kind, **changes):
    inputs, signal = rows(1, 60)
    validation = (inputs, target_of(signal, kind))
    return TrainingSpec(
        kind, KINDS[kind], learner.space.complete(changes), SCHEDULE_SPACE.default(), validation=validation
    )


def target_of(signal, kind):
    return (
        signal
        if kind is TaskKind.REGRESSION
        else np.digitize(signal, np.quantile(signal, np.arange(1, KINDS[kind]) / KINDS[kind]))
    )


def copy(inputs):
    return inputs.take(np.arange(len(inputs)))


@ROUND_BY_ROUND
@pytest.mark.parametrize("kind", KINDS)
def test_looks_at_the_validation_rows_add_up_to_what_a_whole_prediction_says(name, kind):
    learner = get_learner(name)
    spec = spec_of(learner, kind)
    inputs, signal = rows(0)
    state = learner.init(inputs, target_of(signal, kind), spec)
    for _ in range(4):
        state = learner.step(state, 7, None)
        look = learner.predict(state, spec.validation[0])
        np.testing.assert_allclose(look, learner.predict(state, copy(spec.validation[0])), rtol=1e-5, atol=1e-7)


@ROUND_BY_ROUND
def test_an_earlier_state_may_be_looked_at_again(name):
    learner = get_learner(name)
    spec = spec_of(learner, TaskKind.REGRESSION)
    inputs, signal = rows(0)
    early = learner.step(learner.init(inputs, signal, spec), 5, None)
    before = learner.predict(early, spec.validation[0])
    late = learner.step(replace(early), 20, None)
    assert not np.allclose(learner.predict(late, spec.validation[0]), before)
    np.testing.assert_allclose(learner.predict(early, spec.validation[0]), before, rtol=1e-5)


def test_lightgbm_leaves_time_to_save_what_it_has_grown():
    learner = get_learner("lightgbm")
    inputs, signal = rows(0)
    state = learner.init(inputs, signal, spec_of(learner, TaskKind.REGRESSION))
    slow = replace(state, rest=replace(state.rest, saving_s=100.0))
    stopped = learner.step(slow, 1000, time.monotonic() + 250.0)
    assert stopped.done
    assert stopped.steps == 3


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost"])
def test_more_rows_and_smaller_rates_are_expected_to_cost_more(name):
    learner = get_learner(name)
    assert learner.is_anytime
    default = learner.space.default()
    small, large = (learner.work(n, 10, 0, default) for n in (300, 30_000))
    slow = learner.work(300, 10, 0, learner.space.complete({"rate": 0.02}))
    fast = learner.work(300, 10, 0, learner.space.complete({"rate": 0.3}))
    assert large > 10 * small
    assert slow > 1.5 * fast


def test_rounds_are_bounded_by_the_configuration():
    assert rounds_to_stop(10_000, 0.1, 50) == 50
    assert rounds_to_stop(10_000, 0.1, 5000) == pytest.approx(260)
