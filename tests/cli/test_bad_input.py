"""Bad input ends in one clear line with the right exit code, or in a model; nothing is half-written."""

import gzip
import os

import numpy as np
import pytest

from tests.cli.conftest import table

CHEAP = ("--trials", 1, "--learners", "linear", "--workers", 0, "--policy", "random", "--experience", "off", "-q")


def fit(gstar, *flags, data="train.csv", target="y"):
    return gstar("fit", data, "--target", target, *CHEAP, *flags)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.csv", b"", "is empty"),
        ("train.csv", b"\n\n", "gstar: "),
        ("train.csv", b"size,y\n", "has column names but no rows"),
        ("train.csv", b"y\na\nb\na\nb\n", "gstar: "),
        ("train.csv", b"size,y\n1,a\n", "at least 2 rows"),
        ("train.csv", b"size,y\n1,a\n2,a\n3,a\n", "only one class or value"),
        ("train.csv", b"size,y\n1,\n2,\n3,\n", "at least 2 rows"),
        ("train.csv", b"size,y\n1,inf\n2,0.5\n3,1.5\n4,2.5\n", "infinity"),
        ("train.csv", b"size,y\n\xe9,a\n2,b\n", "save it as UTF-8"),
        ("train.csv", b"size,y\n1,a\x00\n2,b\n", "NUL byte in line 2"),
        ("train.csv", b'size,y\n1,"a\n2,b\n', "gstar: "),
        ("train.parquet", b"no parquet", "no readable Parquet"),
        ("train.jsonl", b'{"size": 1, "y": \n', "is no JSON"),
        ("train.arff", b"@relation x\n", "gstar: "),
        ("train.csv.gz", b"not gzip", "is no whole gzip file"),
        ("train.csv.gz", gzip.compress(b"size,y\n1,a\n2,b\n")[:-9], "is no whole gzip file"),
        ("train.xlsx", b"PK", "save it as CSV"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_files_that_cannot_be_learned_from_are_3(gstar, place, name, content, message):
    (place / name).write_bytes(content)
    outcome = fit(gstar, data=name)
    assert outcome.code == 3
    assert message in outcome.error
    assert "Unexpected" not in outcome.error
    assert [path.name for path in place.iterdir()] == [name]


def test_a_directory_and_a_file_that_is_not_there(gstar, place):
    table(place / "train.csv")
    assert "is a directory; name one file in it" in fit(gstar, data=".").error
    outcome = fit(gstar, data="trian.csv")
    assert outcome.code == 3
    assert "Near it: 'train.csv'." in outcome.error


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(gstar, place):
    table(place / "train.csv").chmod(0)
    outcome = fit(gstar)
    assert outcome.code == 3
    assert "No permission to read" in outcome.error


def test_a_misspelt_column_suggests_the_near_one(gstar, place):
    table(place / "train.csv")
    for flags, target in (((), "Y"), (("--group-by", "color"), "y"), (("--ordered-by", "siez"), "y")):
        outcome = fit(gstar, *flags, target=target)
        assert outcome.code == 3
        assert "No column" in outcome.error
    assert "Did you mean 'size'?" in outcome.error


ROWS = 40
NOISE = np.random.default_rng(0).normal(size=ROWS).round(3)
LABELS = ["ab"[i % 2] for i in range(ROWS)]


@pytest.mark.parametrize(
    "columns",
    [
        {"size": NOISE, "empty": [""] * ROWS},
        {"size": NOISE, "again": NOISE},
        {"size": [*NOISE[:-2], "inf", "-inf"]},
        {"size": [*NOISE[:-2], "many", "few"]},
        {"size": [*NOISE[:-2], 1e300, -1e300]},
        {"name": [f"row {i}" for i in range(ROWS)], "size": NOISE},
        {"": NOISE, "é 🎉": NOISE * 2, "{json: [1]}": NOISE * 3, "x" * 10_000: NOISE * 4},
        {"constant": [7] * ROWS, "size": NOISE},
    ],
    ids=lambda columns: ",".join(columns)[:30],
)
def test_odd_columns_still_give_a_model(gstar, place, columns):
    lines = [",".join(map(str, row)) for row in zip(*columns.values(), LABELS, strict=True)]
    quoted = ['"' + name.replace('"', '""') + '"' for name in (*columns, "y")]
    (place / "train.csv").write_text("\n".join([",".join(quoted), *lines]) + "\n")
    outcome = fit(gstar)
    assert outcome.code == 0, outcome.err
    assert gstar("predict", "model.gstar", "train.csv").code == 0


def test_two_columns_of_one_name(gstar, place):
    (place / "train.csv").write_text(
        "size,size,y\n" + "".join(f"{v},{-v},{y}\n" for v, y in zip(NOISE, LABELS, strict=True))
    )
    assert fit(gstar).code == 0
    assert gstar("predict", "model.gstar", "train.csv").code == 0


def test_a_class_with_one_row(gstar, place):
    labels = [*LABELS[:-1], "rare"]
    (place / "train.csv").write_text("size,y\n" + "".join(f"{v},{y}\n" for v, y in zip(NOISE, labels, strict=True)))
    outcome = gstar("fit", "train.csv", "--target", "y", *CHEAP[:-1])
    assert outcome.code == 0
    assert "Classes with one row cannot be validated: 'rare'." in outcome.err
    assert gstar("predict", "model.gstar", "train.csv").out.splitlines()[0] == "prediction,p_a,p_b,p_rare"


def test_nothing_but_constants(gstar, place):
    (place / "train.csv").write_text("size,y\n" + "".join(f"1,{y}\n" for y in LABELS))
    outcome = fit(gstar)
    assert outcome.code in (0, 3)
    assert "Unexpected" not in outcome.err


def test_many_columns(gstar, place):
    names = ",".join(f"c{i}" for i in range(3000))
    rows = np.random.default_rng(0).integers(0, 9, size=(12, 3000))
    lines = [",".join(map(str, row)) + f",{'ab'[i % 2]}" for i, row in enumerate(rows)]
    (place / "train.csv").write_text("\n".join([f"{names},y", *lines]) + "\n")
    assert gstar("fit", "train.csv", "--target", "y", *CHEAP, "--learners", "constant").code == 0
    outcome = fit(gstar, target="c30000")
    assert outcome.code == 3
    assert len(outcome.error) < 500
