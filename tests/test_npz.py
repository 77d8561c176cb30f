"""Arrays come back as they were saved; what is hostile, damaged or too large is never unpacked."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from gstar import npz
from gstar.errors import DataError, UntrustedFileError
from gstar.npz import read_headers, read_members

ARRAYS = {
    "x": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big": np.arange(3, dtype=">i4"),
    "words": np.array(["a", "ü"]),
    "empty": np.empty((0, 4)),
    "scalar": np.float32(2.5),
}


def read(path, *names):
    headers = read_headers(path)
    return read_members(path, headers, names or headers)


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array))
    return stream.getvalue()


def packed(path, **members: bytes):
    """Writes a zip with these members, as they are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back(tmp_path, save):
    save(tmp_path / "a.npz", **ARRAYS)
    for name, array in read(tmp_path / "a.npz").items():
        np.testing.assert_array_equal(array, ARRAYS[name])
        assert array.dtype == ARRAYS[name].dtype


def test_only_what_is_asked_for_is_read(tmp_path, monkeypatch):
    """A part that would be refused does no harm as long as nobody needs it."""
    path = tmp_path / "a.npz"
    np.savez(path, x=ARRAYS["x"], notes=np.array([{"a": 1}], object))
    assert list(read(path, "x")) == ["x"]
    with pytest.raises(UntrustedFileError, match=r"Refused 'notes' .* pickles, which are never loaded"):
        read(path, "notes")


def test_a_pickle_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Evil:
        def __reduce__(self):
            return open, ("ran", "w")

    np.savez("a.npz", x=np.array([Evil()], object))
    with pytest.raises(UntrustedFileError, match="never loaded"):
        read(tmp_path / "a.npz")
    assert not (tmp_path / "ran").exists()


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros(400_000, np.uint8))
    assert read(path)["x"].sum() == 0  # small enough for any ratio
    monkeypatch.setattr(npz, "_FREE_BYTES", 10_000)
    with pytest.raises(DataError, match=r"unpacks to 400,000 bytes, too many"):
        read(path)
    monkeypatch.setattr(npz, "MAX_RATIO", 10_000)
    monkeypatch.setattr(npz, "MAX_BYTES", 300_000)
    with pytest.raises(DataError, match="too many"):
        read(path)


@pytest.mark.parametrize("change", [lambda data: data[:-8], lambda data: data + b"more"], ids=["less", "more"])
def test_a_header_that_lies_about_the_size_is_refused(tmp_path, change):
    path = packed(tmp_path / "a.npz", x=change(npy(np.arange(9))))
    with pytest.raises(UntrustedFileError, match="array 'x' has not the size that its header says"):
        read(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04pickle",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x09\x00" + npy([1])[8:],
        npy([1]).replace(b"(1,)", b"(-1)"),
        npy([1]).replace(b"(1,)", b"(((("),
        npy([1]).replace(b"'<i8'", b"'<q9'"),
    ],
    ids=["empty", "pickle", "cut", "version", "negative", "nested", "type"],
)
def test_a_member_that_is_no_array(tmp_path, content):
    with pytest.raises(DataError, match=r"is no readable \.npz"):
        read_headers(packed(tmp_path / "a.npz", x=content))


def test_a_file_that_is_no_zip_or_a_damaged_one(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"\x80\x04 no zip")
    with pytest.raises(DataError, match=r"is no readable \.npz"):
        read_headers(path)
    np.savez(path, x=np.arange(999))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged: Bad CRC"):
        read(path)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_headers(tmp_path / "none.npz")
