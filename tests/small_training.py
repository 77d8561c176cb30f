"""A training of a small network that takes a fraction of a second."""

import numpy as np

from gstar.inputs import Table
from gstar.learner import TrainingSpec, get_learner
from gstar.metric import TaskKind


def make_rows(n=160, seed=0):
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n, 3))
    return Table.of(numbers), ((numbers[:, 0] + 0.3 * rng.normal(size=n)) > 0.8).astype(int)


def make_spec(seed=3, **schedule):
    inputs, target = make_rows(80, seed=1)
    changes = {"epochs": 8, "width": 32, "depth": 1, "embedding": "none"}
    configuration = get_learner("mlp").space.complete(changes)
    schedule = {"kind": "constant", **schedule}
    return TrainingSpec(TaskKind.BINARY, 2, configuration, schedule, seed=seed, validation=(inputs, target))
