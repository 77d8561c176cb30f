"""The fits that are remembered."""

import csv
import io
import json

import pytest


@pytest.fixture
def run(gstar, remembered):
    """The identifier of the one run that is remembered."""
    (only,) = json.loads(gstar("runs", "list", "--json").out)
    return only["run"]


def test_list(gstar, run):
    lines = gstar("runs", "list").out.splitlines()
    assert lines[0].split() == ["run", "when", "task", "score", "trials", "time", "status"]
    assert lines[1].startswith(run[:8])
    assert "train" in lines[1]
    assert "roc_auc 0." in lines[1]
    assert lines[1].endswith(" s")


def test_list_of_one_task(gstar, run):
    assert len(json.loads(gstar("runs", "list", "--task", "train", "--json").out)) == 1
    assert json.loads(gstar("runs", "list", "--task", "other", "--json").out) == []


def test_nothing_is_remembered_yet(gstar, place):
    outcome = gstar("runs", "list")
    assert (outcome.code, outcome.out) == (0, "")
    assert "No runs are remembered yet" in outcome.err
    assert gstar("runs", "list", "--json").out == "[]\n"
    assert not (place.parent / "home").exists()


def test_show(gstar, run):
    shown = gstar("runs", "show", run[:6]).out
    assert f"Run       {run}" in shown
    assert "Score     roc_auc 0." in shown
    assert "neighbors" in shown or "linear" in shown
    assert "quick first model" in shown


def test_show_as_json(gstar, run):
    told = json.loads(gstar("runs", "show", run, "--json").out)
    assert told["settings"]["metric"] == "roc_auc"
    assert len(told["trials"]) == told["n_trials"] >= 2
    assert sum(trial["weight"] for trial in told["trials"]) == pytest.approx(1)


@pytest.mark.parametrize("command", ["show", "rm"])
def test_an_unknown_run_is_said(gstar, run, command):
    outcome = gstar("runs", command, "zzz")
    assert outcome.code == 2
    assert "No run 'zzz'. `gstar runs list` shows those that are known." in outcome.error


def test_rm(gstar, run, remembered):
    outcome = gstar("runs", "rm", run[:8])
    assert outcome.out.startswith(f"Removed run {run}: ")
    assert "trials" in outcome.out
    assert json.loads(gstar("runs", "list", "--json").out) == []
    assert (remembered / "m.gstar").exists()


def test_export_as_lines_of_json(gstar, run):
    rows = [json.loads(line) for line in gstar("runs", "export").out.splitlines()]
    assert {row["run"] for row in rows} == {run}
    assert len(rows) >= 2
    assert {"task_name", "learner", "score", "seconds", "strategy"} <= set(rows[0])
    assert gstar("runs", "export", "--run", run[:8]).out == gstar("runs", "export").out


def test_export_as_csv(gstar, run, remembered):
    assert gstar("runs", "export", "--out", "runs.csv").code == 0
    text = (remembered / "runs.csv").read_text()
    assert text == gstar("runs", "export", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(text)))
    assert json.loads(rows[0]["strategy"])["learner"] == rows[0]["learner"]
    assert float(rows[0]["seconds"]) >= 0


def test_export_of_nothing_is_empty(gstar):
    assert gstar("runs", "export").out == ""
    assert gstar("runs", "export", "--format", "csv").out.startswith("run,task,task_name,when,number,learner,")
