"""The archive refuses every lie, writes all or nothing, and gives back what it was given."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gstar import archive
from gstar.archive import MANIFEST, read_archive, write_archive
from gstar.errors import GstarError, StorageError, UntrustedFileError, UsageError

MEMBERS = {"0/0/weights.npz": bytes(range(256)) * 4, "0/1/about.json": b"{}"}


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "model.gstar"
    write_archive(found, {"format": 1}, MEMBERS)
    return found


def zipped(path: Path, members: dict[str, bytes], manifest: object = None, **options: object) -> Path:
    """Writes a zip by hand whose manifest tells the truth unless another one is given."""
    if manifest is None:
        listed = {n: {"bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in members.items()}
        manifest = {"format": 1, "members": listed}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(MANIFEST, json.dumps(manifest))
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name) if options else name, content, **options)
    return path


def test_gives_back_what_it_was_given(path):
    assert read_archive(path) == ({"format": 1}, MEMBERS)


def test_a_handmade_truthful_zip_is_read(tmp_path):
    assert read_archive(zipped(tmp_path / "a", MEMBERS))[1] == MEMBERS


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/passwd", "a/../b", "C:\\evil", "a\\b", "a//b", ".hidden", "a/b/c/d/e", "x" * 200, "a\x00b"],
)
def test_refuses_names_that_lead_elsewhere(tmp_path, name):
    with pytest.raises(UntrustedFileError, match=r"not one that gstar writes|does not list|not a whole"):
        read_archive(zipped(tmp_path / "a", {name: b"x"}))


def test_refuses_a_symbolic_link(tmp_path):
    link = zipfile.ZipInfo("0/0/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a", "w") as file:
        file.writestr(MANIFEST, "{}")
        file.writestr(link, "/etc/passwd")
    with pytest.raises(UntrustedFileError, match="not one that gstar writes"):
        read_archive(tmp_path / "a")


def test_refuses_two_members_of_one_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "a", "w") as file:
        file.writestr(MANIFEST, "{}")
        file.writestr("0/0/a", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("0/0/a", "2")
    with pytest.raises(UntrustedFileError, match="same name"):
        read_archive(tmp_path / "a")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_refuses_methods_that_it_never_writes(tmp_path, method):
    with pytest.raises(UntrustedFileError, match="not one that gstar writes"):
        read_archive(zipped(tmp_path / "a", {"0/0/a": b"x" * 100}, compress_type=method))


def test_refuses_a_bomb(tmp_path):
    with pytest.raises(UntrustedFileError, match="would unpack to 64 MiB"):
        read_archive(zipped(tmp_path / "a", {"0/0/zeros": bytes(64 * 2**20)}))


def test_refuses_a_bomb_that_hides_its_size(tmp_path):
    """The header says 10 bytes, the stream holds 64 MiB: no more than 10 bytes are ever unpacked."""
    bomb = zipped(tmp_path / "a", {"0/0/zeros": bytes(64 * 2**20)}).read_bytes()
    told = (64 * 2**20).to_bytes(4, "little")
    (tmp_path / "a").write_bytes(bomb.replace(told, (10).to_bytes(4, "little")))
    with pytest.raises(UntrustedFileError, match=r"not a whole model file|not what the manifest says"):
        read_archive(tmp_path / "a")


def test_what_shrinks_like_a_bomb_is_written_so_that_it_can_be_read(tmp_path):
    content = {"0/0/zeros": bytes(64 * 2**20)}
    write_archive(tmp_path / "a", {}, content)
    assert read_archive(tmp_path / "a")[1] == content


def test_refuses_more_members_than_any_model_has(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    with pytest.raises(UntrustedFileError, match="5 members, at most 3"):
        read_archive(zipped(tmp_path / "a", {f"0/{i}/a": b"" for i in range(4)}))


@pytest.mark.parametrize(
    "manifest",
    [
        {"members": {}},
        {"members": {"0/0/a": {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}, "0/0/b": {}}},
        {},
        [],
        "text",
        None,
        {"members": ["0/0/a"]},
    ],
)
def test_refuses_a_manifest_that_lists_other_members(tmp_path, manifest):
    with pytest.raises(UntrustedFileError, match="does not list its members"):
        read_archive(zipped(tmp_path / "a", {"0/0/a": b"x"}, manifest if manifest is not None else 3))


@pytest.mark.parametrize(
    "said",
    [
        {"bytes": 1, "sha256": "0" * 64},
        {"bytes": 2, "sha256": hashlib.sha256(b"x").hexdigest()},
        {"bytes": -2, "sha256": hashlib.sha256(b"x").hexdigest()},
        {"bytes": 1},
        [],
        None,
        7,
    ],
)
def test_refuses_a_member_that_is_not_what_the_manifest_says(tmp_path, said):
    with pytest.raises(UntrustedFileError, match=r"not what the manifest says|damaged"):
        read_archive(zipped(tmp_path / "a", {"0/0/a": b"x"}, {"members": {"0/0/a": said}}))


def test_refuses_a_zip_without_a_manifest(tmp_path):
    with zipfile.ZipFile(tmp_path / "a", "w") as file:
        file.writestr("0/0/a", "x")
    with pytest.raises(UntrustedFileError, match="no manifest"):
        read_archive(tmp_path / "a")


class Canary:
    """Would leave a trace if it were ever unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.environ["CANARY"],)


def test_refuses_a_pickle_and_does_not_run_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CANARY", str(tmp_path / "ran"))
    (tmp_path / "a").write_bytes(pickle.dumps(Canary()))
    with pytest.raises(UntrustedFileError, match="not a whole model file"):
        read_archive(tmp_path / "a")
    assert not (tmp_path / "ran").exists()


def test_says_what_is_not_there_or_is_no_file(tmp_path):
    with pytest.raises(StorageError, match="No such file"):
        read_archive(tmp_path / "missing")
    with pytest.raises(StorageError, match="it is a folder"):
        read_archive(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="device or pipe"):
        read_archive(tmp_path / "pipe")


def test_any_damage_is_an_error_of_gstar(path):
    """Flips, cuts and repeats bytes in a few hundred places; nothing but a `GstarError` may come out."""
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for round_ in range(400):
        damaged = bytearray(whole)
        if round_ % 4 == 0:
            damaged = damaged[: rng.integers(len(whole))]
        else:
            for place in rng.integers(0, len(whole), rng.integers(1, 4)):
                damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(GstarError):
            refused += 1
            assert read_archive(path)[1] == MEMBERS
            refused -= 1
    assert refused > 200


def test_refuses_to_write_what_it_would_not_read(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="names of members"):
        write_archive(tmp_path / "a", {}, {"../a": b""})
    monkeypatch.setattr(archive, "MAX_BYTES", 10)
    with pytest.raises(StorageError, match="more than"):
        write_archive(tmp_path / "a", {}, {"0/0/a": bytes(11)})
    assert list(tmp_path.iterdir()) == []


def test_an_old_file_stays_when_writing_fails(path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match="No space left"):
        write_archive(path, {"format": 2}, MEMBERS)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    full = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    monkeypatch.setattr("builtins.open", lambda *_: io.BufferedWriter(full))
    with pytest.raises(StorageError, match="No space left"):
        write_archive(tmp_path / "a", {}, MEMBERS)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(StorageError, match="No such file"):
        write_archive(tmp_path / "missing" / "a", {}, MEMBERS)


@pytest.mark.parametrize("place", ["archive.member", "archive.before_replace"])
def test_a_kill_while_writing_leaves_the_old_file_whole(path, place):
    code = "import sys, pathlib, gstar.archive as a; a.write_archive(pathlib.Path(sys.argv[1]), {}, {})"
    armed = {**os.environ, "GSTAR_FAILPOINT": f"{place}:kill"}
    ended = subprocess.run([sys.executable, "-c", code, str(path)], env=armed, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert read_archive(path) == ({"format": 1}, MEMBERS)


def test_follows_the_mask_of_the_user(tmp_path):
    before = os.umask(0o027)
    try:
        write_archive(tmp_path / "a", {}, MEMBERS)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
