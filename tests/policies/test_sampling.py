from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from gstar.policies.sampling import Draw, restrict
from gstar.space import Categorical, Condition, Integer, Real, Space
from gstar.strategy import Strategy, strategy_space

DISCRETE = strategy_space(
    {
        "a": Space({"kind": Categorical(("x", "y")), "n": Integer(1, 3)}, {"n": Condition("kind", ("y",))}),
        "b": Space({}),
    }
)
SMALL = restrict(DISCRETE, "selection.kind", ("all", "balanced"))


def _all_points() -> list[Strategy]:
    found = set()
    rng = np.random.default_rng(0)
    for _ in range(500):
        found.add(Draw(SMALL).sample(rng))
    return sorted(found, key=lambda s: s.hash)


@pytest.mark.parametrize("step", [math.inf, 0.2])
@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_probabilities_sum_to_one(keep: float, step: float) -> None:
    base = {"learner": "a", "a.kind": "y", "a.n": 2, "selection.kind": "all"}
    points = _all_points()
    assert len(points) == 10
    assert sum(math.exp(Draw(SMALL, base, keep, step).log_prob(s)) for s in points) == pytest.approx(1)


@pytest.mark.parametrize("step", [math.inf, 0.2])
@pytest.mark.parametrize("keep", [0.0, 0.6])
def test_draws_have_the_stated_probabilities(keep: float, step: float) -> None:
    draw = Draw(SMALL, {"learner": "a", "a.kind": "y", "a.n": 3, "selection.kind": "all"}, keep, step)
    rng = np.random.default_rng(1)
    n = 4000
    counts = Counter(draw.sample(rng) for _ in range(n))
    for strategy in _all_points():
        p = math.exp(draw.log_prob(strategy))
        assert abs(counts[strategy] / n - p) < 4 * math.sqrt(p * (1 - p) / n) + 1e-9


def test_what_is_taken_is_left_out_and_the_rest_renormalised() -> None:
    points, rng, draw = _all_points(), np.random.default_rng(2), Draw(SMALL)
    taken = set(points[:6])
    drawn = [draw.sample_new(taken, rng) for _ in range(50)]
    assert all(d is not None for d in drawn)
    log_probs = {d[0]: d[1] for d in drawn if d is not None}
    assert set(log_probs) == set(points[6:])
    assert sum(math.exp(v) for v in log_probs.values()) == pytest.approx(1)


def test_an_exhausted_tree_gives_none() -> None:
    assert Draw(SMALL).sample_new(_all_points(), np.random.default_rng(0)) is None


def test_a_real_number_is_a_density_unless_it_is_kept() -> None:
    tree = restrict(strategy_space({"a": Space({"x": Real(0, 1)})}), "selection.kind", ("all",))
    base = Strategy.from_point({"learner": "a", "a.x": 0.25, "selection.kind": "all"})
    other = Strategy.from_point({"learner": "a", "a.x": 0.75, "selection.kind": "all"})
    near, prior = Draw(tree, base.to_point(), 0.7), Draw(tree)
    assert prior.mass(base) == 0.0
    assert near.mass(base) == pytest.approx(0.7)
    assert near.mass(other) == 0.0
    assert math.exp(near.log_prob(other)) == pytest.approx(0.3)
    strategy, log_prob = near.sample_new([base], np.random.default_rng(0)) or (base, 0.0)
    assert strategy != base
    assert log_prob == pytest.approx(0.0), "given that it is not the base, the density is 1"


def test_a_moved_number_stays_near_with_the_stated_density() -> None:
    tree = restrict(strategy_space({"a": Space({"x": Real(1, 100, log=True)})}), "selection.kind", ("all",))
    draw = Draw(tree, {"learner": "a", "a.x": 50.0, "selection.kind": "all"}, 0.0, 0.1)
    places = np.linspace(0, 1, 2001)
    values = [Real(1, 100, log=True).from_unit(u) for u in places]
    density = [math.exp(draw.log_prob(Strategy("a", {"x": v}, {"kind": "all"}))) for v in values]
    assert np.trapezoid(density, places) == pytest.approx(1, abs=1e-3)
    rng = np.random.default_rng(0)
    drawn = [Real(1, 100, log=True).to_unit(float(draw.sample(rng).configuration["x"])) for _ in range(1000)]  # type: ignore[arg-type]
    at = Real(1, 100, log=True).to_unit(50.0)
    assert np.std(drawn) < 0.1
    for place in (at - 0.1, at, at + 0.05):
        below = np.trapezoid(np.where(places <= place, density, 0.0), places)
        assert abs(np.mean(np.array(drawn) <= place) - below) < 4 * math.sqrt(0.25 / 1000)


def test_restrict_takes_children_along() -> None:
    assert "selection.part_fraction" in DISCRETE.parameters
    assert "selection.part_fraction" not in SMALL.parameters
    assert "selection.part_fraction" not in SMALL.conditions


def test_a_foreign_strategy_has_no_mass() -> None:
    assert Draw(SMALL).mass(Strategy("nobody")) == 0.0


def test_restrict_keeps_children_of_what_is_left() -> None:
    tree = Space(
        {"kind": Categorical(("a", "b", "c")), "x": Real(0, 1), "y": Real(0, 1)},
        {"x": Condition("kind", ("a", "b")), "y": Condition("kind", ("c",))},
    )
    left = restrict(tree, "kind", ("b",))
    assert left.conditions == {"x": Condition("kind", ("b",))}
    assert left.default() == {"kind": "b", "x": 0.5}
