"""Every head is a distribution: masses sum to 1, gradients are right, the ends stay finite."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, hessian
from hypothesis import given, settings
from hypothesis import strategies as st

from gstar.distribution.heads import AbstractHead, IntegerHead, RealHead, head_of, location_and_scale
from gstar.distribution.stacks import AbstractStack, stacks_of
from gstar.errors import UsageError
from gstar.space import Categorical, Integer, Real
from tests.distribution.central import central

PARAMETERS = {
    "choice": Categorical(("a", 1, 1.0, True, None)),
    "one choice": Categorical(("only",)),
    "real": Real(-2.0, 5.0),
    "log real": Real(1e-6, 1e3, log=True),
    "one real": Real(0.3, 0.3),
    "one log real": Real(4.0, 4.0, log=True),
    "integer": Integer(-3, 7),
    "log integer": Integer(1, 300, log=True),
    "one integer": Integer(5, 5),
    "one log integer": Integer(5, 5, log=True),
}
HEADS = {name: head_of(parameter) for name, parameter in PARAMETERS.items()}
ONE = [name for name in HEADS if name.startswith("one")]
REAL = ("real", "log real")
ALL = pytest.mark.parametrize("name", HEADS)


def raws(head: AbstractHead, n: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal((n, head.size))


def log_probs(head: AbstractHead, raw, values) -> np.ndarray:
    """Log-probabilities of values under one row of raw numbers."""
    left, right = np.array([head.places(v) for v in values]).T
    return stack(head).log_prob(anp.reshape(raw, (1, -1)), None, np.zeros(len(values), int), left, right)[0]


def stack(head: AbstractHead) -> AbstractStack:
    return stacks_of([head], np.array([0]))[0]


def entropy(head: AbstractHead, raw):
    return stack(head).mean_log_ratio(raw, None, (-1.0, 0.0))[:, 0]


def kl(head: AbstractHead, raw, other):
    return stack(head).mean_log_ratio(raw, other, (1.0, 1.0))[:, 0]


@pytest.mark.parametrize("name", [n for n in HEADS if n not in REAL])
def test_masses_sum_to_1_and_give_entropy_and_divergence(name: str):
    head = HEADS[name]
    values = head.cells(1000)
    for raw, other in zip(raws(head, 20, scale=2.0), raws(head, 20, seed=1, scale=2.0), strict=True):
        log_p, log_q = log_probs(head, raw, values), log_probs(head, other, values)
        assert np.exp(log_p).sum() == pytest.approx(1.0)
        assert entropy(head, raw[None])[0] == pytest.approx(-(np.exp(log_p) * log_p).sum(), abs=1e-9)
        assert kl(head, raw[None], other[None])[0] == pytest.approx((np.exp(log_p) * (log_p - log_q)).sum(), abs=1e-9)


@pytest.mark.parametrize(
    "parameter", [Integer(100, 10_000, log=True), Integer(0, 5000), Integer(1, 300, log=True), Integer(2, 9)], ids=str
)
def test_a_few_points_sum_over_all_whole_numbers(parameter: Integer):
    head = IntegerHead(parameter)
    parts, weights = head.nodes
    assert weights.sum() == pytest.approx(len(head.edges))
    assert len(weights) == len(head.edges) if len(head.edges) < 20 else len(weights) < 400
    edge = np.array([[300.0, -300.0], [-300.0, -300.0], [0.3, -300.0], [-0.51, -300.0], [300.0, 300.0]])
    raw = np.concatenate([edge, raws(head, 10), raws(head, 10, scale=3.0)])
    other = raw + 0.3 * raws(head, len(raw), seed=1)
    p, log_p, log_q = (
        f(head.log_probs(r, head.edges)) for f, r in ((np.exp, raw), (np.asarray, raw), (np.asarray, other))
    )
    assert np.exp(head.log_probs(raw, parts)) @ weights == pytest.approx(1.0, abs=1e-9)
    assert entropy(head, raw) == pytest.approx(-(p * log_p).sum(axis=1), abs=1e-9)
    assert kl(head, raw, other) == pytest.approx((p * (log_p - log_q)).sum(axis=1), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("name", REAL)
def test_densities_integrate_to_1_along_the_scale(name: str):
    head = HEADS[name]
    values = head.cells(4000)
    for raw in raws(head, 5):
        assert np.exp(log_probs(head, raw, values)).mean() == pytest.approx(1.0, abs=1e-3)


@ALL
def test_frequencies_are_the_probabilities(name: str):
    head, rng, n = HEADS[name], np.random.default_rng(2), 20_000
    raw = raws(head, 1, seed=3, scale=0.3)
    drawn = head.draw(np.tile(raw, (n, 1)), rng.random(n))
    if name in REAL:
        places = np.array([head.places(v)[0] for v in drawn])
        edges = np.linspace(0, 1, 6)
        seen = np.histogram(places, edges)[0] / n
        cells = np.exp(log_probs(head, raw[0], head.cells(5000))).reshape(5, -1)
        shares = cells.mean(axis=1) / 5
    else:
        values = head.cells(1000)
        seen = np.array([sum(type(d) is type(v) and d == v for d in drawn) for v in values[:8]]) / n
        shares = np.exp(log_probs(head, raw[0], values))[:8]
    assert np.all(np.abs(seen - shares) <= 3 * np.sqrt(shares * (1 - shares) / n) + 1e-4)


@ALL
def test_gradients_are_central_differences(name: str):
    head = HEADS[name]
    for raw, other in zip(raws(head, 3), raws(head, 3, seed=1), strict=True):
        value = head.draw(raw[None], np.array([0.3]))
        for function in (
            lambda r, v=value: log_probs(head, r, v)[0],
            lambda r: entropy(head, anp.reshape(r, (1, -1)))[0],
            lambda r, o=other: kl(head, anp.reshape(r, (1, -1)), o[None])[0],
            lambda r, o=other: kl(head, o[None], anp.reshape(r, (1, -1)))[0],
        ):
            assert grad(function)(raw) == pytest.approx(central(function, raw), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", [n for n in HEADS if n not in ONE or n == "one choice"])
def test_the_fisher_matrix_is_the_curvature_of_the_divergence(name: str):
    head = HEADS[name]
    for raw in [*raws(head, 3), *raws(head, 2, seed=3, scale=3.0)]:
        curvature = hessian(lambda r, o=raw: kl(head, o[None], anp.reshape(r, (1, -1)))[0])(raw)
        assert head.fisher(raw[None])[0] == pytest.approx(curvature, rel=1e-4, abs=1e-7)


@ALL
def test_the_ends_stay_finite(name: str):
    head = HEADS[name]
    values = [head.cells(2)[0], *head.cells(2)[-1:]]
    corners = np.array(np.meshgrid(*[[-300.0, 0.0, 300.0]] * min(2, head.size))).reshape(min(2, head.size), -1).T
    for corner in corners:
        raw = np.zeros(head.size)
        raw[: len(corner)] = corner
        for function in (
            lambda r: anp.sum(log_probs(head, r, values)),
            lambda r: entropy(head, anp.reshape(r, (1, -1)))[0],
            lambda r, o=-raw: kl(head, anp.reshape(r, (1, -1)), o[None])[0],
        ):
            assert np.isfinite(function(raw))
            assert np.all(np.isfinite(grad(function)(raw)))
        assert np.all(np.isfinite(head.fisher(raw[None])))
        for value in [*head.draw(np.tile(raw, (3, 1)), np.array([0.0, 0.5, 1 - 1e-16])), *head.mode(raw[None])]:
            head.parameter.validate(value)


@pytest.mark.parametrize("name", ONE)
def test_one_value_has_neither_entropy_nor_gradient(name: str):
    head = HEADS[name]
    raw = np.full(head.size, 0.7)
    only = head.cells(3)
    assert len(only) == 1
    assert head.draw(raw[None], np.array([0.4])) == head.mode(raw[None]) == only
    assert np.all(head.fisher(raw[None]) == 0)
    for function in (
        lambda r: log_probs(head, r, only)[0],
        lambda r: entropy(head, anp.reshape(r, (1, -1)))[0],
        lambda r: kl(head, anp.reshape(r, (1, -1)), -raw[None])[0],
    ):
        assert function(raw) == 0
        assert np.all(grad(function)(raw) == 0)


@ALL
def test_the_mode_has_the_largest_probability(name: str):
    head = HEADS[name]
    values = head.cells(400)
    for raw in raws(head, 10, seed=5):
        mode = log_probs(head, raw, head.mode(raw[None]))[0]
        assert mode >= log_probs(head, raw, values).max() - 1e-6


@given(st.floats(1e-6, 1e3), st.sampled_from([0.01, 0.1, 0.5, 1.0]))
@settings(max_examples=50, deadline=None)
def test_a_real_number_starts_where_it_is_told(value: float, spread: float):
    head = HEADS["log real"]
    assert head.mode(head.raw_of(value, spread)[None])[0] == pytest.approx(value, rel=1e-4)
    scale = location_and_scale(*head.raw_of(value, spread))[1]
    assert scale == pytest.approx(spread, rel=0.12)


@given(st.integers(1, 300))
@settings(max_examples=50, deadline=None)
def test_an_integer_starts_where_it_is_told(value: int):
    head = HEADS["log integer"]
    raw = head.raw_of(value, 0.01)[None]
    place = PARAMETERS["log integer"].to_unit(value)
    assert location_and_scale(*raw[0])[0] == pytest.approx(place, abs=1e-9)
    linear = HEADS["integer"]
    assert linear.mode(linear.raw_of(value % 8, 0.5)[None]) == [value % 8]


def test_a_choice_starts_where_it_is_told():
    head = HEADS["choice"]
    assert head.mode(head.raw_of(1.0, 0.5)[None]) == [1.0]
    assert isinstance(head.mode(head.raw_of(1.0, 0.5)[None])[0], float)
    assert entropy(head, head.raw_of("a", 1.0)[None])[0] == pytest.approx(np.log(5))
    assert entropy(head, head.raw_of("a", 0.1)[None])[0] < 0.5


@ALL
def test_near_raw_numbers_give_near_draws(name: str):
    """Common random numbers: draws grow with the uniform number."""
    head, raw = HEADS[name], raws(HEADS[name], 1, seed=7)
    values = head.draw(np.tile(raw, (50, 1)), np.linspace(0, 1 - 1e-12, 50))
    places = [head.places(v)[0] for v in values]
    assert places == sorted(places)


def test_numbers_have_the_head_of_their_kind():
    assert isinstance(head_of(Real(0, 1)), RealHead)
    assert isinstance(head_of(Integer(0, 1)), IntegerHead)
    with pytest.raises(UsageError, match="Expected a categorical, real or integer parameter, got 'x'"):
        head_of("x")
