"""Arrays with JSON beside them: what is written is read; what is damaged, too long or hostile is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from gstar.errors import StorageError, UntrustedFileError
from gstar.failpoints import FailpointError
from gstar.tensorfile import TensorFile

KIND = TensorFile("thing", "thing that counts", "thing-1", "about", 10_000, " Make a new one.")
ARRAYS, ABOUT = {"x": np.arange(3.0), "y": np.zeros((2, 0))}, {"z": [1, None], "a": "b"}


def test_what_is_written_is_read_in_its_order(tmp_path: Path):
    KIND.write(tmp_path / "t", ARRAYS, ABOUT)
    arrays, about = KIND.read(tmp_path / "t")
    assert {name: array.tolist() for name, array in arrays.items()} == {"x": [0.0, 1.0, 2.0], "y": [[], []]}
    assert list(about.items()) == list(ABOUT.items()), "a space hangs on the order of its parameters"
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_the_earlier_one_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    KIND.write(tmp_path / "t", ARRAYS, ABOUT)
    monkeypatch.setenv("GSTAR_FAILPOINT", "thing.before_replace:raise")
    with pytest.raises(FailpointError):
        KIND.write(tmp_path / "t", {}, {})
    assert KIND.read(tmp_path / "t")[1] == ABOUT


def test_a_place_that_is_not_there(tmp_path: Path):
    with pytest.raises(StorageError, match=r"The thing .* could not be read"):
        KIND.read(tmp_path / "none")
    with pytest.raises(StorageError, match=r"The thing .* could not be written"):
        KIND.write(tmp_path / "none" / "t", ARRAYS, ABOUT)


def holding(text: str, form: str = "thing-1") -> bytes:
    return save({"x": np.zeros(1)}, {"format": form, "about": text})


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "SafetensorError|header"),
        (b"\x80\x04pickle.", "header"),
        (save({"x": np.zeros(1)}), "__metadata__"),
        (save({"x": np.zeros(1)}, {"format": "thing-1"}), "KeyError"),
        (holding("{}", "thing-2"), "its format is 'thing-2', expected 'thing-1'"),
        (holding("7"), "not iterable"),
        (holding("[" * 5_000), "recursion"),
        (save({"x": np.zeros(2_000)}, {"format": "thing-1", "about": "{}"}), "larger than 10,000 bytes"),
    ],
    ids=["empty", "pickle", "bare", "half", "other", "number", "deep", "long"],
)
def test_what_is_none_is_refused(tmp_path: Path, content: bytes, cause: str):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(UntrustedFileError, match=f"Expected a thing that counts in .*({cause}).* Make a new one."):
        KIND.read(tmp_path / "t")


def test_no_more_is_read_than_it_may_be_long(tmp_path: Path):
    with (tmp_path / "t").open("wb") as file:
        file.truncate(2**40)  # without blocks on the disk
    with pytest.raises(UntrustedFileError, match="larger than"):
        KIND.read(tmp_path / "t")


def test_infinities_in_json_are_what_they_are(tmp_path: Path):
    (tmp_path / "t").write_bytes(holding(json.dumps({"n": float("inf")})))
    assert KIND.read(tmp_path / "t")[1]["n"] == float("inf")
