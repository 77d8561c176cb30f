"""A table in, a model out."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gstar.errors import NoModelError, StorageError
from gstar.model import Model
from tests.cli.conftest import FIT, table


def test_fit_tells_model_score_what_was_tried_and_what_is_next(gstar, place):
    table(place / "train.csv")
    outcome = gstar("fit", "train.csv", "--target", "y", "--out", "m.gstar", *FIT)
    assert outcome.code == 0
    assert (place / "m.gstar").exists()
    for said in (
        "Model       m.gstar (",
        "Task        binary, 2 classes, 60 rows, 2 columns used",
        "Score       roc_auc 0.",
        "Tried       3 strategies",
        "gstar runs show",
        "share  learner",
        "Next: gstar predict m.gstar NEW.csv --out predictions.csv",
    ):
        assert said in outcome.out
    assert f"Every trial is remembered in {place.parent / 'home' / 'experience.sqlite'}" in outcome.err
    assert "To switch that off: --experience off" in outcome.err
    assert "best so far" in outcome.err


def test_the_score_has_the_name_and_sign_of_what_models_were_chosen_by(gstar, place):
    (place / "tiny.csv").write_text("a,b,y\n1,2,yes\n2,3,no\n3,4,yes\n")
    outcome = gstar("fit", "tiny.csv", "--target", "y", *FIT)
    assert "roc_auc is not defined on so few rows" in outcome.err
    assert "Score       log_loss 0." in outcome.out
    assert "roc_auc" not in outcome.out
    result = json.loads(gstar("fit", "tiny.csv", "--target", "y", "--json", *FIT).out)
    assert result["metric"] == "log_loss"
    assert result["score"] > 0


def test_the_place_of_the_experience_is_told_once(gstar, remembered):
    outcome = gstar("fit", "train.csv", "--target", "y", "-q", *FIT)
    assert outcome.code == 0
    assert outcome.err == ""


def test_json_result(gstar, place):
    table(place / "train.csv", regression=True)
    outcome = gstar("fit", "train.csv", "--target", "y", "--json", "--metric", "mae", *FIT)
    result = json.loads(outcome.out)
    assert result["model"] == "model.gstar"
    assert (result["kind"], result["metric"], result["rows"]) == ("regression", "mae", 60)
    assert 0 < result["score"] < 2
    assert [trial["number"] for trial in result["trials"]] == [0, 1, 2]
    assert sum(trial["weight"] for trial in result["trials"]) == pytest.approx(1)
    assert result["trials"][0]["learner"] == "constant"
    assert len(result["run"]) == 32


def test_a_budget_in_trials_repeats_exactly(gstar, place):
    table(place / "train.csv")
    predictions = []
    for name in ("a.gstar", "b.gstar"):
        assert gstar("fit", "train.csv", "--target", "y", "--out", name, "--experience", "off", *FIT).code == 0
        predictions.append(gstar("predict", name, "train.csv").out)
    assert predictions[0] == predictions[1]


def test_experience_off_keeps_nothing(gstar, place):
    table(place / "train.csv")
    outcome = gstar("fit", "train.csv", "--target", "y", "--experience", "off", *FIT)
    assert "not kept (--experience off)" in outcome.out
    assert not (place.parent / "home").exists()


def test_an_experience_that_cannot_be_written_costs_one_warning(gstar, place):
    table(place / "train.csv")
    outcome = gstar("fit", "train.csv", "--target", "y", "-q", "--experience", "./train.csv/no.sqlite", *FIT)
    assert outcome.code == 0
    assert outcome.err.count("Warning: New trials are not kept") == len(outcome.err.splitlines()) == 1
    assert "not kept (the experience cannot be written)" in outcome.out


def test_settings_reach_the_search(gstar, place, monkeypatch):
    table(place / "train.csv")
    (place / "gstar.toml").write_text('learners = ["constant"]\nworkers = 0\nexperience = "off"\n')
    monkeypatch.setenv("GSTAR_TRIALS", "1")
    result = json.loads(gstar("fit", "train.csv", "--target", "y", "--json").out)
    assert {trial["learner"] for trial in result["trials"]} == {"constant"}


def test_order_and_groups_are_passed_on(gstar, place):
    path = table(place / "train.csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0] + ",shop", *(f"{line},s{i % 5}" for i, line in enumerate(lines[1:]))]))
    outcome = gstar("fit", "train.csv", "--target", "y", "--group-by", "shop", "--experience", "off", *FIT)
    assert outcome.code == 0
    wrong = gstar("fit", "train.csv", "--target", "y", "--ordered-by", "sise", "--experience", "off", *FIT)
    assert wrong.code == 3
    assert "Did you mean 'size'?" in wrong.error


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        ("", "y", "is empty"),
        ("size,colour,churn\n1,red,no\n2,blue,yes\n", "chrun", "Did you mean 'churn'?"),
        ("y\n1\n2\n3\n", "z", "No column 'z'"),
        ("x,y\n1,a\n2,a\n3,a\n", "y", "it has only one class or value"),
        ("x,y\n1,a\n", "y", "at least 2 rows"),
    ],
)
def test_bad_data_is_3_and_nothing_is_left(gstar, place, content, target, message):
    (place / "train.csv").write_text(content)
    outcome = gstar("fit", "train.csv", "--target", target, *FIT)
    assert outcome.code == 3
    assert message in outcome.error
    assert not (place / "model.gstar").exists()
    assert not (place.parent / "home").exists()


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--out", "none/m.gstar"), 4, "There is no directory none"),
        (("--out", "."), 4, "is a directory"),
        (("--out", "train.csv"), 2, "exists and is no model; it would be lost"),
        (("--policy", "gausian"), 2, "Did you mean 'gaussian'?"),
        (("--learners", "lightbgm"), 2, "Did you mean 'lightgbm'?"),
        (("--metric", "rmse"), 2, "does not fit a binary task"),
    ],
)
def test_what_is_wrong_is_said_before_the_work(gstar, place, flags, code, message):
    path = table(place / "train.csv")
    before = path.read_text()
    outcome = gstar("fit", "train.csv", "--target", "y", "--trials", 1, "--workers", 0, "--experience", "off", *flags)
    assert outcome.code == code
    assert message in outcome.err.splitlines()[-1]
    assert path.read_text() == before


def test_a_table_needs_the_name_of_its_target(gstar, place):
    table(place / "train.csv")
    outcome = gstar("fit", "train.csv", *FIT)
    assert outcome.code == 2
    assert "Expected y or the name of the target's column, one of" in outcome.error


def test_hostile_names_are_harmless(gstar, place):
    path = table(place / "train.csv")
    path.write_text(path.read_text().replace("size", "\x1b]0;owned\x07size").replace("yes", "\x1b[31m[red]yes"))
    outcome = gstar("fit", "train.csv", "--target", "y", "--experience", "off", *FIT)
    assert outcome.code == 0
    missing = gstar("fit", "train.csv", "--target", "\x1b[31mz", *FIT)
    assert "\x1b" not in outcome.out + outcome.err + missing.err


def test_a_model_that_finds_no_room_is_rescued(gstar, place, monkeypatch):
    table(place / "train.csv")
    save = Model.save

    def full(self, path):
        if Path(path) == Path("m.gstar"):
            raise StorageError("Cannot write m.gstar: No space left on device.")
        save(self, path)

    monkeypatch.setattr(Model, "save", full)
    monkeypatch.setattr("tempfile.tempdir", str(place.parent))
    outcome = gstar("fit", "train.csv", "--target", "y", "--out", "m.gstar", "-q", "--experience", "off", *FIT)
    assert outcome.code == 4
    assert "No space left on device. The model was saved as " in outcome.error
    rescued = Path(outcome.error.split(" as ")[1].removesuffix(" instead."))
    assert Model.load(rescued).metric == "roc_auc"


def test_no_model_is_1(gstar, place, monkeypatch):
    def fail(*_, **__):
        raise NoModelError("No strategy led to a model. linear: broken")

    table(place / "train.csv")
    monkeypatch.setattr("gstar.search.search", fail)
    outcome = gstar("fit", "train.csv", "--target", "y", "-q", *FIT)
    assert (outcome.code, outcome.error) == (1, "gstar: No strategy led to a model. linear: broken")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_keeps_the_best_model_so_far(place, number, code):
    table(place / "train.csv")
    command = [sys.executable, "-m", "gstar", "fit", "train.csv", "--target", "y", "--budget", "10m", "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    lines = iter(process.stderr.readline, "")
    assert next(line for line in lines if "best so far" in line)
    time.sleep(0.2)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert "interrupted" in out
    assert Model.load(place / "model.gstar").info["target"] == "y"


def lives(process: psutil.Process) -> bool:
    """Tells whether a process still runs; one that nobody has reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_kill_leaves_the_experience_whole_and_the_next_fit_working(gstar, place, monkeypatch):
    table(place / "train.csv")
    temporary = place.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    command = [sys.executable, "-m", "gstar", "fit", "train.csv", "--target", "y", "--budget", "10m", "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    lines = iter(process.stderr.readline, "")
    assert next(line for line in lines if "best so far" in line and "constant" not in line), "the run is remembered"
    started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=60)
    while any(lives(worker) for worker in started):
        time.sleep(0.05)
    assert any(temporary.iterdir())
    assert not (place / "model.gstar").exists()
    assert gstar("experience", "check").code == 0
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    assert gstar("fit", "train.csv", "--target", "y", "-q", *FIT).code == 0
    runs = json.loads(gstar("runs", "list", "--json").out)
    assert [run["status"] for run in runs] == ["completed", "abandoned"]
    assert json.loads(gstar("runs", "show", runs[1]["run"], "--json").out)["trials"]
    assert not list(temporary.iterdir()), "what the killed one left is swept"
