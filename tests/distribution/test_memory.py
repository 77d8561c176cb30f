"""g that attends to memory: near tasks count, what was tried counts, its own family does not."""

from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad

from gstar.distribution import Memory, MemoryDistribution, TreeDistribution, memory
from gstar.errors import UsageError
from gstar.outer import OuterSettings, run_outer
from gstar.space import Categorical, Space
from gstar.worlds.recorded import RecordedWorld
from tests.distribution.central import central

NAN = np.nan
NAMES = ("a", "b", "c", "d")


def g_of(seen, rewards, valid=None, *, groups=None, families=None, trials: int = 2) -> MemoryDistribution:
    tree = TreeDistribution(Space({"strategy": Categorical(NAMES)}))
    rewards = np.array(rewards, float)
    n = len(rewards)
    memory = Memory(
        np.array(seen, float),
        np.zeros(n, int) if groups is None else np.array(groups),
        np.arange(n) if families is None else np.array(families),
        rewards,
        rewards if valid is None else np.array(valid, float),
    )
    return MemoryDistribution(tree.points([{"strategy": name} for name in NAMES]), memory, trials)


TWO = ([[-2.0, 0.0], [2.0, 0.0]], [[0.9, 0.1, 0.5, 0.0], [0.1, 0.9, 0.5, 0.0]])
"""Two remembered tasks, far apart: the first is one for a, the second one for b."""
STATES = [([0.3, -0.2], [], []), ([1.0, 0.5], [0], [0.2]), ([-1.0, 0.1], [2, 0], [0.5, 0.6])]


def states(g: MemoryDistribution) -> np.ndarray:
    return np.stack([g.state(np.array(seen), 0, tried=tried, valid=valid) for seen, tried, valid in STATES])


def chances(g: MemoryDistribution, seen, *, tried=(), valid=(), group: int = 0, family: int = -1) -> np.ndarray:
    row = g.state(np.array(seen, float), group, family=family, tried=tried, valid=valid)
    return np.exp(g.log_probs(g.start(np.random.default_rng(0)), row[None])[0])


def test_probabilities_sum_to_1_and_what_was_tried_is_not_drawn_again():
    g = g_of(*TWO)
    p = np.exp(g.log_probs(g.start(np.random.default_rng(0)), states(g)))
    assert p.sum(axis=1) == pytest.approx(np.ones(3))
    assert p[1, 0] == p[2, 0] == p[2, 2] == 0
    drawn = g.draw(g.start(np.random.default_rng(0)), states(g), np.random.default_rng(1).random((60, 1)))
    assert not {0, 2} & set(drawn.index[40:].tolist())


def test_near_tasks_say_what_is_good():
    g = g_of(*TWO)
    left, middle, right = (chances(g, [x, 0.0]) for x in (-2, 0, 2))
    assert left.argmax() == 0
    assert right.argmax() == 1
    assert middle[0] == pytest.approx(middle[1])


def test_how_a_trial_went_says_which_tasks_are_alike():
    g = g_of([[0.0], [0.0]], [[0.9, 0.1, 0.5, 0.0], [0.1, 0.1, 0.5, 0.9]])
    good, bad = (chances(g, [0.0], tried=[0], valid=[v]) for v in (0.9, 0.1))
    assert bad[3] > 0.9
    assert good[3] < 0.6


def test_what_counts_is_what_is_left_after_all_trials():
    """b is better than c in the mean, but a does what b does, and c is good where a fails."""
    g = g_of(np.zeros((2, 1)), [[0.9, 0.8, 0.1, 0.0], [0.1, 0.1, 0.6, 0.0]])
    assert chances(g, [0.0], tried=[0], valid=[0.5]).argmax() == 2


def test_the_best_is_chosen_by_validation():
    kept = g_of(np.zeros((2, 1)), [[0.5, 0.9, 0.1, NAN]] * 2, [[0.5, 0.4, 0.6, NAN]] * 2).memory.kept([0])
    assert kept[0].tolist() == [0.5, 0.5, 0.1, 0.5]


def test_a_task_does_not_attend_to_its_own_family_or_another_group():
    g = g_of(*TWO)
    assert chances(g, [-2, 0], family=0).argmax() == 1
    g = g_of(*TWO, groups=[0, 1])
    assert chances(g, [-2, 0], group=1).argmax() == 1


def test_what_is_not_known_does_not_count():
    g = g_of(np.zeros((3, 1)), [[0.5, NAN, 0.1, NAN], [0.5, NAN, 0.1, NAN], [0.5, 0.9, 0.1, NAN]])
    p = chances(g, [0.0])
    assert p[3] == 0
    assert p.argmax() == 1
    assert np.isfinite(chances(g, [0.0], tried=[1], valid=[NAN])).all()


def test_gradients_are_central_differences():
    g = g_of(*TWO)
    contexts, meta = states(g), g.start(np.random.default_rng(0)) + np.random.default_rng(3).normal(0, 0.3, g.size)
    points = g.points([{"strategy": "b"}, {"strategy": "c"}, {"strategy": "d"}])
    for function in (
        lambda m: anp.sum(g.log_prob(m, contexts, points)),
        lambda m: anp.sum(g.entropy(m, contexts)),
        lambda m: anp.sum(g.kl(m, g.start(np.random.default_rng(0)), contexts)),
    ):
        assert grad(function)(meta) == pytest.approx(central(function, meta), rel=1e-4, abs=1e-6)


def test_the_policy_gradient_learns_what_to_look_at():
    """The first number says which strategy is good; the second is noise, and nothing but noise at the start."""
    rng = np.random.default_rng(0)
    seen = np.c_[rng.choice([-0.5, 0.5], 40), rng.normal(0, 3, 40)]
    rewards = np.c_[0.5 + seen[:, 0] * 0.8, 0.5 - seen[:, 0] * 0.8, np.full(40, 0.4), np.zeros(40)]
    g = g_of(seen, rewards)
    start = g.start(rng)
    contexts = np.stack([g.state(row, 0, family=i) for i, row in enumerate(seen)])
    world = RecordedWorld(contexts, list(NAMES), rewards, 0 * rewards, np.zeros(40), np.ones(40))
    settings = OuterSettings("exact", natural=False, rate=0.1, iterations=60, convergence=None)
    meta = run_outer(g, world, settings, start=start).meta
    assert meta[0] - start[0] > 1 > -1 > meta[1] - start[1]
    before, after = ((np.exp(g.log_probs(m, contexts)) * rewards).sum(axis=1).mean() for m in (start, meta))
    assert after > before + 0.1


def test_scores_of_unknown_scale_count_by_how_they_differ():
    rewards = [[0.6, 0.1, 0.9, 0.0], [0.1, 0.6, 0.0, 0.9]]
    g = replace(g_of(np.zeros((2, 1)), rewards), has_scale=False)
    like_first, like_second = (chances(g, [0.0], tried=[0, 1], valid=v) for v in ([-3.1, -7.0], [400.0, 401.0]))
    assert like_first[2] > 0.6 > 0.4 > like_first[3]
    assert like_second[3] > 0.6
    assert chances(g, [0.0], tried=[0, 1], valid=[0.3, 0.2]) == pytest.approx(like_first)
    one, failed = (chances(g, [0.0], tried=[0], valid=v) for v in ([5.0], [NAN]))
    assert one == pytest.approx(failed)


def test_a_state_shows_so_many_trials_and_no_more():
    with pytest.raises(UsageError, match="at most 2 trials"):
        g_of(*TWO).state(np.zeros(2), 0, tried=[0, 1, 2], valid=[0.1, 0.2, 0.3])


def test_fingerprints_tell_memories_apart():
    assert g_of(*TWO).fingerprint == g_of(*TWO).fingerprint
    assert g_of(*TWO).fingerprint != g_of(TWO[0], [[0.9, 0.1, 0.5, 0.0], [0.1, 0.9, 0.5, 0.1]]).fingerprint


def test_states_without_end_take_no_more_room(monkeypatch):
    monkeypatch.setattr(memory, "_ROOM", 500)
    g, start = g_of(*TWO), g_of(*TWO).start(np.random.default_rng(0))
    whole = g.log_probs(start, states(g))
    for valid in np.linspace(0, 1, 100):
        for tried in (0, 1, 2, 3):
            g.log_probs(start, g.state(np.zeros(2), 0, tried=[tried], valid=[valid])[None])
    assert max(len(g._codes), len(g.memory._kept)) < 50
    np.testing.assert_array_equal(g.log_probs(start, states(g)), whole)
