"""Filling experience from a folder of tables."""

import json

from tests.cli.conftest import table


def test_what_was_tried_is_told_and_not_tried_again(gstar, place):
    table(place / "old.csv")
    (place / "manifest.csv").write_text("name,file,target,task\nold,old.csv,y,binary\n")
    arguments = ("collect", ".", "--learners", "neighbors", "--budget", "5m")
    outcome = gstar(*arguments, "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out) == {"tasks": 1, "trials": 2}
    assert "old: " in outcome.err
    assert gstar(*arguments).out.startswith("Tried 0 strategies on 1 tables")
    assert json.loads(gstar("experience", "status", "--json").out)["trials"] == 2


def test_a_folder_without_a_manifest_is_3(gstar):
    outcome = gstar("collect", ".")
    assert outcome.code == 3
    assert "manifest.csv" in outcome.err
