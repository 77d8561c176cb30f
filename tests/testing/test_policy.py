from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import pytest

from gstar.errors import UsageError
from gstar.policies.random import RandomPolicy
from gstar.policy import AbstractPolicy, Context
from gstar.records import Records
from gstar.strategy import Strategy
from gstar.testing.policy import RECORDS, PolicyContract, toy_learners, toy_records, toy_strategies
from gstar.trial import Proposal, Trial

Change = Callable[[Proposal | None, Context, int], Proposal | None]


@dataclass
class Spoiled(AbstractPolicy):
    """Random search whose proposals are spoiled in one way."""

    records: Records
    change: Change
    asked: int = 0
    name: ClassVar[str] = "spoiled"

    @property
    def version(self) -> str:
        return "1"

    def ask(self, contexts: Sequence[Context], rng: np.random.Generator) -> list[Proposal | None]:
        proposals = RandomPolicy(self.records, learners=toy_learners()).ask(contexts, rng)
        self.asked += 1
        return [self.change(p, c, self.asked) for p, c in zip(proposals, contexts, strict=True)]

    def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
        return {"trials": "many"} if trials else {}  # type: ignore[dict-item]


def _with(proposal: Proposal | None, **changes: object) -> Proposal | None:
    return None if proposal is None else replace(proposal, **changes)  # type: ignore[arg-type]


FIRST = toy_strategies(1)[0]
SPOILED: dict[str, tuple[str, Change, str]] = {
    "an invalid configuration": (
        "test_proposals_are_valid_points",
        lambda p, c, n: _with(p, strategy=Strategy("ridge", {"strength": -1.0})),
        "'strength': Expected a number",
    ),
    "a schedule without a rate": (
        "test_proposals_are_valid_points",
        lambda p, c, n: _with(p, strategy=Strategy("ridge", {"strength": 1.0}, schedule={"kind": "constant"})),
        "A schedule is for learners with a rate",
    ),
    "the same again": (
        "test_never_repeats",
        lambda p, c, n: _with(p, strategy=FIRST),
        "Expected different strategies",
    ),
    "what is running": (
        "test_never_repeats",
        lambda p, c, n: _with(p, strategy=c.pending[0]) if c.pending else p,
        "nothing pending",
    ),
    "a certain choice by chance": (
        "test_certain_choices_do_not_depend_on_the_seed",
        lambda p, c, n: _with(p, log_prob=0.0),
        "Expected one strategy",
    ),
    "no probability": (
        "test_log_probabilities_are_finite",
        lambda p, c, n: _with(p, log_prob=float("nan")),
        "Expected a finite log_prob",
    ),
    "a hidden state": (
        "test_ask_changes_nothing",
        lambda p, c, n: _with(p, log_prob=float(n)),
        "Expected of the same question",
    ),
    "a batch unlike its parts": (
        "test_many_contexts_are_asked_one_by_one",
        lambda p, c, n: _with(p, log_prob=float(n)),
        "Expected of several contexts",
    ),
    "giving up": (
        "test_all_failed",
        lambda p, c, n: None if c.history else p,
        "although all failed",
    ),
    "nothing at all": (
        "test_proposes_something_new_first",
        lambda p, c, n: None,
        "Expected a proposal for a fresh task",
    ),
    "statistics that are no numbers": (
        "test_tell_returns_statistics",
        lambda p, c, n: p,
        "Expected floats by name",
    ),
}


@pytest.mark.parametrize("fault", sorted(SPOILED))
def test_the_contract_sees(fault: str) -> None:
    check, change, message = SPOILED[fault]
    with pytest.raises((AssertionError, UsageError), match=message):
        getattr(PolicyContract(), check)(lambda records: Spoiled(records, change), RECORDS["one task"]())


def test_the_contract_sees_spending_beyond_the_budget() -> None:
    spender = Spoiled(toy_records(1), lambda p, c, n: Proposal(FIRST, 0.0, "spender"))
    with pytest.raises(AssertionError, match="Expected None when the budget is spent"):
        PolicyContract().test_stops_when_the_budget_is_spent(lambda _: spender, toy_records(1), {"trials_left": 0})


def test_the_contract_sees_a_learner_that_is_not_allowed() -> None:
    stranger = Spoiled(toy_records(1), lambda p, c, n: _with(p, strategy=Strategy("network")))
    with pytest.raises(AssertionError, match="Expected learners among"):
        PolicyContract().test_respects_the_learners(lambda _: stranger, toy_records(1), ("ridge",))


def test_the_contract_sees_an_eye_for_order() -> None:
    def first(records: Records) -> Spoiled:
        return Spoiled(records, lambda p, c, n: _with(p, log_prob=float(int(records.strategies[0].hash, 16))))

    with pytest.raises(AssertionError, match="records in another order"):
        PolicyContract().test_order_of_records_does_not_matter(first, toy_records(4))


def test_the_contract_sees_a_seed_that_is_not_heeded() -> None:
    drawn = np.random.default_rng(0)
    moody = partial(Spoiled, change=lambda p, c, n: _with(p, log_prob=float(drawn.random())))
    with pytest.raises(AssertionError, match="Expected of the same seed"):
        PolicyContract().test_is_a_function_of_its_seed(moody, toy_records(4))


def test_toy_records_have_what_they_say() -> None:
    records = toy_records(30, 20, holes=0.3)
    assert records.scores.shape == (30, 20)
    assert len(set(records.strategies)) == 20
    assert 0.2 < np.isnan(records.scores).mean() < 0.4
    assert ((records.counts > 0) == np.isfinite(records.scores)).all()
