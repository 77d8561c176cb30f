"""g over a tree is a distribution: under conditions, with and without a context."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, hessian

from gstar.distribution import TreeDistribution
from gstar.errors import UsageError
from gstar.space import Categorical, Condition, Integer, Real, Space
from tests.distribution.central import central

DISCRETE = Space(
    {
        "learner": Categorical(("a", "b", "c")),
        "a.depth": Integer(1, 5),
        "b.kind": Categorical(("x", "y")),
        "b.units": Integer(4, 64, log=True),
        "seeded": Categorical((True, False)),
    },
    {
        "a.depth": Condition("learner", ("a",)),
        "b.kind": Condition("learner", ("b",)),
        "b.units": Condition("b.kind", ("y",)),
    },
)
MIXED = Space(
    {
        "learner": Categorical(("a", "b", "c")),
        "depth": Integer(1, 6),
        "rate": Real(1e-4, 1.0, log=True),
        "share": Real(0.0, 1.0),
    },
    {
        "depth": Condition("learner", ("a", "b")),
        "rate": Condition("depth", (2, 3)),
    },
)
MAPS = pytest.mark.parametrize(("context_size", "hidden"), [(0, 0), (2, 0), (2, 3)], ids=["free", "linear", "hidden"])


def random_meta(g: TreeDistribution, seed: int = 0, scale: float = 0.5) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal(g.size)


def random_contexts(g: TreeDistribution, n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, g.context_size))


@MAPS
def test_masses_of_a_discrete_tree_sum_to_1_and_give_entropy_and_divergence(context_size: int, hidden: int):
    g = TreeDistribution(DISCRETE, context_size, hidden, cells=100)
    points, log_sizes = g.enumerate()
    assert len(points) == 2 * (5 + 1 + 61 + 1)
    assert np.all(log_sizes == 0)
    meta, other = random_meta(g), random_meta(g, 5)
    for context in random_contexts(g, 4):
        log_p, log_q = (g.log_prob(m, context[None], points) for m in (meta, other))
        p = np.exp(log_p)
        assert p.sum() == pytest.approx(1.0)
        assert g.entropy(meta, context[None])[0] == pytest.approx(-(p * log_p).sum())
        assert g.kl(meta, other, context[None])[0] == pytest.approx((p * (log_p - log_q)).sum())


def test_masses_of_a_mixed_tree_sum_to_nearly_1():
    g = TreeDistribution(MIXED, cells=60)
    points, log_sizes = g.enumerate()
    meta = random_meta(g, scale=0.3)
    assert np.exp(g.log_prob(meta, g.no_context, points) + log_sizes).sum() == pytest.approx(1.0, abs=1e-3)


@MAPS
def test_what_is_off_contributes_nothing(context_size: int, hidden: int):
    g = TreeDistribution(DISCRETE, context_size, hidden)
    contexts = random_contexts(g, 1)
    point = g.points([{"learner": "c", "seeded": True}])
    meta = random_meta(g)
    raw = g.map(meta, contexts)
    logs = {name: g.heads[name].log_probs(raw[:, g.slices[name]])[0] for name in ("learner", "seeded")}
    expected = logs["learner"][2] + logs["seeded"][0]
    assert g.log_prob(meta, contexts, point)[0] == pytest.approx(expected)
    gradient = grad(lambda m: anp.sum(g.log_prob(m, contexts, point)))(meta)[: g.map.raw_size]
    for name in ("a.depth", "b.kind", "b.units"):
        assert np.all(gradient[g.slices[name]] == 0)
    assert np.all(gradient[g.slices["learner"]] != 0)


@pytest.mark.parametrize("space", [DISCRETE, MIXED], ids=["discrete", "mixed"])
@MAPS
def test_gradients_are_central_differences(space: Space, context_size: int, hidden: int):
    g = TreeDistribution(space, context_size, hidden)
    contexts = random_contexts(g, 3)
    meta, other = random_meta(g), random_meta(g, 5)
    points = g.draw(meta, contexts, np.random.default_rng(3).random((6, g.n_uniforms)))
    weights = np.random.default_rng(4).standard_normal(6)
    for function in (
        lambda m: anp.sum(weights * g.log_prob(m, contexts, points)),
        lambda m: anp.sum(weights[:3] * g.entropy(m, contexts)),
        lambda m: anp.sum(weights[:3] * g.kl(m, other, contexts)),
        lambda m: anp.sum(weights[:3] * g.kl(other, m, contexts)),
    ):
        assert grad(function)(meta) == pytest.approx(central(function, meta), rel=1e-4, abs=1e-5)


@MAPS
def test_frequencies_are_the_probabilities(context_size: int, hidden: int):
    g = TreeDistribution(DISCRETE, context_size, hidden)
    contexts, meta, n = random_contexts(g, 2), random_meta(g), 10_000
    drawn = g.draw(meta, contexts, np.random.default_rng(6).random((2 * n, g.n_uniforms))).configurations
    points, _ = g.enumerate()
    for t in range(2):
        log_probs = g.log_prob(meta, contexts[t : t + 1], points)
        likely = np.argsort(log_probs)[-6:]
        shares = np.exp(log_probs[likely])
        seen = np.array([drawn[t * n : (t + 1) * n].count(points.configurations[i]) for i in likely]) / n
        assert np.all(np.abs(seen - shares) <= 3 * np.sqrt(shares * (1 - shares) / n))


@MAPS
def test_entropy_and_divergence_are_means_over_draws(context_size: int, hidden: int):
    g = TreeDistribution(MIXED, context_size, hidden)
    contexts, n = random_contexts(g, 1), 8_000
    meta, other = random_meta(g, scale=0.3), random_meta(g, 5, scale=0.3)
    points = g.draw(meta, contexts, np.random.default_rng(8).random((n, g.n_uniforms)))
    log_p, log_q = (g.log_prob(m, contexts, points) for m in (meta, other))
    for exact, sampled in ((g.entropy(meta, contexts)[0], -log_p), (g.kl(meta, other, contexts)[0], log_p - log_q)):
        assert abs(sampled.mean() - exact) <= 3 * sampled.std() / np.sqrt(n)


def test_draws_are_valid_and_repeat():
    g = TreeDistribution(MIXED, 2, 3)
    contexts, uniforms = random_contexts(g, 5), np.random.default_rng(9).random((50, g.n_uniforms))
    first, second = (g.draw(random_meta(g, scale=2.0), contexts, uniforms) for _ in range(2))
    assert first.configurations == second.configurations
    for configuration in first.configurations:
        MIXED.validate(configuration)


def test_points_of_one_context_stand_together():
    g = TreeDistribution(Space({"x": Categorical(("left", "right"))}), context_size=1)
    meta = np.array([0.0, 0.0, 40.0, -40.0])
    drawn = g.draw(meta, np.array([[1.0], [-1.0]]), np.full((6, 1), 0.5))
    assert [c["x"] for c in drawn.configurations] == ["left"] * 3 + ["right"] * 3
    assert np.exp(g.log_prob(meta, np.array([[1.0], [-1.0]]), drawn)) == pytest.approx(np.ones(6))


@MAPS
def test_the_start_does_not_look_at_the_context(context_size: int, hidden: int):
    g = TreeDistribution(MIXED, context_size, hidden)
    at = {"learner": "b", "depth": 2, "rate": 0.01}
    meta = g.start(np.random.default_rng(0), at=at, spread=0.2)
    assert meta.shape == (g.size,)
    modes = g.mode(meta, random_contexts(g, 4)).configurations
    assert all(mode == modes[0] for mode in modes)
    assert {name: modes[0][name] for name in ("learner", "depth")} == {"learner": "b", "depth": 2}
    assert modes[0]["rate"] == pytest.approx(0.01, rel=1e-4)
    if context_size:
        gradient = grad(lambda m: anp.sum(g.entropy(m, random_contexts(g, 4))))(meta)
        assert np.any(gradient[g.map.raw_size :] != 0), "it can learn to look"


def test_a_start_that_is_not_told_where_is_fair():
    g = TreeDistribution(DISCRETE)
    meta = g.start(np.random.default_rng(0))
    points = g.points([{"learner": "c", "seeded": s} for s in (True, False)])
    assert np.exp(g.log_prob(meta, g.no_context, points)) == pytest.approx(np.full(2, 1 / 6))


def test_the_mode_follows_the_conditions():
    g = TreeDistribution(DISCRETE)
    meta = g.start(np.random.default_rng(0), at={"learner": "b", "b.kind": "y", "b.units": 20}, spread=0.01)
    (mode,) = g.mode(meta, g.no_context).configurations
    assert mode == {"learner": "b", "b.kind": "y", "b.units": 20, "seeded": True}


def test_a_space_of_one_point_has_no_entropy_and_no_gradient():
    g = TreeDistribution(Space({"a": Categorical(("x",)), "b": Real(1.0, 1.0), "c": Integer(3, 3)}))
    meta = random_meta(g)
    points = g.draw(meta, g.no_context, np.random.default_rng(0).random((4, g.n_uniforms)))
    assert points.configurations == ({"a": "x", "b": 1.0, "c": 3},) * 4
    for function in (
        lambda m: anp.sum(g.log_prob(m, g.no_context, points)),
        lambda m: anp.sum(g.entropy(m, g.no_context)),
        lambda m: anp.sum(g.kl(m, -meta, g.no_context)),
    ):
        assert function(meta) == 0
        assert np.all(grad(function)(meta) == 0)
    cells, log_sizes = g.enumerate()
    assert len(cells) == 1
    assert log_sizes.tolist() == [0.0]


def test_a_value_that_is_always_there_keeps_its_children_on():
    g = TreeDistribution(
        Space({"a": Integer(2, 2), "b": Categorical(("x", "y"))}, {"b": Condition("a", (2,))}), context_size=1
    )
    assert g.entropy(np.zeros(g.size), np.zeros((1, 1)))[0] == pytest.approx(np.log(2))


def test_a_condition_holds_as_often_as_it_is_met_all_the_way_up():
    g = TreeDistribution(
        Space(
            {
                "a": Categorical(("x", "y", "z")),
                "b": Integer(1, 6),
                "c": Real(0.0, 1.0),
                "d": Integer(3, 3),
                "on d": Categorical(("p", "q")),
                "on b": Real(0.0, 1.0),
                "on c": Real(0.0, 1.0),
            },
            {
                "b": Condition("a", ("x", "z")),
                "d": Condition("b", (2, 5)),
                "on d": Condition("d", (3,)),
                "on b": Condition("b", (1,)),
                "on c": Condition("c", (0.5,)),
            },
        ),
        context_size=2,
    )
    meta, context, n = random_meta(g), random_contexts(g, 1), 20_000
    drawn = g.draw(meta, context, np.random.default_rng(0).random((n, g.n_uniforms)))
    chances = g.chances(g.map(meta, context))
    assert list(chances) == list(g.space.parameters)
    for j, (name, chance) in enumerate(chances.items()):
        assert chance[0] == pytest.approx(drawn.on[:, j].mean(), abs=0.015), name
    assert chances["on d"][0] == pytest.approx(chances["d"][0])
    assert chances["a"][0] == 1
    assert chances["on c"][0] == 0


def test_without_conditions_everything_is_on_in_every_context():
    g = TreeDistribution(Space({"x": Real(0.0, 1.0), "y": Real(0.0, 1.0)}), context_size=2)
    chances = g.chances(g.map(random_meta(g), random_contexts(g, 3)))
    assert [chance.tolist() for chance in chances.values()] == [[1.0] * 3] * 2


@MAPS
@pytest.mark.parametrize("space", [DISCRETE, MIXED], ids=["discrete", "mixed"])
def test_any_mix_of_entropy_and_divergence_is_one_ratio(space: Space, context_size: int, hidden: int):
    g = TreeDistribution(space, context_size, hidden)
    meta, other, contexts = random_meta(g), random_meta(g, 5), random_contexts(g, 3)
    mixed = g.mean_log_ratio(meta, other, contexts, powers=(-0.5, -0.2))
    assert mixed == pytest.approx(0.3 * g.entropy(meta, contexts) - 0.2 * g.kl(meta, other, contexts))


def test_too_large_a_tree_is_not_enumerated():
    with pytest.raises(UsageError, match="at most 20000 cells to enumerate"):
        TreeDistribution(Space({name: Real(0.0, 1.0) for name in "abc"})).enumerate()


@MAPS
@pytest.mark.parametrize("space", [DISCRETE, MIXED], ids=["discrete", "mixed"])
def test_the_fisher_matrix_is_the_curvature_of_the_divergence(space: Space, context_size: int, hidden: int):
    g = TreeDistribution(space, context_size, hidden)
    meta, contexts = random_meta(g), random_contexts(g, 3)
    curvature = hessian(lambda m: anp.mean(g.kl(meta, m, contexts)))(meta)
    assert g.fisher(meta, contexts) == pytest.approx(curvature, rel=1e-4, abs=1e-7)


@MAPS
@pytest.mark.parametrize("space", [DISCRETE, MIXED], ids=["discrete", "mixed"])
def test_every_point_under_every_context_is_each_by_itself(space: Space, context_size: int, hidden: int):
    g = TreeDistribution(space, context_size, hidden)
    meta, contexts = random_meta(g), random_contexts(g, 3)
    points = g.draw(meta, np.zeros((5, context_size)), np.random.default_rng(2).random((5, g.n_uniforms)))
    together = g.log_probs(meta, contexts, points)
    assert together == pytest.approx(np.array([g.log_prob(meta, c[None], points) for c in contexts]))
    weights = np.random.default_rng(3).random((3, 5))
    slope = grad(lambda m: anp.sum(weights * g.log_probs(m, contexts, points)))(meta)
    assert slope == pytest.approx(
        central(lambda m: float(np.sum(weights * g.log_probs(m, contexts, points))), meta), rel=1e-4, abs=1e-6
    )


def test_a_fingerprint_names_space_context_and_network():
    spaces = (DISCRETE, MIXED)
    found = {TreeDistribution(s, x, h).fingerprint for s in spaces for x, h in ((0, 0), (2, 0), (2, 3))}
    assert len(found) == 6
    assert TreeDistribution(Space.from_json(MIXED.to_json()), 2, 3).fingerprint in found
