"""Scores by every metric, on rows with a known target."""

import math

import numpy as np
import pandas as pd
import pytest

from gstar.arrays import ArraySchema, Rows
from gstar.errors import DataError
from gstar.evaluation import evaluate, evaluate_rows
from gstar.inputs import Images
from gstar.metric import METRICS, TaskKind


class Known:
    """Predicts what it was told, as a model does."""

    def __init__(self, classes, raw):
        self.classes, self.raw = classes, np.asarray(raw, float)
        self.kind = {0: TaskKind.REGRESSION, 2: TaskKind.BINARY}.get(len(classes), TaskKind.MULTICLASS)

    def predict_proba(self, frame):
        return self.raw[frame.index]

    predict = predict_proba


def test_classes_are_recognised_in_any_type():
    model = Known((0, 1), [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    for labels in ([0, 1, 1], ["0", "1", "1"], [0.0, 1.0, 1.0]):
        scores, rows = evaluate(model, pd.DataFrame({"y": labels}), "y")
        assert rows == 3
        assert scores["accuracy"] == pytest.approx(2 / 3)
        assert scores["roc_auc"] == 1.0
        assert set(scores) == {m.name for m in METRICS.values() if TaskKind.BINARY in m.kinds}


def test_losses_are_published_as_users_know_them():
    scores, _ = evaluate(Known((), [1.0, 2.0]), pd.DataFrame({"y": [1.0, 4.0]}), "y")
    assert scores["rmse"] == pytest.approx(math.sqrt(2))
    assert scores["mae"] == 1.0


def test_rows_without_a_target_do_not_count():
    model = Known(("a", "b"), [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])
    scores, rows = evaluate(model, pd.DataFrame({"y": ["a", None, "b"]}), "y")
    assert (rows, scores["accuracy"]) == (2, 1.0)


def test_what_is_not_defined_is_nan():
    scores, _ = evaluate(Known(("a", "b"), [[0.9, 0.1]]), pd.DataFrame({"y": ["a"]}), "y")
    assert math.isnan(scores["roc_auc"])
    assert scores["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("classes", "column", "message"),
    [
        (("a", "b"), ["a", "c"], r"Expected the labels 'a', 'b' in column 'y', got 'c' in 1 rows"),
        (("a", "b"), [None, None], "all are missing"),
        ((), ["1.5", "much"], r"Expected finite numbers in column 'y', got 'much'"),
        ((), [1.5, math.inf], r"Expected finite numbers in column 'y', got 'inf'"),
    ],
)
def test_targets_that_cannot_be_compared(classes, column, message):
    model = Known(classes, [[0.5, 0.5]] * 2 if classes else [1.0, 2.0])
    with pytest.raises(DataError, match=message):
        evaluate(model, pd.DataFrame({"y": column}), "y")


def test_images_with_a_target():
    class Bright(Known):
        def predict_inputs(self, inputs):
            bright = inputs.pixels.mean(axis=(1, 2, 3)) / 255
            return np.stack([1 - bright, bright], axis=1)

    pixels = np.array([0, 0, 255], np.uint8).reshape(3, 1, 1, 1)
    rows = Rows(Images(pixels), ArraySchema(), target=["a", None, "b"])
    scores, count = evaluate_rows(Bright(("a", "b"), []), rows, "the target")
    assert (count, scores["accuracy"]) == (2, 1.0)
    rows = Rows(Images(pixels), ArraySchema(), target=["a", "c", "b"])
    with pytest.raises(DataError, match="got 'c' in 1 rows"):
        evaluate_rows(Bright(("a", "b"), []), rows, "the target")


def test_a_missing_target_suggests_a_near_name():
    with pytest.raises(DataError, match=r"No column 'chrun' .* Did you mean 'churn'\?"):
        evaluate(Known((), [1.0]), pd.DataFrame({"churn": [1.0]}), "chrun")
