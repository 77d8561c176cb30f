"""The folder of a run is gone afterwards; what killed runs have left is swept."""

from __future__ import annotations

import errno
import os
import tempfile

import pytest

from gstar.errors import StorageError
from gstar.runfolder import run_folder


def test_it_is_there_and_then_gone_also_after_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def fail():
        with run_folder() as folder:
            (folder / "data").mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list(tmp_path.iterdir())


def test_folders_of_killed_runs_are_swept_and_those_of_living_ones_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "gstar-run-999999999-abc").mkdir()
    mine = tmp_path / f"gstar-run-{os.getpid()}-abc"
    mine.mkdir()
    with run_folder():
        pass
    assert [p.name for p in tmp_path.iterdir()] == [mine.name]


def test_a_temporary_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(StorageError, match="TMPDIR"), run_folder():
        pass


def test_a_temporary_folder_that_is_full_is_named_and_emptied(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(StorageError, match=r"no space left .* TMPDIR"), run_folder():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(PermissionError), run_folder():
        raise PermissionError(errno.EACCES, "another error stays what it is")
    assert not list(tmp_path.iterdir())
