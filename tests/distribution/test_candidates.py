"""g cut to a list is a distribution over that list."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, jacobian

from gstar.distribution import CandidateDistribution, TreeDistribution
from gstar.errors import UsageError
from tests.distribution.central import central
from tests.distribution.test_tree import MAPS, MIXED, random_contexts, random_meta

LISTED = [
    {"learner": "a", "depth": 2, "rate": 0.01, "share": 0.5},
    {"learner": "a", "depth": 5, "share": 0.1},
    {"learner": "b", "depth": 3, "rate": 0.5, "share": 0.9},
    {"learner": "c", "share": 0.2},
    {"learner": "c", "share": 0.8},
]


def cut(context_size: int = 0, hidden: int = 0, *, prior: bool = True) -> CandidateDistribution:
    tree = TreeDistribution(MIXED, context_size, hidden)
    return CandidateDistribution(tree.points(LISTED), tree, np.linspace(0, 1, 5) if prior else None)


@MAPS
def test_probabilities_sum_to_1_and_give_entropy_and_divergence(context_size: int, hidden: int):
    g = cut(context_size, hidden)
    meta, other, contexts = random_meta(g), random_meta(g, 5), random_contexts(g, 3)
    log_p, log_q = g.log_probs(meta, contexts), g.log_probs(other, contexts)
    p = np.exp(log_p)
    assert p.sum(axis=1) == pytest.approx(np.ones(3))
    assert g.entropy(meta, contexts) == pytest.approx(-(p * log_p).sum(axis=1))
    assert g.kl(meta, other, contexts) == pytest.approx((p * (log_p - log_q)).sum(axis=1))
    assert g.mode(meta, contexts).index.tolist() == p.argmax(axis=1).tolist()


def test_it_is_the_tree_renormalised_with_the_prior():
    g = cut()
    meta = random_meta(g)
    weights = np.exp(g.tree.log_prob(meta, g.tree.no_context, g.candidates) + g.prior)
    found = np.exp(g.log_prob(meta, g.tree.no_context, g.points(LISTED)))
    assert found == pytest.approx(weights / weights.sum())


@MAPS
def test_gradients_are_central_differences(context_size: int, hidden: int):
    g = cut(context_size, hidden)
    meta, other, contexts = random_meta(g), random_meta(g, 5), random_contexts(g, 2)
    points = g.draw(meta, contexts, np.random.default_rng(2).random((4, g.n_uniforms)))
    weights = np.random.default_rng(4).standard_normal(4)
    for function in (
        lambda m: anp.sum(weights * g.log_prob(m, contexts, points)),
        lambda m: anp.sum(weights[:2] * g.entropy(m, contexts)),
        lambda m: anp.sum(weights[:2] * g.kl(m, other, contexts)),
        lambda m: anp.sum(weights[:2] * g.kl(other, m, contexts)),
    ):
        assert grad(function)(meta) == pytest.approx(central(function, meta), rel=1e-4, abs=1e-5)


@MAPS
def test_frequencies_are_the_probabilities(context_size: int, hidden: int):
    g = cut(context_size, hidden)
    meta, contexts, n = random_meta(g), random_contexts(g, 2), 10_000
    drawn = g.draw(meta, contexts, np.random.default_rng(6).random((2 * n, 1)))
    shares = np.exp(g.log_probs(meta, contexts))
    for t in range(2):
        seen = np.bincount(drawn.index[t * n : (t + 1) * n], minlength=5) / n
        assert np.all(np.abs(seen - shares[t]) <= 3 * np.sqrt(shares[t] * (1 - shares[t]) / n))


def test_far_apart_candidates_stay_finite():
    g = cut()
    meta = np.full(g.size, 300.0)
    assert np.all(np.isfinite(g.log_probs(meta, g.tree.no_context)))
    assert np.isfinite(g.entropy(meta, g.tree.no_context))[0]
    assert np.all(np.isfinite(grad(lambda m: anp.sum(g.entropy(m, g.tree.no_context)))(meta)))


def test_one_candidate_has_no_entropy_and_no_gradient():
    tree = TreeDistribution(MIXED)
    g = CandidateDistribution(tree.points(LISTED[:1]), tree)
    meta = random_meta(g)
    assert g.entropy(meta, tree.no_context)[0] == 0
    gradient = grad(lambda m: anp.sum(g.log_prob(m, tree.no_context, g.points(LISTED[:1]))))(meta)
    assert gradient == pytest.approx(np.zeros(g.size), abs=1e-12)


def test_candidates_taken_from_a_longer_list_are_a_list_of_their_own():
    tree = TreeDistribution(MIXED)
    whole = tree.points(LISTED)
    g = CandidateDistribution(whole.take(np.array([4, 2])), tree)
    meta = random_meta(g)
    found = g.log_prob(meta, tree.no_context, g.points([LISTED[2], LISTED[4]]))
    assert np.exp(found).sum() == pytest.approx(1.0)
    assert g.draw(meta, tree.no_context, np.array([[0.0], [0.999999]])).index.tolist() == [0, 1]


def test_what_is_no_candidate_is_refused():
    with pytest.raises(UsageError, match=r"Expected one of 5 candidates, got \{'learner': 'c', 'share': 0.3\}"):
        cut().points([LISTED[0], {"learner": "c", "share": 0.3}])


def test_an_empty_list_is_refused():
    tree = TreeDistribution(MIXED)
    with pytest.raises(UsageError, match="at least one candidate"):
        CandidateDistribution(tree.points([]), tree)


def test_all_candidates_are_enumerated():
    points, log_sizes = cut().enumerate()
    assert points.configurations == tuple(LISTED)
    assert log_sizes.tolist() == [0.0] * 5


def test_it_starts_as_the_tree_does():
    g = cut(2, 3)
    at = {"learner": "c"}
    mine, tree = (d.start(np.random.default_rng(3), at=at, spread=0.1) for d in (g, g.tree))
    assert mine.tolist() == tree.tolist()
    assert (g.size, g.context_size, g.n_uniforms) == (g.tree.size, 2, 1)


def test_the_fisher_matrix_is_the_covariance_of_scores():
    g = cut(2, 3)
    meta, contexts = random_meta(g), random_contexts(g, 2)
    expected = np.zeros((g.size, g.size))
    for t in range(2):
        scores, masses = (
            jacobian(lambda m, t=t: g.log_probs(m, contexts)[t])(meta),
            np.exp(g.log_probs(meta, contexts)[t]),
        )
        expected += (scores.T * masses) @ scores / 2
    assert g.fisher(meta, contexts) == pytest.approx(expected, abs=1e-9)


def test_a_fingerprint_names_the_list_and_its_prior():
    shorter = CandidateDistribution(cut().tree.points(LISTED[:4]), cut().tree)
    assert len({cut().fingerprint, cut(prior=False).fingerprint, cut(2).fingerprint, shorter.fingerprint}) == 4
    assert cut().fingerprint == cut().fingerprint
