"""Fit, predict, evaluate and recommend on folders of images, .npz files and long tables."""

from __future__ import annotations

import csv
import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from gstar.learner import register_learner
from tests.begins import Begins
from tests.nearest import Nearest

CHEAP = (
    *("--trials", 1, "--learners", "nearest", "--workers", 0, "--policy", "random", "--experience", "off", "-q"),
    *("--out", "m.gstar"),
)
N = 24


@pytest.fixture(autouse=True)
def nearest():
    register_learner(Nearest())


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def pixels(seed=0):
    """Dark and bright images."""
    rng = np.random.default_rng(seed)
    y = np.arange(N) % 2
    return np.clip(rng.normal(60 + 120 * y[:, None, None, None], 30, (N, 10, 8, 3)), 0, 255).astype(np.uint8), y


def folder(path, seed=0):
    x, y = pixels(seed)
    for i, (image, label) in enumerate(zip(x, y, strict=True)):
        file = path / ["dark", "bright"][label] / f"{i:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    return path


def series(seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(N) % 2
    return rng.normal(y[:, None, None], 0.3, (N, 12, 2)), y, rng.integers(3, 13, N)


def long_table(path, seed=0, labelled=True):
    x, y, lengths = series(seed)
    lines = [
        f"s{i},{t},{x[i, t, 0]:.4f},{x[i, t, 1]:.4f}" + (f",{'ab'[y[i]]}" if labelled else "")
        for i in range(N)
        for t in reversed(range(lengths[i]))
    ]
    path.write_text("\n".join(["id,t,u,v" + ",label" * labelled, *lines]) + "\n")


def test_a_folder_of_images(gstar, place):
    folder(place / "train")
    folder(place / "test", seed=1)
    outcome = gstar("fit", "train", *CHEAP)
    assert outcome.code == 0
    assert "24 colour images of 10 x 8 pixels" in outcome.out
    assert "gstar predict m.gstar NEW_FOLDER" in outcome.out
    rows = rows_of(gstar("predict", "m.gstar", "test").out)
    assert list(rows[0]) == ["file", "prediction", "p_bright", "p_dark"]
    assert [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    assert all(row["file"].startswith(row["prediction"]) for row in rows)
    scores = json.loads(gstar("evaluate", "m.gstar", "test", "--json").out)
    assert (scores["rows"], scores["scores"]["accuracy"]) == (N, 1.0)


def test_new_images_flat_alone_and_broken(gstar, place):
    folder(place / "train")
    assert gstar("fit", "train", *CHEAP, "--image-size", 6).code == 0
    flat = place / "flat"
    flat.mkdir()
    Image.new("L", (99, 40), 200).save(flat / "b.jpg")
    Image.new("RGBA", (5, 5), (9, 9, 9, 255)).save(flat / "a.png")
    (flat / "c.png").write_bytes(b"broken")
    outcome = gstar("predict", "m.gstar", "flat", "--json")
    told = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(row["file"], row["prediction"]) for row in told] == [("a.png", "dark"), ("b.jpg", "bright")]
    assert outcome.err == "Note: Left out 1 files that cannot be read as images: 'c.png'.\n"
    assert rows_of(gstar("predict", "m.gstar", "flat/b.jpg").out)[0]["prediction"] == "bright"
    outcome = gstar("evaluate", "m.gstar", "flat")
    assert outcome.code == 3
    assert "a sub-folder of images per class" in outcome.error


def test_labels_that_the_model_does_not_know(gstar, place):
    folder(place / "train")
    assert gstar("fit", "train", *CHEAP).code == 0
    (place / "train" / "dark").rename(place / "train" / "dim")
    outcome = gstar("evaluate", "m.gstar", "train")
    assert outcome.code == 3
    assert "Expected the labels 'bright', 'dark'" in outcome.error


def test_images_in_an_npz(gstar, place):
    x, y = pixels()
    np.savez("train.npz", x=x, y=y, class_names=np.array(["dark", "bright"]))
    np.savez("new.npz", x=np.repeat(x, 2, axis=1))
    assert gstar("fit", "train.npz", *CHEAP).code == 0
    rows = rows_of(gstar("predict", "m.gstar", "new.npz").out)
    assert [row["prediction"] for row in rows] == [["dark", "bright"][label] for label in y]
    assert "accuracy           1" in gstar("evaluate", "m.gstar", "train.npz").out
    np.savez("grey.npz", x=x[..., 0])
    outcome = gstar("predict", "m.gstar", "grey.npz")
    assert outcome.code == 3
    assert "images with 3 channels as at fit, got 1" in outcome.error


def test_weights_are_kept_and_used_if_they_are_switched_on_and_go_with_their_task(gstar, place, monkeypatch):
    register_learner(Begins())
    for seed, name in enumerate(("first", "second", "third")):
        x, y = pixels(seed)
        np.savez(f"{name}.npz", x=x, y=y)
    flags = ("--trials", 3, "--learners", "begins", "--workers", 0, "-q", "--out", "m.gstar", "--json")

    def fit(name, *more):
        told = json.loads(gstar("fit", f"{name}.npz", *flags, *more).out)
        return [t["strategy"].get("init", {}).get("body") for t in told["trials"][1:]]

    assert fit("first") == [None] * 3
    status = json.loads(gstar("experience", "status", "--json").out)
    assert (status["weights"], status["weights_room"]) == (0, 0)
    assert fit("second", "--weights", "on") == [None] * 3
    loud = [flag for flag in flags if flag != "-q"]
    told = gstar("fit", "second.npz", *loud, "--weights", "on", "--experience", "off").err
    assert "no weights are kept or used" in told
    assert fit("third", "--weights", "off") == [None] * 3
    monkeypatch.setenv("GSTAR_WEIGHTS", "2MiB")
    assert fit("third") == [None, "fine_tuned", "frozen"]
    assert "Weights     2 networks" in (text := gstar("experience", "status").out)
    assert "room for 2.0 MiB" in text
    assert "1 weights" in gstar("experience", "forget", "third").out
    assert gstar("experience", "check").code == 0
    (file,) = (place.parent / "home" / "experience.sqlite.weights").iterdir()
    file.write_bytes(b"broken")
    assert gstar("experience", "check").code == 4
    assert "Expected off, on or a size" in gstar("fit", "third.npz", *flags, "--weights", "much").err


def test_sequences_in_an_npz(gstar, place):
    x, y, lengths = series()
    np.savez("train.npz", x=x, label=y + x[:, :, 0].mean(axis=1), lengths=lengths)
    outcome = gstar("fit", "train.npz", *CHEAP, "--target", "label")
    assert outcome.code == 0
    assert "24 sequences of 3 to 12 steps with 2 values each" in outcome.out
    np.savez("longer.npz", x=np.repeat(x, 2, axis=1))
    assert len(rows_of(gstar("predict", "m.gstar", "longer.npz").out)) == N
    assert json.loads(gstar("evaluate", "m.gstar", "train.npz", "--json").out)["scores"]["r2"] > 0.5


def test_sequences_in_a_long_table(gstar, place):
    long_table(place / "train.csv")
    long_table(place / "new.csv", seed=1, labelled=False)
    outcome = gstar("fit", "train.csv", *CHEAP, "--target", "label", "--sequence-id", "id", "--time", "t")
    assert outcome.code == 0
    assert "gstar predict m.gstar NEW.csv" in outcome.out
    rows = rows_of(gstar("predict", "m.gstar", "new.csv").out)
    assert [row["id"] for row in rows] == [f"s{i}" for i in range(N)]
    assert [row["prediction"] for row in rows] == ["ab"[i % 2] for i in range(N)]
    assert "accuracy           1" in gstar("evaluate", "m.gstar", "train.csv").out
    outcome = gstar("evaluate", "m.gstar", "new.csv")
    assert outcome.code == 3
    assert "No column 'label' with the target" in outcome.error


def test_a_table_in_an_npz(gstar, place):
    x, y, _ = series()
    np.savez("train.npz", x=x[:, :, 0], y=y)
    flags = ("--trials", 1, "--learners", "linear", "--workers", 0, "--experience", "off", "--out", "m.gstar")
    outcome = gstar("fit", "train.npz", *flags)
    assert outcome.code == 0
    assert "Took 'x' (24, 12) float64 as a table; if its rows are sequences, say form sequences." in outcome.err
    assert len(rows_of(gstar("predict", "m.gstar", "train.npz").out)) == N
    assert "accuracy           1" in gstar("evaluate", "m.gstar", "train.npz").out
    assert gstar("fit", "train.npz", *CHEAP, "--form", "sequences").code == 0


def test_strategies_for_images_are_recommended(gstar, place):
    folder(place / "train")
    outcome = gstar("recommend", "train", "--learners", "nearest", "--experience", "off", "--json")
    assert [p["strategy"]["learner"] for p in json.loads(outcome.out)] == ["nearest"]


@pytest.mark.parametrize("command", ["fit", "recommend"])
def test_the_extra_is_named_if_nothing_can_learn_from_images(gstar, place, command, monkeypatch):
    monkeypatch.setattr("gstar.advice.available_learners", lambda form, kind: {"constant": None})
    folder(place / "train")
    outcome = gstar(command, "train")
    assert outcome.code == 2
    assert "No learner for images is installed" in outcome.error
    assert "pip install 'gstar[deep]'" in outcome.error


def test_pillow_is_named_if_it_is_missing(gstar, place, monkeypatch):
    folder(place / "train")
    monkeypatch.setitem(sys.modules, "PIL", None)
    outcome = gstar("fit", "train", *CHEAP)
    assert outcome.code == 2
    assert "pip install 'gstar[images]'" in outcome.error


def no_class(place):
    folder(place / "data")
    for name in ("dark", "bright"):
        for path in (place / "data" / name).iterdir():
            path.rename(place / "data" / path.name)
    return "data", ()


def one_class(place):
    folder(place / "data")
    for path in (place / "data" / "dark").iterdir():
        path.unlink()
    return "data", ()


def nothing_readable(place):
    for path in folder(place / "data").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:50])
    return "data", ()


def a_pickle(place):
    np.savez("data.npz", x=np.array([np.ones(3), np.ones(2)], object), y=[0, 1])
    return "data.npz", ()


def a_bomb(place):
    np.savez_compressed("data.npz", x=np.zeros((2, 12_000, 12_000), np.uint8), y=[0, 1])
    return "data.npz", ()


def no_zip(place):
    (place / "data.npz").write_bytes(b"\x80\x04 no zip")
    return "data.npz", ()


def no_target(place):
    np.savez("data.npz", x=pixels()[0])
    return "data.npz", ()


def many_targets(place):
    long_table(place / "data.csv")
    return "data.csv", ("--target", "u", "--sequence-id", "id")


def no_such_column(place):
    long_table(place / "data.csv")
    return "data.csv", ("--target", "label", "--sequence-id", "idd")


def a_folder_has_no_target(place):
    folder(place / "data")
    return "data", ("--target", "y")


def a_form_that_is_none(place):
    return "data.npz", ("--form", "sounds")


def an_image_size_that_is_none(place):
    return "data", ("--image-size", "0")


@pytest.mark.parametrize(
    ("make", "code", "message"),
    [
        (no_class, 3, "a sub-folder of images per class"),
        (one_class, 3, "only one class or value, 'bright'"),
        (nothing_readable, 3, "none of 24 files can be read as one"),
        (a_pickle, 6, "Refused 'x' in 'data.npz': Python objects are pickles"),
        (a_bomb, 3, "unpacks to 288,000,016 bytes, too many"),
        (no_zip, 3, "is no readable .npz"),
        (no_target, 2, "Expected the name of the target's array"),
        (many_targets, 3, "one value of 'u' per sequence"),
        (no_such_column, 3, "Did you mean 'id'?"),
        (a_folder_has_no_target, 2, "leave out the target 'y'"),
        (a_form_that_is_none, 2, "Expected a form among"),
        (an_image_size_that_is_none, 2, "Expected an image size from 1 to 1024 pixels, got 0"),
    ],
)
def test_bad_input_ends_in_one_line(gstar, place, make, code, message):
    data, flags = make(place)
    before = sorted(place.rglob("*"))
    outcome = gstar("fit", data, *flags, *CHEAP)
    assert outcome.code == code
    assert message in outcome.error
    assert sorted(place.rglob("*")) == before
