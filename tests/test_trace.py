"""The file that says how a meta-training went on."""

from __future__ import annotations

import numpy as np
import pytest

from gstar.distribution import TreeDistribution
from gstar.errors import StorageError
from gstar.space import Categorical, Space
from gstar.trace import Trace, checkpoint_of, read_trace, root_chances


def test_lines_are_read_in_order_the_last_of_an_iteration_counts(tmp_path):
    out = tmp_path / "g"
    checkpoint_of(out).touch()
    for iteration, reward in ((2, 0.1), (1, 0.2), (2, 0.3)):
        Trace(out).append({"iteration": iteration, "reward": reward})
    assert [line["reward"] for line in read_trace(out)] == [0.2, 0.3]
    assert read_trace(tmp_path / "none") == []


def test_a_trace_without_a_checkpoint_is_of_an_earlier_run(tmp_path):
    out = tmp_path / "g"
    Trace(out).append({"iteration": 1})
    Trace(out)
    assert read_trace(out) == []


def test_a_trace_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(StorageError, match="trace"):
        Trace(tmp_path / "none" / "g")


def test_the_chances_at_the_root_are_averaged_over_tasks():
    space = Space({"learner": Categorical(("constant", "neighbors"))})
    g = TreeDistribution(space, context_size=2)
    meta = np.zeros(g.size)
    assert root_chances(g, meta, np.ones((3, 2))) == {"constant": 0.5, "neighbors": 0.5}
