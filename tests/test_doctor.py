"""What is missing is named, with the way to get it."""

import sys
from pathlib import Path

import pytest

from gstar import doctor, learner
from gstar.doctor import examine
from gstar.experience import Experience
from gstar.settings import settle


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GSTAR_HOME", str(tmp_path / "home"))
    return lambda: settle({}, folder=tmp_path)


def test_all_is_told_and_nothing_made(settings, tmp_path):
    report = examine(settings())
    assert report["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["memory_limit_mb"] > 0
    assert report["experience"]["state"] == "nothing is remembered yet"
    assert report["experience"]["journal_mode"] in ("WAL", "DELETE")
    assert report["experience"]["sqlite"] in report["experience"]["journal_reason"]
    assert "gaussian" in report["policies"]
    assert not (tmp_path / "home").exists()


def test_a_missing_extra_is_named_with_the_way_to_get_it(settings, monkeypatch):
    monkeypatch.setattr(learner, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "_version", lambda name: "")
    report = examine(settings())
    assert report["learners"]["catboost"]["state"] == "missing"
    assert "pip install 'gstar[boost]'" in report["learners"]["catboost"]["get"]
    assert report["learners"]["linear"]["state"] == "ready"
    assert report["libraries"]["polars"] == {"version": "", "get": "pip install 'gstar[frames]'"}


def test_a_broken_learner_is_a_problem(settings, monkeypatch):
    def broken(entry):
        raise OSError("libgomp.so.1 is missing")

    monkeypatch.setattr(learner, "_LOADED", {})
    monkeypatch.setattr("importlib.metadata.EntryPoint.load", broken)
    report = examine(settings())
    assert report["learners"]["lightgbm"]["state"] == "broken"
    assert any("libgomp.so.1 is missing" in problem for problem in report["problems"])


def test_what_is_remembered_is_counted(settings):
    with Experience.open(settings().experience):
        pass
    assert examine(settings())["experience"]["state"] == "0 trials on 0 tasks"


def test_a_damaged_experience_is_a_problem(settings, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "experience.sqlite").write_bytes(b"rubbish")
    report = examine(settings())
    assert report["experience"]["state"] == "cannot be used"
    assert any("experience.sqlite" in problem for problem in report["problems"])


def test_little_room_is_a_problem(settings, monkeypatch):
    monkeypatch.setattr(doctor, "LITTLE_DISK_MB", 1e15)
    monkeypatch.setattr(doctor, "LITTLE_MEMORY_MB", 1e15)
    problems = " ".join(examine(settings())["problems"])
    assert "set TMPDIR to a place with room" in problems
    assert "use fewer --workers" in problems


def test_settings_files_are_named(settings, tmp_path):
    Path("gstar.toml").write_text("seed = 1")
    assert examine(settings())["places"]["settings"] == ["gstar.toml"]
