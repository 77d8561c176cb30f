"""What a model says, and how good it is."""

import csv
import io
import json
import math

import pytest

from tests.cli.conftest import FIT, table


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_predictions_go_to_stdout(gstar, remembered):
    outcome = gstar("predict", "m.gstar", "train.csv")
    rows = rows_of(outcome.out)
    assert (outcome.code, outcome.err) == (0, "")
    assert list(rows[0]) == ["prediction", "p_no", "p_yes"]
    assert len(rows) == 60
    for row in rows:
        assert float(row["p_no"]) + float(row["p_yes"]) == pytest.approx(1)
        assert row["prediction"] == ("yes" if float(row["p_yes"]) > float(row["p_no"]) else "no")


def test_predictions_go_to_a_file(gstar, remembered):
    outcome = gstar("predict", "m.gstar", "train.csv", "--out", "scored.csv")
    assert (outcome.code, outcome.out) == (0, "")
    assert "Wrote 60 predictions to scored.csv" in outcome.err
    assert (remembered / "scored.csv").read_text() == gstar("predict", "m.gstar", "train.csv", "--out", "-").out


def test_predictions_as_lines_of_json(gstar, remembered):
    lines = gstar("predict", "m.gstar", "train.csv", "--json").out.splitlines()
    assert len(lines) == 60
    assert set(json.loads(lines[0])) == {"prediction", "p_no", "p_yes"}


def test_reordered_and_extra_columns_and_unseen_categories_are_fine(gstar, remembered):
    (remembered / "new.csv").write_text("extra,colour,size\nx,green,0.5\ny,,\n")
    outcome = gstar("predict", "m.gstar", "new.csv")
    assert len(rows_of(outcome.out)) == 2


def test_a_missing_column_is_named(gstar, remembered):
    (remembered / "new.csv").write_text("color,size\nred,0.5\n")
    outcome = gstar("predict", "m.gstar", "new.csv")
    assert outcome.code == 3
    assert "'colour'" in outcome.error


def test_regression_has_one_column(gstar, place):
    table(place / "train.csv", regression=True)
    assert gstar("fit", "train.csv", "--target", "y", "--experience", "off", "-q", *FIT).code == 0
    rows = rows_of(gstar("predict", "model.gstar", "train.csv").out)
    assert list(rows[0]) == ["prediction"]
    assert all(math.isfinite(float(row["prediction"])) for row in rows)
    scores = json.loads(gstar("evaluate", "model.gstar", "train.csv", "--json").out)["scores"]
    assert set(scores) == {"rmse", "mae", "r2"}
    assert 0 < scores["mae"] <= scores["rmse"]


def test_labels_that_look_like_formulas_are_neutral(gstar, place):
    path = table(place / "train.csv")
    path.write_text(path.read_text().replace("yes", "=1+1").replace("no", "@SUM(A1)"))
    assert gstar("fit", "train.csv", "--target", "y", "--experience", "off", "-q", *FIT).code == 0
    rows = rows_of(gstar("predict", "model.gstar", "train.csv").out)
    assert {row["prediction"] for row in rows} <= {"'=1+1", "'@SUM(A1)"}


def test_evaluate_shows_every_metric(gstar, remembered):
    outcome = gstar("evaluate", "m.gstar", "train.csv")
    assert outcome.code == 0
    for metric in ("roc_auc", "log_loss", "accuracy", "balanced_accuracy", "f1"):
        assert f"\n{metric} " in outcome.out
    assert "rows  60" in outcome.out
    assert "(what the model was chosen by)" in outcome.out


def test_evaluate_as_json(gstar, remembered):
    told = json.loads(gstar("evaluate", "m.gstar", "train.csv", "--json").out)
    assert (told["rows"], told["metric"]) == (60, "roc_auc")
    assert 0.5 < told["scores"]["roc_auc"] <= 1


def test_evaluate_without_the_target(gstar, remembered):
    (remembered / "new.csv").write_text("size,colour,Y\n0.5,red,yes\n")
    outcome = gstar("evaluate", "m.gstar", "new.csv")
    assert outcome.code == 3
    assert "No column 'y' with the target" in outcome.error
    assert gstar("evaluate", "m.gstar", "new.csv", "--target", "Y").code == 0


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, 4, "Cannot read m.gstar: No such file or directory"),
        (b"", 6, "Refused m.gstar"),
        (b"\x80\x04\x95pickle", 6, "Refused m.gstar"),
    ],
)
def test_what_is_no_model_is_refused(gstar, remembered, command, content, code, message):
    (remembered / "m.gstar").unlink()
    if content is not None:
        (remembered / "m.gstar").write_bytes(content)
    outcome = gstar(command, "m.gstar", "train.csv")
    assert outcome.code == code
    assert message in outcome.error


def test_an_output_that_cannot_be_written_is_said_first(gstar, remembered):
    outcome = gstar("predict", "none.gstar", "none.csv", "--out", "nowhere/out.csv")
    assert outcome.code == 4
    assert "There is no directory nowhere" in outcome.error
