from __future__ import annotations

import numpy as np
import pytest

from gstar.experience import Experience, join, knowledge
from gstar.experience.knowledge import aligned
from gstar.metric import TaskKind
from gstar.records import Records
from gstar.testing.experience import KIND, begin, failed_trial, toy_strategy, toy_task, toy_trial


def records_of(*trials: tuple[int, int, float | None], length: int = 3) -> Records:
    """Records of (task, strategy, score) triples; None is a failure."""
    with Experience.open(mode="off") as experience:
        for task in sorted({t for t, _, _ in trials}):
            run = begin(experience, toy_task(task))
            experience.add_task(toy_task(task), np.full(length, float(task)))
            for n, (_, p, score) in enumerate(t for t in trials if t[0] == task):
                made = failed_trial if score is None else toy_trial
                changes = {} if score is None else {"score": score}
                experience.append([made(toy_task(task), run, n, strategy=toy_strategy(p), **changes)])
        return experience.records(KIND)


def test_join_unites_tasks_and_strategies():
    one = records_of((1, 10, 0.5), (1, 11, 0.6))
    two = records_of((2, 11, 0.7), (2, 12, None))
    both = join(one, two)
    assert both.tasks == (*one.tasks, *two.tasks)
    assert both.strategies == (toy_strategy(10), toy_strategy(11), toy_strategy(12))
    np.testing.assert_array_equal(both.scores, [[0.5, 0.6, np.nan], [np.nan, 0.7, np.nan]])
    np.testing.assert_array_equal(both.costs, [[1.0, 1.0, np.nan], [np.nan, 1.0, np.nan]])
    assert both.counts.tolist() == [[1, 1, 0], [0, 1, 0]]
    assert both.failures.tolist() == [[0, 0, 0], [0, 0, 1]]
    assert both.families == (*one.families, *two.families)


def test_join_weights_means_by_their_counts():
    both = join(records_of((1, 10, 0.1), (1, 10, 0.3), (1, 10, None)), records_of((1, 10, 0.8)))
    np.testing.assert_allclose(both.scores, [[(0.1 + 0.3 + 0.8) / 3]])
    assert (both.counts.tolist(), both.failures.tolist()) == ([[3]], [[1]])


def test_join_with_nothing_is_the_other():
    some = records_of((1, 10, 0.5))
    none = Records.empty(KIND, 3)
    assert join(some, none) is some
    assert join(none, some) is some


def test_joining_is_splitting_backwards():
    """Two halves of the trials give, joined, what all of them give together."""
    rng = np.random.default_rng(0)
    trials = [(int(rng.integers(4)), int(rng.integers(5)), float(rng.random())) for _ in range(60)]
    whole, both = records_of(*trials), join(records_of(*trials[:25]), records_of(*trials[25:]))
    t = [both.tasks.index(name) for name in whole.tasks]
    p = [both.strategies.index(strategy) for strategy in whole.strategies]
    np.testing.assert_allclose(both.scores[np.ix_(t, p)], whole.scores)
    np.testing.assert_array_equal(both.counts[np.ix_(t, p)], whole.counts)
    np.testing.assert_array_equal(both.meta_features[t], whole.meta_features)


def test_meta_features_that_an_earlier_version_did_not_know_become_average():
    both = join(records_of((1, 10, 0.5), length=2), records_of((2, 10, 0.5), (4, 10, 0.5)))
    assert both.meta_features.tolist() == [[1.0, 1.0, 3.0], [2.0] * 3, [4.0] * 3]


def test_a_task_in_both_is_described_as_in_the_second():
    both = join(records_of((1, 10, 0.5), length=2), records_of((1, 11, 0.5), length=3))
    assert both.meta_features.tolist() == [[1.0] * 3]


def test_of_too_many_strategies_those_tried_on_most_tasks_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(knowledge, "DENSE_LIMIT", 4)
    records = records_of((1, 10, 0.1), (1, 11, 0.2), (1, 12, 0.3), (2, 11, 0.4), (2, 12, 0.5), (2, 13, 0.6))
    assert records.strategies == (toy_strategy(11), toy_strategy(12))
    np.testing.assert_array_equal(records.scores, [[0.2, 0.3], [0.4, 0.5]])


def test_kinds_and_metrics_are_apart():
    with Experience.open(mode="off", shipped=False) as experience:
        task = toy_task(1)
        run = begin(experience, task)
        experience.append([toy_trial(task, run, 0, metric="accuracy", score=0.25)])
        assert len(experience.records(KIND)) == 0
        assert len(experience.records(TaskKind.REGRESSION)) == 0
        assert experience.records(KIND, "accuracy").scores.tolist() == [[0.25]]


def test_vectors_of_an_earlier_version_are_average_in_what_it_did_not_know():
    found = aligned([np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0]), np.array([0.0, 0.0, 7.0, 9.0])[:3]], 3)
    np.testing.assert_array_equal(found, [[1, 2, 6], [3, 4, 5], [0, 0, 7]])
    np.testing.assert_array_equal(aligned([np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0])], 2), [[1, 2], [4, 5]])
