"""Meta-parameters and contexts become raw numbers, at first the same for every context."""

import numpy as np
import pytest
from autograd import jacobian

from gstar.distribution.maps import ContextMap

SIZES = pytest.mark.parametrize(
    ("context_size", "hidden", "size"), [(0, 0, 4), (0, 7, 4), (3, 0, 4 + 12), (3, 5, 4 + 20 + 20)]
)


@SIZES
def test_the_start_gives_every_context_the_same(context_size: int, hidden: int, size: int):
    g = ContextMap(4, context_size, hidden)
    assert g.size == size
    raw = np.arange(4.0)
    meta = g.start(raw, np.random.default_rng(0))
    assert meta.shape == (size,)
    contexts = np.random.default_rng(1).standard_normal((6, context_size))
    assert g(meta, contexts) == pytest.approx(np.tile(raw, (6, 1)))


def test_a_linear_map_is_affine():
    g = ContextMap(2, 1)
    assert g(np.array([1.0, 2.0, 3.0, -4.0]), np.array([[0.0], [2.0]])).tolist() == [[1.0, 2.0], [7.0, -6.0]]


def test_a_hidden_layer_bends():
    g = ContextMap(1, 1, 1)
    found = g(np.array([0.5, 2.0, 0.1, 3.0]), np.array([[0.4]]))
    assert found[0, 0] == pytest.approx(0.5 + 3.0 * np.tanh(0.4 * 2.0 + 0.1))


@SIZES
def test_the_jacobian_is_the_derivative(context_size: int, hidden: int, size: int):
    g, rng = ContextMap(4, context_size, hidden), np.random.default_rng(2)
    meta, contexts = rng.standard_normal(size), rng.standard_normal((5, context_size))
    assert g.jacobian(meta, contexts) == pytest.approx(jacobian(lambda m: g(m, contexts))(meta))
