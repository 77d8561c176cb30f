"""What the doctor says on the screen."""

import json


def test_on_the_screen(gstar, place):
    outcome = gstar("doctor")
    assert outcome.code == 0
    for said in ("gstar", "Python", "Cores", "Memory", "Home", "Experience", "SQLite", "Journal"):
        assert f"\n{said} " in f"\n{outcome.out}"
    assert "nothing is remembered yet" in outcome.out
    assert "lightgbm" in outcome.out
    assert not (place.parent / "home").exists()


def test_as_json(gstar, remembered):
    told = json.loads(gstar("doctor", "--json").out)
    assert told["machine"]["cores"] >= 1
    assert told["places"]["home"] == str(remembered.parent / "home")
    assert told["experience"]["trials"] >= 2
    assert told["learners"]["linear"] == {"state": "ready", "get": ""}
