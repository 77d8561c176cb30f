"""Columns that belong to several heads give what each head's own columns give, and so do their derivatives."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, hessian

from gstar.distribution.segments import firsts, log_shares, mean_log_ratio, spread, sum_by, sums
from tests.distribution.central import central

COUNTS = np.array([3, 1, 2])
PARTS = [slice(0, 3), slice(3, 4), slice(4, 6)]
LOGITS = np.random.default_rng(0).standard_normal((2, 6))
OTHERS = np.random.default_rng(1).standard_normal((2, 6))


def test_sums_shares_and_ratios_are_those_of_each_head():
    logs, others = log_shares(LOGITS, COUNTS), log_shares(OTHERS, COUNTS)
    p, q = np.exp(logs), np.exp(others)
    weights = np.arange(1.0, 7.0)
    found = mean_log_ratio(logs, others, COUNTS, (0.3, -0.7), weights)
    alone = mean_log_ratio(logs, None, COUNTS, (-1.0, 0.0))
    for h, part in enumerate(PARTS):
        assert firsts(COUNTS)[h] == part.start
        assert sums(LOGITS, COUNTS)[:, h] == pytest.approx(LOGITS[:, part].sum(axis=1))
        exponentials = np.exp(LOGITS[:, part])
        assert p[:, part] == pytest.approx(exponentials / exponentials.sum(axis=1, keepdims=True))
        ratios = p[:, part] * (0.3 * np.log(p[:, part]) + 0.7 * np.log(q[:, part]))
        assert found[:, h] == pytest.approx(ratios @ weights[part])
        assert alone[:, h] == pytest.approx(-(p[:, part] * logs[:, part]).sum(axis=1))


def test_huge_logits_stay_finite():
    logs = log_shares(np.array([[1e4, -1e4, 0.0, 800.0, -800.0, -800.0]]), COUNTS)
    assert logs[0] == pytest.approx([0, -2e4, -1e4, 0, -np.log(2), -np.log(2)])


def test_derivatives_are_central_differences_twice():
    def weighed(row):
        logs = log_shares(anp.reshape(row, (2, 6)), COUNTS)
        wide = spread(mean_log_ratio(logs, OTHERS, COUNTS, (0.3, -0.7)), COUNTS)
        return anp.sum(sum_by(anp.ravel(wide * OTHERS * logs), np.arange(12) % 5, 5) ** 2)

    row = LOGITS.ravel()
    assert grad(weighed)(row) == pytest.approx(central(weighed, row), rel=1e-5, abs=1e-6)
    slopes = [central(lambda r, i=i: grad(weighed)(r)[i], row) for i in range(12)]
    assert hessian(weighed)(row) == pytest.approx(np.array(slopes), rel=1e-4, abs=1e-5)
