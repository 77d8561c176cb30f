"""Which array of a file is the input, which the target, and what they are."""

from __future__ import annotations

import numpy as np
import pytest

from gstar.arrays import ArraySchema
from gstar.bundle import Bundle
from gstar.errors import DataError, UntrustedFileError, UsageError
from gstar.inputs import form_of

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 8), dtype=np.uint8)
FLOATS = np.arange(60.0).reshape(6, 5, 2)
Y = np.arange(6) % 2


def read(path):
    bundle = Bundle.open(path)
    return bundle.frame() if bundle.form == "table" else bundle.rows()


@pytest.fixture
def saved(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return tmp_path / "a.npz"

    return save


@pytest.mark.parametrize(
    ("arrays", "form", "inputs"),
    [
        ({"x": PIXELS}, "images", "x"),
        ({"x": FLOATS}, "sequences", "x"),
        ({"x": FLOATS[:, :, 0]}, "table", "x"),
        ({"X": FLOATS[:, :, 0], "lengths": np.full(6, 3)}, "sequences", "X"),
        ({"images": FLOATS}, "images", "images"),
        ({"sequences": FLOATS[:, :, 0]}, "sequences", "sequences"),
        ({"pixels": PIXELS, "meta": np.ones((6, 3)), "other": np.ones((7, 3, 3, 3))}, "images", "pixels"),
        ({"x": Y, "frames": FLOATS}, "sequences", "frames"),
    ],
)
def test_inputs_are_found(saved, arrays, form, inputs):
    bundle = Bundle.open(saved(y=Y, **arrays))
    assert (bundle.inputs, bundle.target, bundle.form) == (inputs, "y", form)
    if form != "table":
        assert form_of(bundle.rows().inputs) == form


def test_a_form_that_is_said_counts(saved):
    path = saved(x=FLOATS, y=Y)
    assert Bundle.open(path, form="images").rows().inputs.pixels.shape == (6, 1, 5, 2)
    assert Bundle.open(saved(x=FLOATS[:, :, 0], y=Y), form="sequences").rows().inputs.steps.shape == (6, 5, 1)


def test_lengths_are_honoured(saved):
    lengths = np.array([1, 2, 3, 4, 5, 5], np.int32)
    rows = Bundle.open(saved(x=FLOATS, y=Y, lengths=lengths)).rows()
    assert rows.inputs.lengths.tolist() == lengths.tolist()
    assert (rows.inputs.steps[0, 1:] == 0).all()
    assert rows.notes == ()


def test_what_is_guessed_and_left_is_told(saved):
    rows = Bundle.open(saved(x=PIXELS.astype(float), y=Y, split=Y)).rows()
    assert rows.notes == (
        "Took 'x' (6, 9, 8) float64 as sequences of 9 steps with 8 values each; if they are images, say form images.",
        "Did not use 'split' in 'a.npz'.",
    )


@pytest.mark.parametrize("names", [np.array(["no", "yes"]), np.array([b"no", b"yes"])])
def test_labels_by_their_names(saved, names):
    rows = Bundle.open(saved(x=PIXELS, y=Y.astype(np.uint8), class_names=names)).rows()
    assert rows.target.tolist() == ["no", "yes"] * 3


@pytest.mark.parametrize(
    ("y", "names", "expected"),
    [
        (Y, ["only one"], Y),
        (Y - 1, ["no", "yes"], Y - 1),
        (Y, ["same", "same"], Y),
        (Y + 0.5, ["no", "yes"], Y + 0.5),
        (np.array([b"a", b"b"] * 3), ["no", "yes"], np.array(["a", "b"] * 3)),
        (Y[:, None], ["no", "yes"], np.array(["no", "yes"] * 3)),
    ],
)
def test_names_that_do_not_fit_are_not_used(saved, y, names, expected):
    rows = Bundle.open(saved(x=PIXELS, y=y, classes=np.array(names))).rows()
    np.testing.assert_array_equal(rows.target, expected)


def test_another_target_may_be_named(saved):
    path = saved(x=PIXELS, y=Y, age=np.arange(6.0))
    rows = Bundle.open(path, target="age").rows()
    assert rows.target.tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(DataError, match=r"No array 'agee' for the target .* Did you mean 'age'\?"):
        Bundle.open(path, target="agee")
    with pytest.raises(DataError, match=r"Expected one target per row in .* but 'x' is \(6, 9, 8\) uint8"):
        Bundle.open(path, target="x")


def test_new_rows_need_no_target(saved):
    path = saved(x=PIXELS)
    assert Bundle.open(path).rows(labelled=False).target is None
    with pytest.raises(UsageError, match=r"the name of the target's array .* one of: x \(6, 9, 8\) uint8"):
        Bundle.open(path).rows()


def test_new_rows_are_found_by_the_name_at_fit(saved):
    path = saved(a=PIXELS, b=PIXELS[:, ::-1])
    with pytest.raises(DataError, match="'a', 'b' could all be it; name it 'x'"):
        Bundle.open(path)
    schema = ArraySchema("b", "uint8")
    rows = Bundle.open(path, key="b").rows(schema, labelled=False)
    np.testing.assert_array_equal(rows.inputs.pixels[:, 0], PIXELS[:, ::-1])


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"y": Y}, DataError, "none has one row per value of the target"),
        ({"x": PIXELS, "y": Y[:4]}, DataError, r"got 6 rows and 'y' of shape \(4,\)"),
        ({"x": np.array([{}] * 6, object), "y": Y}, UntrustedFileError, "Python objects are pickles"),
        ({"x": PIXELS, "y": np.array(["a", None] * 3, object)}, UntrustedFileError, "Refused 'y'"),
        ({"x": np.ones((6, 2, 2, 2, 2)), "y": Y}, DataError, "Expected a table"),
    ],
)
def test_what_cannot_be_learned_from(saved, arrays, error, message):
    path = saved(**arrays)
    with pytest.raises(error, match=message):
        read(path)


def test_a_table(saved):
    frame, notes = Bundle.open(
        saved(x=FLOATS[:, :, 0], y=Y, shop=np.array(["a"] * 6), class_names=np.array(["no", "yes"]))
    ).frame()
    assert list(frame.columns) == ["x0", "x1", "x2", "x3", "x4", "y", "shop"]
    assert frame["y"].tolist() == ["no", "yes"] * 3
    assert frame["x1"].tolist() == FLOATS[:, 1, 0].tolist()
    assert notes == ("Took 'x' (6, 5) float64 as a table; if its rows are sequences, say form sequences.",)
