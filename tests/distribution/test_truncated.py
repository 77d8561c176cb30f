"""The truncated normal agrees with scipy's, with quadrature, and with itself far out in the tails."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, grad, jacobian
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from gstar.distribution import truncated

MU = st.floats(-0.5, 1.5)
SIGMA = st.floats(0.01, 1.0)


def reference(mu: float, sigma: float):
    return stats.truncnorm((0 - mu) / sigma, (1 - mu) / sigma, loc=mu, scale=sigma)


def arrays(*values: float) -> list[np.ndarray]:
    return [np.array([v]) for v in values]


def entropy(mu, sigma):
    return truncated.mean_log_ratio(mu, sigma, None, (-1.0, 0.0))


def divergence(mu, sigma, other_mu, other_sigma):
    return truncated.mean_log_ratio(mu, sigma, (other_mu, other_sigma), (1.0, 1.0))


@given(MU, SIGMA, st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_density_is_that_of_scipy(mu: float, sigma: float, u: float):
    found = truncated.log_density(*arrays(u, mu, sigma))[0]
    assert found == pytest.approx(reference(mu, sigma).logpdf(u), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("mu", "sigma"), [(0.3, 0.1), (0.5, 1.0), (-0.4, 0.2), (1.5, 0.05), (0.0, 0.01)])
def test_density_integrates_to_1_and_gives_entropy_and_divergence(mu: float, sigma: float):
    u = np.linspace(0, 1, 40_001)
    log_p = truncated.log_density(u, mu, sigma)
    log_q = truncated.log_density(u, 0.6, 0.3)
    p = np.exp(log_p)
    assert integrate.simpson(p, x=u) == pytest.approx(1.0, abs=1e-6)
    found, kl = entropy(*arrays(mu, sigma))[0], divergence(*arrays(mu, sigma, 0.6, 0.3))[0]
    assert found == pytest.approx(-integrate.simpson(p * log_p, x=u), abs=1e-6)
    assert kl == pytest.approx(integrate.simpson(p * (log_p - log_q), x=u), abs=1e-5)
    mean, variance = truncated.moments(*arrays(mu, sigma))
    assert mean[0] == pytest.approx(integrate.simpson(p * u, x=u), abs=1e-7)
    assert variance[0] == pytest.approx(integrate.simpson(p * (u - mean[0]) ** 2, x=u), abs=1e-7)


@given(MU, SIGMA, st.floats(0.001, 0.999))
@settings(max_examples=100, deadline=None)
def test_quantile_is_the_inverse_of_the_mass(mu: float, sigma: float, share: float):
    place = truncated.quantile(*arrays(share, mu, sigma))
    assert 0 < place[0] < 1
    below = np.exp(truncated.log_mass(0.0, place, *arrays(mu, sigma)))[0]
    above = np.exp(truncated.log_mass(place, 1.0, *arrays(mu, sigma)))[0]
    assert below == pytest.approx(share, rel=1e-4)
    assert above == pytest.approx(1 - share, rel=1e-4)


@given(MU, SIGMA)
@settings(max_examples=50, deadline=None)
def test_quantiles_grow_and_stay_inside(mu: float, sigma: float):
    shares = np.array([0.0, 1e-12, 0.1, 0.5, 0.9, 1 - 1e-12, np.nextafter(1, 0)])
    places = truncated.quantile(shares, np.full(7, mu), np.full(7, sigma))
    assert np.all(np.diff(places) >= 0)
    assert places.min() >= 0
    assert places.max() <= 1


@given(MU, SIGMA, st.lists(st.floats(0, 1), min_size=1, max_size=6, unique=True))
@settings(max_examples=50, deadline=None)
def test_masses_of_parts_sum_to_1(mu: float, sigma: float, cuts: list[float]):
    edges = np.unique(np.round([0.0, *cuts, 1.0], 6))
    log_masses = truncated.log_mass(edges[:-1], edges[1:], np.full(len(edges) - 1, mu), sigma)
    assert np.exp(log_masses).sum() == pytest.approx(1.0, abs=1e-9)


@given(MU, SIGMA, MU, SIGMA)
@settings(max_examples=100, deadline=None)
def test_entropy_and_divergence_have_their_signs(mu: float, sigma: float, other_mu: float, other_sigma: float):
    assert entropy(*arrays(mu, sigma))[0] <= 1e-9
    assert divergence(*arrays(mu, sigma, other_mu, other_sigma))[0] >= -1e-9
    assert divergence(*arrays(mu, sigma, mu, sigma))[0] == pytest.approx(0.0, abs=1e-12)


@given(MU, SIGMA, st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_gradients_are_central_differences(mu: float, sigma: float, u: float):
    h = 1e-5 * sigma
    functions = [
        lambda m, s: truncated.log_density(np.array([u]), m, s),
        lambda m, s: truncated.log_mass(np.array([0.2]), np.array([0.7]), m, s),
        entropy,
        lambda m, s: divergence(m, s, np.array([0.4]), np.array([0.2])),
    ]
    for function in functions:
        at = arrays(mu, sigma)
        for i in range(2):
            found = elementwise_grad(function, i)(*at)[0]
            plus, minus = (list(at) for _ in range(2))
            plus[i], minus[i] = at[i] + h, at[i] - h
            expected = ((function(*plus) - function(*minus)) / (2 * h))[0]
            assert found == pytest.approx(expected, rel=2e-3, abs=2e-3 / sigma)


@pytest.mark.parametrize("x", [-200.0, -40.0, -5.0, 0.0, 5.0, 40.0])
def test_an_interval_has_its_derivatives(x: float):
    at, h = arrays(x, x + 0.7), 1e-6
    for i in range(2):
        plus, minus = (list(at) for _ in range(2))
        plus[i], minus[i] = at[i] + h, at[i] - h
        expected = ((truncated.log_interval(*plus) - truncated.log_interval(*minus)) / (2 * h))[0]
        assert elementwise_grad(truncated.log_interval, i)(*at)[0] == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_the_derivatives_of_an_interval_take_its_shape_back():
    a, b = np.array([[-1.0], [0.5]]), np.array([1.0, 2.0, 3.0])
    found = [grad(lambda *x: anp.sum(truncated.log_interval(*x)), i)(a, b) for i in range(2)]
    whole = [
        elementwise_grad(truncated.log_interval, i)(np.broadcast_to(a, (2, 3)), np.broadcast_to(b, (2, 3)))
        for i in range(2)
    ]
    assert found[0] == pytest.approx(whole[0].sum(axis=1, keepdims=True))
    assert found[1] == pytest.approx(whole[1].sum(axis=0))
    assert jacobian(jacobian(lambda x: truncated.log_interval(x, b[:1])))(a[0]).shape == (1, 1, 1), "twice"


def test_far_tails_are_told_apart_from_nothing():
    a, b = np.array([-300.0, 100.0, 100.0]), np.array([-299.0, 101.0, 200.0])
    found = truncated.log_interval(a, b)
    assert np.all(np.isfinite(found))
    assert found == pytest.approx(np.array([-44707.119, -5005.524, -5005.524]), abs=0.01)
    gradient = elementwise_grad(lambda x: anp.sum(truncated.log_interval(x, b)))(a)
    assert np.all(np.isfinite(gradient))
