"""The tree of choices: sampling, probability, encoding, conditions, JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gstar.errors import UsageError
from gstar.space import Categorical, Condition, Integer, Real, Space, nest

names = st.sampled_from("abcdefgh")
parameters = st.one_of(
    st.lists(st.one_of(st.booleans(), st.integers(-5, 5), st.text(max_size=3)), min_size=1, max_size=4).map(
        lambda values: Categorical(tuple({f"{type(v).__name__}{v}": v for v in values}.values()))
    ),
    st.tuples(st.floats(1e-3, 10), st.floats(0, 10), st.booleans()).map(lambda t: Real(t[0], t[0] + t[1], t[2])),
    st.tuples(st.integers(1, 50), st.integers(0, 300), st.booleans()).map(lambda t: Integer(t[0], t[0] + t[1], t[2])),
)


@st.composite
def spaces(draw):
    chosen = draw(st.dictionaries(names, parameters, min_size=1, max_size=6))
    conditions = {}
    earlier: list[str] = []
    for name, _ in chosen.items():
        parents = [p for p in earlier if isinstance(chosen[p], Categorical)]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            conditions[name] = Condition(parent, (draw(st.sampled_from(chosen[parent].choices)),))
        earlier.append(name)
    return Space(chosen, conditions)


@settings(max_examples=100, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_samples_are_valid_encodable_and_survive_json(space, seed):
    point = space.sample(np.random.default_rng(seed))
    space.validate(point)
    row = space.encode(point)
    assert row.shape == (space.size,)
    assert np.all((row >= 0) & (row <= 1))
    assert math.isfinite(space.log_prob(point))
    assert json.loads(json.dumps(point)) == point
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
    assert space.sample(np.random.default_rng(seed)) == point


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(0, 60), st.booleans())
def test_integer_masses_sum_to_one_and_match_sampling(low, width, log):
    parameter = Integer(low, low + width, log)
    masses = [math.exp(parameter.log_prob(v)) for v in range(low, low + width + 1)]
    assert sum(masses) == pytest.approx(1.0)
    for value in range(low, low + width + 1):
        left, right = parameter.edges(value)
        assert parameter.from_unit(0.5 * (left + right)) == value


def test_integer_sampling_follows_its_log_prob():
    parameter = Integer(1, 4, log=True)
    rng = np.random.default_rng(0)
    counts = np.bincount([parameter.sample(rng) for _ in range(20_000)], minlength=5)[1:] / 20_000
    expected = [math.exp(parameter.log_prob(v)) for v in (1, 2, 3, 4)]
    assert counts == pytest.approx(expected, abs=0.015)


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-4, 1e3), st.floats(1.01, 1e4), st.floats(0, 1), st.booleans())
def test_real_unit_scale_goes_both_ways(low, factor, u, log):
    parameter = Real(low, low * factor, log)
    assert parameter.to_unit(parameter.from_unit(u)) == pytest.approx(u, abs=1e-3)


def test_off_parameters_contribute_nothing():
    space = Space(
        {"kernel": Categorical(("linear", "rbf")), "gamma": Integer(1, 10)}, {"gamma": Condition("kernel", ("rbf",))}
    )
    assert space.log_prob({"kernel": "linear"}) == pytest.approx(math.log(0.5))
    assert space.log_prob({"kernel": "rbf", "gamma": 3}) == pytest.approx(math.log(0.05))
    assert space.encode({"kernel": "linear"}).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("configuration", "match"),
    [
        ({"kernel": "poly"}, "'kernel': Expected one of"),
        ({"kernel": "linear", "gamma": 3}, "'gamma' is off here"),
        ({"kernel": "rbf"}, "Missing parameters: \\['gamma'\\]"),
        ({"kernel": "rbf", "gamma": 11}, "integer in \\[1, 10\\]"),
        ({"kernel": "rbf", "gamma": 3.0}, "Expected an integer"),
        ({"kernel": "rbf", "gamma": True}, "Expected an integer"),
        ({"kernel": "rbf", "gama": 3}, "Did you mean 'gamma'"),
    ],
)
def test_wrong_configurations_are_refused_by_name(configuration, match):
    space = Space(
        {"kernel": Categorical(("linear", "rbf")), "gamma": Integer(1, 10)}, {"gamma": Condition("kernel", ("rbf",))}
    )
    with pytest.raises(UsageError, match=match):
        space.validate(configuration)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: Categorical(()), "at least one choice"),
        (lambda: Real(2, 1), "low <= high"),
        (lambda: Real(0, 1, log=True), "log scale needs low > 0"),
        (lambda: Real(0, float("inf")), "finite bounds"),
        (lambda: Space({"a": Integer(0, 1)}, {"a": Condition("b", (1,))}), "does not stand before"),
        (lambda: Space({"a": Categorical((1, 2)), "b": Integer(0, 1)}, {"b": Condition("a", (3,))}), "Expected one of"),
        (lambda: Space({}, {"b": Condition("a", (3,))}), "no parameter of the space"),
    ],
)
def test_impossible_spaces_are_refused(build, match):
    with pytest.raises(UsageError, match=match):
        build()


def test_one_and_true_are_different_choices():
    parameter = Categorical((True, 1))
    assert parameter.index(1) == 1
    assert parameter.index(True) == 0


def test_complete_fills_in_defaults():
    space = Space({"a": Integer(1, 9, default=4), "b": Real(0, 1, default=0.25)})
    assert space.complete({"b": 0.5}) == {"a": 4, "b": 0.5}


def test_nest_turns_on_one_branch_at_a_time():
    inner = Space({"k": Categorical(("x", "y")), "n": Integer(1, 3)}, {"n": Condition("k", ("y",))})
    space = nest({"left": inner, "right": Space({})}, root="side", default="right")
    assert space.default() == {"side": "right"}
    space.validate({"side": "left", "left.k": "y", "left.n": 2})
    with pytest.raises(UsageError, match="off here"):
        space.validate({"side": "right", "left.k": "x"})
