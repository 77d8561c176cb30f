"""Outputs are checked before the work, and whole or not there."""

import os
import sys
import zipfile

import pytest

from gstar.cli.files import check_model_output, check_output, check_text_output, writing
from gstar.errors import StorageError, UsageError

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def test_a_good_place_is_left_as_it_was(tmp_path):
    check_output(tmp_path / "m.gstar")
    check_model_output(tmp_path / "m.gstar")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(StorageError, match="is a directory; add a file name"):
        check_output(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"There is no directory .*none to write m\.gstar in; make it first"):
        check_output(tmp_path / "none" / "m.gstar")


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match=r"Cannot write .*: Permission denied\. Choose another place"):
        check_output(tmp_path / "m.gstar")


def test_a_file_that_may_not_be_written(tmp_path, monkeypatch):
    (tmp_path / "m.gstar").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StorageError, match="Permission denied"):
        check_output(tmp_path / "m.gstar")


def test_only_a_model_is_replaced_by_a_model(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match=r"train\.csv exists and is no model; it would be lost"):
        check_model_output(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "")
    with pytest.raises(UsageError, match="is no model"):
        check_model_output(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", "{}")
    check_model_output(path)
    path.write_text("")
    check_model_output(path)


def test_writing_is_all_or_nothing(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")

    def fail():
        with writing(str(path)) as stream:
            stream.write("half")
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        fail()
    assert path.read_text() == "old"
    with writing(str(path)) as stream:
        stream.write("né\n")
    assert path.read_bytes() == "né\n".encode()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", [None, "-"])
def test_writing_to_stdout(where, capsys):
    with writing(where) as stream:
        stream.write("1\n")
    assert capsys.readouterr().out == "1\n"


def test_a_full_disk_is_a_storage_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match="No space left on device"), writing(str(tmp_path / "x")) as stream:
        stream.write("1")
    assert list(tmp_path.iterdir()) == []


def test_stdout_that_cannot_be_set_up_is_used_as_it_is(monkeypatch):
    class Plain:
        def __init__(self):
            self.text = ""

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    plain = Plain()
    monkeypatch.setattr(sys, "stdout", plain)
    with writing(None) as stream:
        stream.write("1")
    assert plain.text == "1"


@pytest.mark.parametrize("content", [b"PK\x03\x04rest of a model", b"SQLite format 3\x00rest of an experience"])
def test_a_text_replaces_no_model_and_no_experience(tmp_path, content):
    path = tmp_path / "kept"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="would be lost"):
        check_text_output(str(path))
    assert path.read_bytes() == content


def test_a_text_replaces_an_older_one_but_no_input(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    check_text_output(str(path))
    check_text_output(str(path), str(tmp_path / "other.csv"))
    check_text_output("-", str(path))
    check_text_output(None)
    with pytest.raises(UsageError, match="would be lost"):
        check_text_output(str(path), str(tmp_path / "." / "t.csv"))
