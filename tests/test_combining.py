"""What is combined: the best few of each learner, never what a constant answer beats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gstar.combining import PER_LEARNER, combine, worth_combining
from gstar.reading import make_task
from gstar.strategy import Strategy
from gstar.testing.policy import toy_trial
from gstar.trial import Proposal


def trial(learner, score, predictions=None):
    return replace(toy_trial(Proposal(Strategy(learner), 0.0, "test"), score), predictions=predictions)


def test_each_learner_brings_its_best_few():
    completed = [trial("trees", 0.9 - 0.01 * i) for i in range(PER_LEARNER + 2)] + [trial("linear", 0.5)]
    kept = worth_combining(completed)
    assert [t.strategy.learner for t in kept] == ["trees"] * PER_LEARNER + ["linear"]
    assert [t.score for t in kept[:PER_LEARNER]] == [t.score for t in completed[:PER_LEARNER]]


def test_what_a_constant_answer_beats_is_left_out():
    kept = worth_combining([trial("trees", 0.7), trial("constant", 0.6), trial("linear", 0.5)])
    assert [t.strategy.learner for t in kept] == ["trees"]


def test_a_constant_answer_is_better_than_none():
    assert [t.strategy.learner for t in worth_combining([trial("constant", 0.6), trial("trees", 0.1)])] == ["constant"]


def test_the_better_model_weighs_more_and_the_score_is_that_of_the_blend():
    rng = np.random.default_rng(0)
    target = rng.normal(size=400)
    task = make_task(np.arange(400.0)[:, None], target)
    near, far = target + 0.1 * rng.normal(size=400), target + rng.normal(size=400)
    weights, temperature, score = combine(
        task, [trial("linear", -0.1, near), trial("trees", -1.0, far)], target, None, seed=0
    )
    assert weights[0] > 0.7 > weights[1]
    assert weights.sum() == pytest.approx(1.0)
    assert temperature == 1.0
    assert score == pytest.approx(task.metric.score(target, weights[0] * near + weights[1] * far))
