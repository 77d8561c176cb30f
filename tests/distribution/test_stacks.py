"""Heads that are computed together give what each of them gives alone."""

import numpy as np
import pytest

from gstar.distribution.heads import head_of
from gstar.distribution.points import Points
from gstar.distribution.stacks import AbstractStack, stacks_of
from gstar.space import Categorical, Integer, Real, Space

PARAMETERS = {
    "real": Real(0.0, 1.0),
    "choice": Categorical(("a", "b", "c")),
    "integer": Integer(1, 300, log=True),
    "fixed": Integer(4, 4),
    "more choice": Categorical((True, False)),
    "more real": Real(1e-3, 10.0, log=True),
    "more integer": Integer(2, 9),
    "more fixed": Real(0.5, 0.5),
}
HEADS = {name: head_of(parameter) for name, parameter in PARAMETERS.items()}
STARTS = np.cumsum([0, *(head.size for head in HEADS.values())])[:-1]
STACKS = stacks_of(list(HEADS.values()), STARTS)
SIZE = sum(head.size for head in HEADS.values())
RAW, OTHER = np.random.default_rng(0).standard_normal((2, 4, SIZE))


def alone(stack: AbstractStack, h: int) -> AbstractStack:
    return stacks_of([stack.heads[h]], stack.starts[h : h + 1])[0]


def test_every_head_is_in_one_stack_of_its_kind():
    assert sorted(np.concatenate([stack.columns for stack in STACKS])) == list(range(len(HEADS)))
    assert [len(stack.heads) for stack in STACKS] == [2, 2, 2, 2]


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: type(stack).__name__)
@pytest.mark.parametrize("powers", [(-1.0, 0.0), (1.0, 1.0), (-0.5, -0.2)])
def test_ratios_are_those_of_each_head_alone(stack: AbstractStack, powers: tuple[float, float]):
    for other in (None, OTHER):
        found = stack.mean_log_ratio(RAW, other, powers)
        assert found.shape == (4, 2)
        for h in range(2):
            assert found[:, h] == pytest.approx(alone(stack, h).mean_log_ratio(RAW, other, powers)[:, 0], abs=1e-12)


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: type(stack).__name__)
def test_places_are_found_in_points_and_have_the_probability_of_their_head(stack: AbstractStack):
    rng = np.random.default_rng(1)
    drawn = {
        name: head.draw(RAW[:, start : start + head.size], rng.random(4))
        for start, (name, head) in zip(STARTS, HEADS.items(), strict=True)
    }
    left_out = {0: "integer", 1: "choice", 2: "more real", 3: "fixed"}
    points = Points.of(
        Space(PARAMETERS), HEADS, [{n: v[i] for n, v in drawn.items() if n != left_out[i]} for i in range(4)]
    )
    rows, which, left, right = stack.places_of(points)
    assert len(rows) == 7, "one is off"
    found = stack.log_prob(RAW, rows, which, left, right)
    under_each = stack.log_prob(RAW, None, which, left, right)
    assert under_each.shape == (4, 7)
    for m in range(7):
        place = np.array([0]), left[m : m + 1], right[m : m + 1]
        expected = alone(stack, which[m]).log_prob(RAW, None, *place)[:, 0]
        assert under_each[:, m] == pytest.approx(expected)
        assert found[m] == pytest.approx(expected[rows[m]])
