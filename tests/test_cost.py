from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gstar import cost
from gstar.cost import OVERHEAD_S, CostModel, folds_of
from gstar.metric import TaskKind
from gstar.records import Records
from gstar.strategy import SELECTION_SPACE, Strategy
from gstar.testing.policy import N_META_FEATURES, toy_learners, toy_records, toy_strategies, toy_trial
from gstar.trial import Proposal, Status, Trial

SHAPE = (20_000, 30, 2)
EMPTY = Records.empty(TaskKind.BINARY, N_META_FEATURES)


def _work(strategy: Strategy) -> float:
    return toy_learners()[strategy.learner].work(*SHAPE, strategy.configuration)


def _trial(strategy: Strategy, seconds: float, *, folds: int = 1, status: Status = Status.COMPLETED) -> Trial:
    trial = toy_trial(Proposal(strategy, 0.0, "test"), 0.5, cost_s=folds * seconds)
    return replace(trial, status=status, fidelity=f"{folds}-fold" if folds > 1 else "holdout")


def _of(learner: str, n: int = 3) -> list[Strategy]:
    return [s for s in toy_strategies(60) if s.learner == learner][:n]


def test_without_records_it_is_the_learners_own_guess() -> None:
    strategies = toy_strategies(10)
    mean, deviation = CostModel(EMPTY, toy_learners()).predict(strategies, SHAPE)
    np.testing.assert_allclose(np.exp(mean), [_work(s) + OVERHEAD_S for s in strategies])
    assert np.all(deviation > 0.5)


def test_learns_what_a_learner_really_costs() -> None:
    records = toy_records(30, holes=0.0)
    costs = np.array([[7.0 if s.learner == "trees" else 1.0 for s in records.strategies]] * 30)
    work = [[toy_learners()[s.learner].work(*map(int, r), {}) for s in records.strategies] for r in records.shapes]
    records = replace(records, costs=costs * (np.array(work) + OVERHEAD_S))
    model = CostModel(records, toy_learners())
    (trees,), (sure,) = model.predict(_of("trees", 1), SHAPE)
    (ridge,), _ = model.predict(_of("ridge", 1), SHAPE)
    assert np.exp(trees) / (_work(_of("trees", 1)[0]) + OVERHEAD_S) == pytest.approx(7, rel=0.25)
    assert np.exp(ridge) / (_work(_of("ridge", 1)[0]) + OVERHEAD_S) == pytest.approx(1, rel=0.25)
    (_,), (unsure,) = CostModel(EMPTY, toy_learners()).predict(_of("trees", 1), SHAPE)
    assert sure < unsure


def test_learns_what_a_strategy_costs_beyond_its_learner() -> None:
    records = toy_records(30, holes=0.0)
    dear = next(j for j, s in enumerate(records.strategies) if s.learner == "network")
    plain = next(j for j, s in enumerate(records.strategies) if s.learner == "network" and j != dear)
    costs = records.costs.copy()
    costs[:, dear] *= 5
    model = CostModel(replace(records, costs=costs), toy_learners())
    (a, b), _ = model.predict([records.strategies[dear], records.strategies[plain]], SHAPE)
    assert 3 < np.exp(a - b) < 7


def test_a_slow_machine_is_recognised_after_a_few_trials() -> None:
    model = CostModel(EMPTY, toy_learners())
    tried = [*_of("trees"), *_of("ridge")]
    history = [_trial(s, 2 * (_work(s) + OVERHEAD_S)) for s in tried]
    other = _of("network", 1)
    before, doubt = model.predict(other, SHAPE)
    after, less_doubt = model.predict(other, SHAPE, history)
    assert 1.5 < np.exp(after - before)[0] < 2.1
    assert less_doubt[0] < doubt[0]


def test_folds_are_told_apart() -> None:
    model = CostModel(EMPTY, toy_learners())
    strategy = _of("trees", 1)[0]
    single = model.predict([strategy], SHAPE, [_trial(strategy, 9.0)])
    five = model.predict([strategy], SHAPE, [_trial(strategy, 9.0, folds=5)])
    np.testing.assert_allclose(single, five)


def test_out_of_time_corrects_upwards_only() -> None:
    model = CostModel(EMPTY, toy_learners())
    strategy = _of("trees", 1)[0]
    before, _ = model.predict([strategy], SHAPE)
    cut, _ = model.predict([strategy], SHAPE, [_trial(strategy, 0.2 * _work(strategy), status=Status.OUT_OF_TIME)])
    late, _ = model.predict([strategy], SHAPE, [_trial(strategy, 9 * _work(strategy), status=Status.OUT_OF_TIME)])
    assert cut[0] == before[0]
    assert late[0] > before[0] + 0.5


@pytest.mark.parametrize("status", [Status.FAILED, Status.CRASHED, Status.OUT_OF_MEMORY])
def test_a_failure_says_nothing_of_cost(status: Status) -> None:
    model = CostModel(EMPTY, toy_learners())
    strategy = _of("trees", 1)[0]
    before, _ = model.predict([strategy], SHAPE)
    after, _ = model.predict([strategy], SHAPE, [_trial(strategy, 1e-3, status=status)])
    assert before == after


def test_a_part_of_the_rows_costs_less() -> None:
    whole = _of("network", 1)[0]
    part = replace(whole, selection=SELECTION_SPACE.complete({"kind": "part", "part_fraction": 0.25}))
    mean, _ = CostModel(EMPTY, toy_learners()).predict([whole, part], SHAPE)
    assert np.exp(mean[1] - mean[0]) == pytest.approx(0.25, rel=0.05)


def test_an_unknown_learner_is_priced_and_teaches_nothing() -> None:
    model = CostModel(EMPTY, toy_learners())
    stranger = Strategy("stranger")
    known = _of("ridge", 1)
    before, _ = model.predict([*known, stranger], SHAPE)
    after, _ = model.predict([*known, stranger], SHAPE, [_trial(stranger, 500.0)])
    assert np.isfinite(before).all()
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(("fidelity", "folds"), [("holdout", 1), ("5-fold", 5), ("10-fold", 10), ("0-fold", 1)])
def test_folds_of(fidelity: str, folds: int) -> None:
    assert folds_of(fidelity) == folds


def test_of_many_costs_those_of_all_strategies_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    records = toy_records(30, holes=0.0)
    monkeypatch.setattr(cost, "MAX_CELLS", 30 * 4)
    model = CostModel(records, toy_learners())
    assert np.mean([model._strategy_offset[s.hash] != 0 for s in records.strategies]) > 0.9
