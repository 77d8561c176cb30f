"""A g as a file: what is written is read, what is something else is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from gstar.contexts import NAMES
from gstar.distribution import TreeDistribution
from gstar.errors import StorageError, UntrustedFileError, UsageError
from gstar.learned import Learned
from gstar.space import Categorical, Real, Space

SPACE = Space({"learner": Categorical(("a", "b")), "rate": Real(0.1, 1.0)})


def learned(*, context_size: int = len(NAMES), hidden: int = 0) -> Learned:
    g = TreeDistribution(SPACE, context_size=context_size, hidden=hidden)
    return Learned(g, g.start(np.random.default_rng(0)) + 0.1, {"tasks": 3, "stop_reason": "converged"})


def altered(path, **changes) -> None:
    """Writes the file again with other words in its header."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    described = json.loads(header["g"]) | changes
    path.write_bytes(save(load(content), {**header, "g": json.dumps(described)}))


@pytest.mark.parametrize(("context_size", "hidden"), [(len(NAMES), 0), (len(NAMES), 4), (0, 0)])
def test_what_is_written_is_read(tmp_path, context_size, hidden):
    before = learned(context_size=context_size, hidden=hidden)
    before.save(tmp_path / "g")
    after = Learned.load(tmp_path / "g")
    np.testing.assert_array_equal(after.meta, before.meta)
    assert (after.g.context_size, after.g.hidden, after.about) == (context_size, hidden, before.about)
    assert after.g.space.to_json() == SPACE.to_json()
    assert [p.name for p in tmp_path.iterdir()] == ["g"]


def test_it_draws_as_before(tmp_path):
    before = learned()
    before.save(tmp_path / "g")
    after = Learned.load(tmp_path / "g")
    contexts, uniforms = np.ones((2, len(NAMES))), np.random.default_rng(0).random((6, 2))
    drawn = [x.g.draw(x.meta, contexts, uniforms).configurations for x in (before, after)]
    assert drawn[0] == drawn[1]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StorageError, match="none could not be read"):
        Learned.load(tmp_path / "none")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StorageError, match="could not be written"):
        learned().save(tmp_path / "none" / "g")


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\x00" * 64, b"\xff" * 8 + b"{}"])
def test_a_file_of_something_else(tmp_path, content):
    (tmp_path / "g").write_bytes(content)
    with pytest.raises(UntrustedFileError, match="Expected a g"):
        Learned.load(tmp_path / "g")


def test_a_file_that_was_cut_off(tmp_path):
    learned().save(tmp_path / "g")
    content = (tmp_path / "g").read_bytes()
    for n in (4, 40, len(content) // 2, len(content) - 1):
        (tmp_path / "g").write_bytes(content[:n])
        with pytest.raises(UntrustedFileError, match="Expected a g"):
            Learned.load(tmp_path / "g")


def test_a_checkpoint_is_no_g(tmp_path):
    (tmp_path / "g").write_bytes(save({"meta": np.zeros(3)}, {"format": "gstar-outer-1", "about": "{}"}))
    with pytest.raises(UntrustedFileError, match="its format is 'gstar-outer-1'"):
        Learned.load(tmp_path / "g")


def test_weights_of_another_size_or_not_finite(tmp_path):
    before = learned()
    for meta in (before.meta[:-1], before.meta * np.nan):
        Learned(before.g, meta).save(tmp_path / "g")
        with pytest.raises(UntrustedFileError, match="finite meta-parameters"):
            Learned.load(tmp_path / "g")


@pytest.mark.parametrize("space", [{}, 3, None, {"parameters": {"learner": {"type": "nonsense"}}}], ids=str)
def test_a_space_that_is_none(tmp_path, space):
    learned().save(tmp_path / "g")
    altered(tmp_path / "g", space=space)
    with pytest.raises(UntrustedFileError):
        Learned.load(tmp_path / "g")


def test_a_g_that_sees_tasks_in_another_way(tmp_path):
    learned().save(tmp_path / "g")
    altered(tmp_path / "g", context=["is_table", "something"])
    with pytest.raises(UsageError, match="another description of tasks"):
        Learned.load(tmp_path / "g")


@pytest.mark.parametrize("changes", [{"hidden": float("inf")}, {"hidden": 10**12}], ids=str)
def test_a_width_that_cannot_be(tmp_path, changes):
    learned().save(tmp_path / "g")
    altered(tmp_path / "g", **changes)
    with pytest.raises(UntrustedFileError, match="Expected"):
        Learned.load(tmp_path / "g")
