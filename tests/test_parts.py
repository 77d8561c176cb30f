"""Saved models of a trial: each fold gets back what it gave."""

from __future__ import annotations

from gstar.parts import read_parts, write_parts


def test_the_parts_of_one_fold_are_read_without_those_of_others(tmp_path):
    for fold in (0, 1, 11):
        write_parts(tmp_path, fold, {"model.txt": b"%d" % fold, "scale.json": b""})
    assert read_parts(tmp_path, 1) == {"model.txt": b"1", "scale.json": b""}
    assert read_parts(tmp_path, 11)["model.txt"] == b"11"
    assert read_parts(tmp_path, 2) == {}
    assert len(list(tmp_path.iterdir())) == 1, "many small files would be slow to remove"
