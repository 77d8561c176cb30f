"""Tasks to meta-train on: what is read, how they are cut, and the space that fits them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import gstar.learner
from gstar.errors import DataError, MissingExtraError, UsageError
from gstar.families import Family, episodes_of, read_tasks, space_of
from gstar.metric import TaskKind
from tests.worlds.test_live import make_task


class TestReadTasks:
    def test_files_and_folders_with_a_manifest(self, tmp_path):
        for name in ("a", "b"):
            (tmp_path / f"{name}.csv").write_text("x,y\n" + "1,no\n2,yes\n" * 20)
        folder = tmp_path / "old"
        folder.mkdir()
        (folder / "c.csv").write_text("x,z\n" + "1,3.5\n2,4.5\n" * 20)
        (folder / "manifest.csv").write_text("name,file,target,task,family\nsee,c.csv,z,regression,alphabet\n")
        found = read_tasks([str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), str(folder)], target="y")
        assert [(f.task.name, f.family, f.task.kind.value) for f in found] == [
            ("a", "a", "binary"),
            ("b", "b", "binary"),
            ("see", "alphabet", "regression"),
        ]

    def test_images_and_sequences(self, tmp_path):
        rng = np.random.default_rng(0)
        np.savez(tmp_path / "i.npz", x=rng.integers(0, 255, (30, 5, 5)).astype(np.uint8), y=np.arange(30) % 2)
        np.savez(tmp_path / "s.npz", x=rng.normal(size=(30, 6, 2)), y=np.arange(30) % 3)
        found = read_tasks([str(tmp_path / "i.npz"), str(tmp_path / "s.npz")])
        assert [(f.task.form, f.task.n_classes) for f in found] == [("images", 2), ("sequences", 3)]

    def test_nothing_is_an_error(self):
        with pytest.raises(DataError, match="at least one task"):
            read_tasks([])


class TestEpisodes:
    def ten_classes(self) -> Family:
        rng = np.random.default_rng(0)
        task = make_task(n=400)
        labels = tuple("abcdefghij")
        target = np.arange(400) % 10
        return Family(
            replace(task, kind=TaskKind.MULTICLASS, target=rng.permutation(target), classes=labels), "letters"
        )

    def test_one_for_each_number_of_classes(self):
        found = episodes_of([self.ten_classes()], ways=(2, 5), rows=90)
        assert [(f.task.kind, f.task.n_classes, len(f.task), f.family) for f in found] == [
            (TaskKind.BINARY, 2, 80, "letters"),
            (TaskKind.MULTICLASS, 5, 90, "letters"),
        ]
        assert len({f.task.name for f in found}) == 2

    def test_rows_keep_their_class(self):
        whole = self.ten_classes()
        row_of = {tuple(x): i for i, x in enumerate(whole.task.inputs.numbers)}
        for found in episodes_of([whole], ways=(3,), n=4):
            rows = [row_of[tuple(x)] for x in found.task.inputs.numbers]
            before = [whole.task.classes[whole.task.target[row]] for row in rows]
            assert before == [found.task.classes[code] for code in found.task.target]

    def test_so_many_of_each(self):
        assert len(episodes_of([self.ten_classes()], ways=(2, 5), n=6)) == 6

    def test_a_task_with_few_classes_stays_whole(self):
        small = Family(make_task(), "small")
        found = episodes_of([small, self.ten_classes()], ways=(5,))
        assert [len(f.task) for f in found] == [60, 200]

    def test_no_task_with_so_many_classes(self):
        with pytest.raises(DataError, match="at least 5 classes"):
            episodes_of([Family(make_task(), "small")], ways=(5,))


class TestSpace:
    def test_names_become_a_tree(self):
        space = space_of("constant, neighbors", [make_task()])
        assert space.parameters["learner"].choices == ("constant", "neighbors")

    def test_rows_that_make_no_sense_are_not_in_it(self):
        assert space_of("constant", [make_task()]).parameters["selection.kind"].choices == (
            "all",
            "part",
            "balanced",
            "clean",
        )
        regression = make_task(kind=TaskKind.REGRESSION)
        assert "balanced" not in space_of("constant", [regression]).parameters["selection.kind"].choices
        ordered = replace(make_task(), order=np.arange(60))
        assert "recent" in space_of("constant", [ordered]).parameters["selection.kind"].choices

    def test_a_file(self, tmp_path):
        path = tmp_path / "s.json"
        path.write_text(json.dumps(space_of("constant,neighbors", [make_task()]).to_json()))
        assert space_of(str(path), [make_task()]).to_json() == space_of("constant,neighbors", [make_task()]).to_json()

    @pytest.mark.parametrize("content", ["", "[1]", "{}", '{"parameters": 3}', "{", "null", "[" * 5000])
    def test_a_file_that_is_no_space(self, tmp_path, content):
        (tmp_path / "s.json").write_text(content)
        with pytest.raises(UsageError, match=r"space"):
            space_of(str(tmp_path / "s.json"), [make_task()])

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(UsageError, match=r"none\.json"):
            space_of(str(tmp_path / "none.json"), [make_task()])

    def test_a_learner_that_nobody_knows(self):
        with pytest.raises(UsageError, match=r"No learner 'neighbours'.*neighbors"):
            space_of("neighbours", [make_task()])

    def test_no_learner_that_fits_a_task(self):
        with pytest.raises(UsageError, match=r"Expected a learner for toy0 .table, binary., but the space has cnn"):
            space_of("cnn", [make_task()])

    def test_torch_is_not_installed(self, monkeypatch):
        real = gstar.learner.find_spec
        monkeypatch.setattr(gstar.learner, "find_spec", lambda name: None if name == "torch" else real(name))
        with pytest.raises(MissingExtraError, match=r"gstar\[deep\]"):
            space_of("linear,mlp", [make_task()])
