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
