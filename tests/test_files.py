"""Files of every kind are read, and those that cannot be are refused in one line."""

from __future__ import annotations

import gzip
import math

import pandas as pd
import pytest

from gstar import files
from gstar.errors import DataError
from gstar.files import read_frame, read_with_notes

FRAME = pd.DataFrame({"a": [1.5, 2.0, None], "b": ["x", "y, z", "ü"]})


def write(path, kind):
    if kind == "parquet":
        FRAME.to_parquet(path)
    elif kind == "jsonl":
        FRAME.to_json(path, orient="records", lines=True, force_ascii=False)
    else:
        FRAME.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_same_rows_from_every_kind_of_file(tmp_path, kind, packed):
    path = tmp_path / f"t.{kind}"
    write(path, kind)
    if packed and kind != "parquet":
        content = path.read_bytes()
        path = tmp_path / f"t.{kind}.gz"
        path.write_bytes(gzip.compress(content))
    frame = read_frame(path)
    assert list(frame.columns) == ["a", "b"]
    assert frame["a"].astype(float).tolist()[:2] == [1.5, 2.0]
    assert frame["a"].isna().tolist() == [False, False, True]
    assert frame["b"].astype(str).tolist() == ["x", "y, z", "ü"]


def test_an_arff_file(tmp_path):
    path = tmp_path / "t.arff"
    path.write_text(
        "% a comment\n@RELATION toy\n@ATTRIBUTE size NUMERIC\n@attribute 'the colour' {red,'dark blue'}\n@DATA\n"
        "1.5,red\n?, 'dark blue'\n"
    )
    frame = read_frame(path)
    assert list(frame.columns) == ["size", "the colour"]
    assert frame["the colour"].astype(str).tolist() == ["red", "dark blue"]
    assert frame["size"].isna().tolist() == [False, True]


def test_semicolons_with_decimal_commas(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1,5;x\n2,25;y\n")
    assert read_frame(path)["a"].astype(float).tolist() == [1.5, 2.25]


def test_more_than_one_decimal_comma_in_a_line_makes_no_more_columns(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a;b;c\n" + "1,5;x;0,25\n" * 9)
    frame = read_frame(path)
    assert list(frame.columns) == ["a", "b", "c"]
    assert frame["c"].tolist() == [0.25] * 9


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('a,b\n"1,234.5",x\n17,y\n"-12,345,678",z\n,z\n', [1234.5, 17.0, -12345678.0, None]),
        ("a;b\n1.234,50;x\n17,25;y\n-12.345.678,00;z\n;z\n", [1234.5, 17.25, -12345678.0, None]),
    ],
)
def test_separators_of_thousands(tmp_path, content, expected):
    path = tmp_path / "t.csv"
    path.write_text(content)
    frame, notes = read_with_notes(path)
    assert [None if math.isnan(value) else value for value in frame["a"].tolist()] == expected
    assert any("separators of thousands in 'a'" in note for note in notes)


@pytest.mark.parametrize("cell", ['"1,23"', '"0,234"', '"1,2345"', "01.02.2020", "x", "1,234 kg"])
def test_what_only_looks_like_thousands_stays_as_it_is(tmp_path, cell):
    path = tmp_path / "t.csv"
    path.write_text(f"a\tb\n1,234\tx\n{cell}\ty\n")
    frame, notes = read_with_notes(path)
    assert frame["a"].tolist() == ["1,234", cell.strip('"')]
    assert notes == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_say_what_they_are(tmp_path, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes("käse,b\nü,1\nä,2\n".encode(encoding))
    frame = read_frame(path)
    assert list(frame.columns) == ["käse", "b"]
    assert frame["käse"].tolist() == ["ü", "ä"]


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("t.csv", b"", "empty"),
        ("t.csv", b"a,b\n", "no rows|header"),
        ("t.csv", "ä,b\nö,1\n".encode("latin-1"), "UTF-8"),
        ("t.csv", b"a,b\n1,\x00\n", "NUL"),
        ("t.csv.gz", b"\x1f\x8bjunk", "gzip|compressed|damaged"),
        ("t.parquet", b"PAR1junk", "Parquet"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', "JSON"),
        ("t.arff", b"@relation x\n@data\n{0 1}\n", "."),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, name, content, match):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=match) as caught:
        read_frame(path)
    assert "\n" not in str(caught.value)


def test_a_directory_and_a_near_name(tmp_path):
    with pytest.raises(DataError, match=r"directory|folder"):
        read_frame(tmp_path)
    (tmp_path / "churn.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match=r"churn\.csv"):
        read_frame(tmp_path / "chrun.csv")


def test_a_gzip_bomb_is_bounded(tmp_path, monkeypatch):
    limits = [name for name in vars(files) if "MAX" in name.upper() and isinstance(getattr(files, name), int)]
    for name in limits:
        monkeypatch.setattr(files, name, 1_000)
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1_000_000))
    with pytest.raises(DataError, match=r"unpack|larger|more than|expands"):
        read_frame(path)


def test_many_rows_and_many_columns(tmp_path):
    long = tmp_path / "long.csv"
    long.write_text("a,b\n" + "1,x\n" * 50_000)
    assert read_frame(long).shape == (50_000, 2)
    wide = tmp_path / "wide.csv"
    wide.write_text(",".join(f"c{i}" for i in range(5_000)) + "\n" + ("1," * 4_999 + "2\n") * 3)
    assert read_frame(wide).shape == (3, 5_000)
