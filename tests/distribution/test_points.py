"""Points keep configurations and their arrays together."""

import numpy as np

from gstar.distribution import Points, TreeDistribution
from tests.distribution.test_tree import DISCRETE

TREE = TreeDistribution(DISCRETE)
POINTS = TREE.points([{"learner": "a", "a.depth": 5, "seeded": False}, {"learner": "c", "seeded": True}])


def test_arrays_say_what_is_on_and_where():
    assert POINTS.on.tolist() == [[True, True, False, False, True], [True, False, False, False, True]]
    assert POINTS.left[0].tolist() == [0.0, 0.8, 0.0, 0.0, 1.0]
    assert POINTS.right[0].tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert POINTS.index.tolist() == [0, 1]


def test_take_and_join_move_everything_together():
    joined = Points.join([POINTS.take(np.array([1])), POINTS])
    assert joined.configurations == (POINTS.configurations[1], *POINTS.configurations)
    assert joined.index.tolist() == [1, 0, 1]
    meta = TREE.start(np.random.default_rng(0))
    log_probs = TREE.log_prob(meta, TREE.no_context, POINTS)
    assert TREE.log_prob(meta, TREE.no_context, joined).tolist() == [log_probs[1], *log_probs]
