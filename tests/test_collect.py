"""Filling experience on purpose: resumes, cuts long tables, names families."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from gstar.collect import CONTRASTS, collect, read_manifest, strategies_to_try
from gstar.errors import DataError
from gstar.experience import Experience
from gstar.learner import available_learners
from gstar.metric import TaskKind


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        manifest = csv.writer(file)
        manifest.writerow(["name", "file", "target", "task", "family"])
        for name, rows in (("short", 60), ("long", 150)):
            numbers = rng.normal(size=(rows, 2))
            with (tmp_path / f"{name}.csv").open("w", newline="") as table:
                lines = csv.writer(table)
                lines.writerow(["a", "b", "y"])
                lines.writerows([a, b, "yes" if a + b > 0 else "no"] for a, b in numbers)
            manifest.writerow([name, f"{name}.csv", "y", "binary", "toys" if name == "short" else ""])
    return tmp_path


def few(kind=TaskKind.BINARY):
    learners = available_learners("table", kind)
    return strategies_to_try({name: learners[name] for name in ("linear", "neighbors")})


def test_every_contrast_is_a_valid_and_different_strategy():
    learners = available_learners("table", TaskKind.REGRESSION)
    strategies = strategies_to_try(learners)
    assert len(strategies) == len(CONTRASTS) == len(set(strategies))
    for strategy in strategies:
        learners[strategy.learner].space.validate(strategy.configuration)


def test_it_fills_experience_and_goes_on_where_it_stood(folder, tmp_path):
    files = read_manifest(folder)
    told = []
    with Experience.open(tmp_path / "e.sqlite", shipped=False) as experience:
        given = {"budget_s": 300.0, "max_rows": 100, "workers": 1, "report": told.append}
        assert collect(files, {TaskKind.BINARY: few()[:2]}, experience, **given) == 4
        assert len(told) == 2
        assert collect(files, {TaskKind.BINARY: few()[:3]}, experience, **given) == 2
        records = experience.records(TaskKind.BINARY)
        assert sorted(records.families) == ["long", "toys"]
        assert sorted(records.shapes[:, 0].tolist()) == [60, 100]
        assert records.counts.sum() == 6
        assert np.all(records.scores > 0.8)


def test_a_budget_that_is_over_tries_nothing(folder, tmp_path):
    with Experience.open(tmp_path / "e.sqlite", shipped=False) as experience:
        assert collect(read_manifest(folder), {TaskKind.BINARY: few()}, experience, budget_s=0.0, workers=1) == 0


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"Cannot read .*manifest.csv: No such .* in columns name, file, target, task"):
        read_manifest(tmp_path)


def test_a_manifest_that_names_a_missing_file_is_refused(folder):
    (folder / "long.csv").unlink()
    with pytest.raises(DataError, match=r"There is no .*long\.csv, which the manifest names for 'long'"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("line", "match"), [("long,long.csv,y,ranking", "'ranking'"), ("long,long.csv,,binary", r"none for \['target'\]")]
)
def test_a_line_that_lacks_something_is_told(folder, line, match):
    (folder / "manifest.csv").write_text(f"name,file,target,task\n{line}\n")
    with pytest.raises(DataError, match=match):
        read_manifest(folder)
