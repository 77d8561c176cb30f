"""The state and the care of all that is remembered."""

import json

import pytest

from gstar.experience import Experience


def test_status(gstar, remembered):
    shown = gstar("experience", "status").out
    assert f"Place       {remembered.parent / 'home' / 'experience.sqlite'}" in shown
    assert "on; new trials are kept" in shown
    assert "Tasks       1 (1 binary)" in shown
    assert "learner" in shown
    told = json.loads(gstar("experience", "status", "--json").out)
    assert (told["tasks"], told["runs"], told["keeps"]) == (1, 1, True)
    assert told["trials"] >= 2


def test_frozen_is_said(gstar, remembered):
    assert "not kept (mode frozen)" in gstar("experience", "status", "--experience", "frozen").out


def test_check_of_a_whole_one(gstar, remembered):
    outcome = gstar("experience", "check")
    assert (outcome.code, outcome.out) == (0, "The experience is whole.\n")
    assert json.loads(gstar("experience", "check", "--json").out) == {"whole": True, "problems": []}


def test_check_of_a_damaged_one_is_4(gstar, remembered, monkeypatch):
    monkeypatch.setattr(Experience, "check", lambda self: ["A page is torn."])
    outcome = gstar("experience", "check")
    assert (outcome.code, outcome.out) == (4, "A page is torn.\n")
    assert "Keep a copy" in outcome.err


@pytest.mark.parametrize("content", [b"rubbish", b"", b"SQLite format 3\x00 and no more"])
def test_a_file_that_is_no_experience_is_4_and_stays(gstar, place, content):
    home = place.parent / "home"
    home.mkdir()
    (home / "experience.sqlite").write_bytes(content)
    outcome = gstar("experience", "status")
    assert outcome.code == 4
    assert "experience.sqlite" in outcome.error
    assert (home / "experience.sqlite").read_bytes() == content


def test_backup_and_merge(gstar, remembered):
    outcome = gstar("experience", "backup", "kept.sqlite")
    assert outcome.out.startswith("Copied the experience to kept.sqlite (")
    again = gstar("experience", "backup", "kept.sqlite")
    assert again.code == 4
    empty = ("--experience", "./other.sqlite")
    merged = gstar("experience", "merge", "kept.sqlite", *empty)
    assert merged.code == 0
    assert "1 tasks" in merged.out
    assert json.loads(gstar("experience", "status", "--json", *empty).out)["tasks"] == 1
    twice = json.loads(gstar("experience", "merge", "kept.sqlite", "--json", *empty).out)
    assert (twice["tasks"], twice["runs"], twice["trials"]) == (0, 0, 0)


def test_backup_has_a_place_of_its_own(gstar, remembered):
    told = json.loads(gstar("experience", "backup", "--json").out)
    assert told["backup"].startswith(str(remembered.parent / "home" / "experience.sqlite."))
    assert told["backup"].endswith(".bak")


def test_merge_of_nothing_is_said(gstar, remembered):
    outcome = gstar("experience", "merge", "none.sqlite")
    assert outcome.code == 4
    assert "none.sqlite is not there" in outcome.error


def test_forget(gstar, remembered):
    outcome = gstar("experience", "forget", "train")
    assert outcome.code == 0
    assert outcome.out.startswith("Forgot train: 1 tasks, 1 runs, ")
    assert "Backups and merged copies are not touched" in outcome.out
    unknown = gstar("experience", "forget", "train")
    assert unknown.code == 2
    assert "No task 'train' is known" in unknown.error


def test_a_folder_that_may_not_be_written_leads_to_one_warning(gstar, place, monkeypatch):
    (place / "file").write_text("")
    outcome = gstar("experience", "status", "--experience", "./file/experience.sqlite")
    assert outcome.code == 0
    assert outcome.err.count("Warning: New trials are not kept") == 1
