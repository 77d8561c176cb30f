"""What is set, and where."""

import json


def test_values_with_their_origin(gstar, place, monkeypatch):
    (place / "gstar.toml").write_text("seed = 3\nlearners = ['linear', 'kernel']")
    monkeypatch.setenv("GSTAR_BUDGET", "5m")
    lines = {line.split()[0]: line.split() for line in gstar("config", "show", "--origin").out.splitlines()}
    assert lines["budget"][1:3] == ["300.0", "GSTAR_BUDGET"]
    assert lines["seed"][1:3] == ["3", "gstar.toml"]
    assert lines["learners"][1:3] == ["linear,kernel", "gstar.toml"]
    assert lines["policy"][1:3] == ["gaussian", "default"]


def test_values_alone_and_as_json(gstar, place):
    assert gstar("config", "show").out.splitlines()[0].split() == ["setting", "value", "meaning"]
    told = json.loads(gstar("config", "show", "--json").out)
    assert told["seed"] == {"value": 0, "origin": "default"}


def test_passwords_are_never_shown(gstar, monkeypatch):
    monkeypatch.setenv("GSTAR_EXPERIENCE", "postgresql://ann:s3cret@host/db")
    for flags in ((), ("--json",)):
        outcome = gstar("config", "show", *flags)
        assert "ann:***@host" in outcome.out
        assert "s3cret" not in outcome.out
