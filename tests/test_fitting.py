"""A training on its way: what it tells a controller, what decisions do to it, and that branches are independent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gstar.control import DECISIONS
from gstar.errors import UsageError
from gstar.fitting import Fitting
from gstar.learner import get_learner
from gstar.metric import METRICS, TaskKind
from tests.small_training import make_rows, make_spec

NAMED = {d.name: d for d in DECISIONS}


def start(**schedule):
    return Fitting.start(get_learner("mlp"), *make_rows(), make_spec(**schedule), loss="log_loss")


def to_point(fitting):
    while not fitting.is_due:
        fitting.look()
    return fitting


def to_end(fitting):
    while not fitting.ended:
        fitting.look()
    return fitting


def test_branches_of_a_state_do_not_touch_each_other():
    trunk = to_point(start())
    branches = {name: trunk.branch() for name in ("go_on", "faster", "drop", "balance")}
    for name, branch in branches.items():
        branch.decide(NAMED[name])
        to_end(branch)
    alone = to_end(start())
    np.testing.assert_array_equal(branches["go_on"].prediction, alone.prediction)
    to_end(trunk)
    np.testing.assert_array_equal(trunk.prediction, alone.prediction)
    others = [branches[name].prediction for name in ("faster", "drop", "balance")]
    assert all(not np.array_equal(p, alone.prediction) for p in others)


def test_it_sees_losses_as_shares_of_a_constant_prediction():
    fitting = to_point(start())
    seen = fitting.observe()
    target = make_rows()[1]
    _, valid = fitting.spec.validation
    shares = np.tile(np.bincount(target) / len(target), (len(valid), 1))
    constant = -METRICS["log_loss"].score(valid, shares)
    assert seen.valid_loss == pytest.approx(-METRICS["log_loss"].score(valid, fitting.prediction) / constant)
    assert seen.support_loss == pytest.approx(fitting.state.support_loss / constant)
    assert seen.valid_slope == pytest.approx(np.log(seen.valid_loss) / seen.progress)
    assert seen.best_valid_loss <= seen.valid_loss
    assert seen.rows == 160
    assert seen.planned_steps == pytest.approx(fitting.state.training.plan.planned)
    assert 0 < seen.imbalance < 1
    assert seen.is_binary
    wrong = fitting.prediction[np.arange(len(valid)), valid] < 0.5 * shares[np.arange(len(valid)), valid]
    assert seen.contradicted == pytest.approx(wrong.mean())


def test_slopes_count_from_the_last_point():
    fitting = to_point(start())
    first = fitting.observe()
    fitting.decide(NAMED["slower"])
    second = to_point(fitting).observe()
    slope = np.log(second.valid_loss / first.valid_loss) / (second.progress - first.progress)
    assert second.valid_slope == pytest.approx(slope)
    assert second.rate_decided == pytest.approx(0.3)
    assert second.rate == pytest.approx(0.3 * first.rate)


def test_it_sees_what_the_schedule_still_does():
    rates = {kind: to_point(start(kind=kind)).observe() for kind in ("constant", "decay") if kind == "constant"}
    decaying = to_point(start(kind="decay", decay_final=0.01)).observe()
    assert rates["constant"].rate_left == 1.0
    assert decaying.rate == pytest.approx(0.01**decaying.progress)
    assert decaying.rate_left < 0.5


def test_balance_weighs_the_classes_of_the_validation_rows_alike():
    fitting = to_point(start())
    fitting.decide(NAMED["balance"])
    _, valid = fitting.spec.validation
    losses = -np.log(fitting.best.prediction[np.arange(len(valid)), valid])
    even = np.mean([losses[valid == c].mean() for c in (0, 1)])
    assert -fitting.best.score == pytest.approx(even, rel=1e-5)
    fitting.look()
    losses = -np.log(fitting.prediction[np.arange(len(valid)), valid])
    assert -fitting.score == pytest.approx(np.mean([losses[valid == c].mean() for c in (0, 1)]), rel=1e-5)
    assert fitting.state.training.balanced


def test_values_are_seen_on_the_same_scale():
    inputs, _ = make_rows()
    values = 100.0 * inputs.numbers[:, 0] + 1000.0
    valid = make_rows(80, seed=1)[0]
    configuration = get_learner("mlp").space.complete({**make_spec().configuration, "target": "standard"})
    spec = replace(
        make_spec(),
        kind=TaskKind.REGRESSION,
        n_classes=0,
        configuration=configuration,
        validation=(valid, 100.0 * valid.numbers[:, 0] + 1000.0),
    )
    seen = to_point(Fitting.start(get_learner("mlp"), inputs, values, spec, loss="rmse")).observe()
    assert seen.is_regression
    assert not seen.is_binary
    assert seen.contradicted == seen.imbalance == 0.0
    assert 0.05 < seen.valid_loss < 1.2
    assert 0.3 < seen.support_loss / seen.valid_loss < 3.0


def test_nothing_is_seen_before_the_first_look():
    with pytest.raises(UsageError, match="Expected a training that has begun"):
        start().observe()
