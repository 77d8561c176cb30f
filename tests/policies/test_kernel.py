from __future__ import annotations

import numpy as np

from gstar.policies.kernel import SAME_LEARNER, Encoder, likeness, same
from gstar.strategy import Strategy
from gstar.testing.policy import toy_learners, toy_strategies


def test_likeness_is_a_kernel() -> None:
    codes = Encoder(toy_learners()).encode(toy_strategies(40))
    matrix = likeness(codes, codes)
    np.testing.assert_allclose(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), 1.0)
    assert np.linalg.eigvalsh(matrix).min() > -1e-9


def test_strategies_of_one_learner_are_alike_of_two_not() -> None:
    strategies = toy_strategies(40)
    codes = Encoder(toy_learners()).encode(strategies)
    matrix = likeness(codes, codes)
    together = np.array([[a.learner == b.learner for a in strategies] for b in strategies])
    assert matrix[together].min() >= SAME_LEARNER
    assert matrix[~together].max() == 0.0


def test_a_stranger_is_alike_to_its_own_learner_only() -> None:
    encoder = Encoder(toy_learners())
    codes = encoder.encode([Strategy("x"), Strategy("x", {"a": 1}), Strategy("y"), *toy_strategies(1)])
    np.testing.assert_allclose(likeness(codes, codes)[0], [1, 1, 0, 0])
    np.testing.assert_allclose(same(codes, codes), np.eye(4))


def test_an_outdated_configuration_is_still_of_its_learner() -> None:
    codes = Encoder(toy_learners()).encode(
        [Strategy("trees", {"depth": "deep"}), Strategy("trees", {"depth": 3, "leaf": 4})]
    )
    assert SAME_LEARNER <= likeness(codes, codes)[0, 1] < 1
