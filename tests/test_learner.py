"""Learners are found by name; one that is not there is named, with the way out."""

from __future__ import annotations

import pytest

from gstar import learner as module
from gstar.errors import MissingExtraError, UnknownLearnerError
from gstar.learner import available_learners, get_learner, learner_names, register_learner
from gstar.metric import TaskKind
from gstar.testing.evil import Raiser


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(module, "_LOADED", dict(module._LOADED))


def test_names_are_those_of_the_entry_points():
    assert {"constant", "linear", "lightgbm", "extra_trees"} <= set(learner_names())


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a package as pip would, with two learners: one that works, and one whose module is broken."""
    (tmp_path / "theirs-1.0.dist-info").mkdir()
    (tmp_path / "theirs-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (tmp_path / "theirs-1.0.dist-info" / "entry_points.txt").write_text(
        "[gstar.learners]\ntheirs = theirs_module:Theirs\nbroken = broken_module:Broken\n"
    )
    (tmp_path / "theirs_module.py").write_text(
        "from examples.own_learner import KernelVoting\n\n\ndef Theirs():\n    return KernelVoting()\n"
    )
    (tmp_path / "broken_module.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_a_package_with_an_entry_point_is_all_that_a_new_learner_needs():
    assert "theirs" in learner_names()
    assert get_learner("theirs").space.parameters
    assert "theirs" in available_learners("table", TaskKind.BINARY)


@pytest.mark.usefixtures("installed")
def test_a_package_that_is_broken_is_named_and_does_no_harm_to_others():
    assert "broken" not in available_learners("table", TaskKind.BINARY)
    with pytest.raises(UnknownLearnerError, match=r"broken_module:Broken cannot be loaded.*no_such_library.*uninstall"):
        get_learner("broken")
    with pytest.raises(UnknownLearnerError, match="cannot be loaded"):
        available_learners("table", TaskKind.BINARY, also=["broken"])


def test_unknown_names_suggest_a_near_one():
    with pytest.raises(UnknownLearnerError, match="Did you mean 'lightgbm'"):
        get_learner("lightgmb")


def test_registered_learners_are_known_by_name():
    register_learner(Raiser())
    assert get_learner("raiser").name == "raiser"
    assert "raiser" not in available_learners("table", TaskKind.BINARY)
    assert "raiser" in available_learners("table", TaskKind.BINARY, also=["raiser"])


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setattr(Raiser, "requires", ("surely_not_installed",))
    register_learner(Raiser())
    with pytest.raises(MissingExtraError, match=r"needs surely_not_installed.*gstar\[boost\]"):
        get_learner("raiser")
    with pytest.raises(MissingExtraError, match="surely_not_installed"):
        available_learners("table", TaskKind.BINARY, also=["raiser"])
