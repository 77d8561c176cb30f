from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from gstar.errors import StorageError
from gstar.experience import Experience, read_shipped, write_shipped
from gstar.metric import TaskKind
from gstar.testing.experience import KIND, begin, failed_trial, filled, toy_task, toy_trial


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "experience.jsonl.gz"
    with Experience.open(mode="off") as experience:
        filled(experience, 3, 5)
        task = toy_task(0)
        run = begin(experience, task, family="shops")
        experience.append([failed_trial(task, run, 0), toy_trial(task, run, 9, metric="accuracy", score=1 / 3)])
        write_shipped(experience, path)
    return path


def test_comes_back_as_the_same_records(written: Path):
    with Experience.open(mode="off") as experience:
        filled(experience, 3, 5)
        expected = experience.records(KIND)
    found = read_shipped(written)
    assert set(found) == {KIND}
    records = found[KIND]
    assert (records.tasks, records.strategies) == (expected.tasks, expected.strategies)
    assert records.families == ("shops", *expected.tasks[1:])
    np.testing.assert_allclose(records.scores, expected.scores, rtol=1e-6)
    np.testing.assert_array_equal(records.counts, expected.counts)
    np.testing.assert_array_equal(records.shapes, expected.shapes)
    np.testing.assert_array_equal(records.meta_features, expected.meta_features)
    assert records.failures.sum() == 1


def test_another_metric_or_else_the_default(written: Path):
    np.testing.assert_allclose(read_shipped(written, "accuracy")[KIND].scores, [[1 / 3]], rtol=1e-6)
    assert read_shipped(written, "f1")[KIND] is read_shipped(written)[KIND]


def test_holds_no_rows_and_no_names(written: Path):
    text = gzip.decompress(written.read_bytes()).decode()
    assert "toy 1" not in text
    assert {key for line in text.splitlines() for key in json.loads(line)} == {
        "format", "version", "strategy", "task", "kind", "metric", "family", "shape", "meta_features", "cells",
    }  # fmt: skip


def test_the_same_experience_is_the_same_bytes(tmp_path: Path):
    with Experience.open(mode="off") as experience:
        filled(experience)
        write_shipped(experience, tmp_path / "a.jsonl.gz")
        write_shipped(experience, tmp_path / "b.jsonl.gz")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


HEAD = '{"format":"gstar-experience","version":1}\n'


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "to be gstar-experience version 1"),
        ('{"format":"gstar-experience","version":2}', "Update gstar"),
        ("no json", "to be gstar-experience version 1"),
        (HEAD + '{"task":"x","kind":"binary","metric":"f1","cells":[]}', "is damaged"),
        (HEAD + '{"strategy":{"learner":"x"}}', "is damaged"),
        (
            HEAD + '{"task":"x","family":"","kind":"binary","metric":"roc_auc","shape":[1,1,2],"meta_features":[1],'
            '"cells":[[7,1,0,0.5,1]]}',
            "is damaged",
        ),
        (
            HEAD + '{"task":"x","family":"","kind":"binary","metric":"roc_auc","shape":[1,1,2],"meta_features":[NaN],'
            '"cells":[]}',
            "is damaged",
        ),
    ],
)
def test_refuses_what_is_damaged(tmp_path: Path, content: str, match: str):
    path = tmp_path / "experience.jsonl"
    path.write_text(content)
    with pytest.raises(StorageError, match=match):
        read_shipped(path)


def test_kinds_stay_apart(written: Path):
    assert TaskKind.REGRESSION not in read_shipped(written)
