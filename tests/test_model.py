"""A model predicts the same from its file, in the user's own labels, and refuses hostile or foreign ones."""

from __future__ import annotations

import copy
import enum
import hashlib
import json
import logging
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gstar import model as model_module
from gstar.archive import read_archive, write_archive
from gstar.errors import DataError, StorageError, UnknownLearnerError, UntrustedFileError, UsageError
from gstar.inputs import Images, Table
from gstar.learner import TrainingSpec, get_learner
from gstar.metric import TaskKind
from gstar.model import Member, Model
from gstar.reading import make_task
from gstar.strategy import Strategy


def frame(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"age": rng.normal(40, 9, n), "city": rng.choice(["Rome", "Oslo", "Bern"], n), "noise": rng.normal(size=n)}
    )


def fitted(y: object, *, learners: tuple[str, ...] = ("linear", "extra_trees"), temperature: float = 1.0) -> Model:
    """Trains two fold models per learner, without a search."""
    task = make_task(frame(len(y)), y)  # type: ignore[arg-type]
    members = []
    for name in learners:
        learner = get_learner(name)
        parts = []
        for rows in (np.arange(0, len(task), 2), np.arange(1, len(task), 2)):
            spec = TrainingSpec(task.kind, task.n_classes, learner.space.default(), seed=1)
            state = learner.init(task.inputs.take(rows), task.target[rows], spec)
            while not state.done:
                state = learner.step(state, 100, None)
            parts.append(learner.save(state))
        members.append(Member(Strategy(name, learner.space.default()), tuple(parts), 1 / len(learners)))
    return Model.of(task, members, temperature=temperature, info={"trials": 2})


@pytest.fixture(scope="module")
def binary() -> Model:
    return fitted(np.where(frame()["age"] > 40, "yes", "no"), temperature=1.3)


@pytest.fixture
def saved(binary, tmp_path) -> Path:
    binary.save(tmp_path / "m.gstar")
    return tmp_path / "m.gstar"


def rewritten(path: Path, **changes: object) -> Path:
    """Writes the archive again, whole and with true hashes, but with another manifest."""
    manifest, members = read_archive(path)
    write_archive(path, {**manifest, **changes}, members)
    return path


# --- round trip


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (["no", "yes"], str),
        ([False, True], bool),
        ([3, 7], int),
        ([0.5, 2.5], float),
        (["1", "2"], str),
        (["<b>\ud800 \U0001f600", "=cmd|x"], str),
    ],
)
def test_labels_keep_their_type(tmp_path, labels, kind):
    y = np.array(labels, object)[(frame()["age"] > 40).astype(int)]
    model = fitted(y, learners=("linear",))
    model.save(tmp_path / "m")
    again = Model.load(tmp_path / "m")
    assert again.classes == model.classes == tuple(labels)
    assert [type(label) for label in again.classes] == [kind, kind]
    got = again.predict(frame())
    assert set(got.tolist()) <= set(labels)
    assert np.array_equal(got, model.predict(frame()))


def test_labels_of_a_subtype_are_saved_as_the_plain_type(binary, tmp_path):
    class Colour(enum.IntEnum):
        RED = 1
        BLUE = 2

    model = fitted(np.where(frame()["age"] > 40, 1, 2), learners=("linear",))
    replace(model, classes=tuple(Colour)).save(tmp_path / "m")
    assert [(type(c), c) for c in Model.load(tmp_path / "m").classes] == [(int, 1), (int, 2)]


@pytest.mark.parametrize(
    "y",
    [
        np.where(frame()["age"] > 40, "yes", "no"),
        np.digitize(frame()["age"], [35, 45]),
        frame()["age"].to_numpy() * 2 + 0.1,
    ],
    ids=["binary", "multiclass", "regression"],
)
def test_predicts_the_same_bits_from_its_file_in_a_new_process(tmp_path, y):
    model = fitted(y)
    model.save(tmp_path / "m")
    frame().to_csv(tmp_path / "rows.csv", index=False)
    rows = pd.read_csv(tmp_path / "rows.csv")
    method = "predict_proba" if model.kind.is_classification else "predict"
    code = (
        "import sys, numpy, pandas; from gstar.model import Model; folder = sys.argv[1] + '/'\n"
        "rows = pandas.read_csv(folder + 'rows.csv')\n"
        f"numpy.save(folder + 'out.npy', Model.load(folder + 'm').{method}(rows))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert np.load(tmp_path / "out.npy").tobytes() == getattr(model, method)(rows).tobytes()


def test_keeps_all_it_is_told(saved, binary):
    again = Model.load(saved)
    for name in ("kind", "metric", "classes", "form", "schema", "shape", "temperature", "info"):
        assert getattr(again, name) == getattr(binary, name), name
    assert [(m.strategy, m.parts, m.weight) for m in again.members] == [
        (m.strategy, m.parts, m.weight) for m in binary.members
    ]


def test_survives_pickle_and_copy_in_memory(binary):
    expected = binary.predict_proba(frame())
    for again in (pickle.loads(pickle.dumps(binary)), copy.deepcopy(binary)):
        assert np.array_equal(again.predict_proba(frame()), expected)
    assert "_models" not in binary.__getstate__()


# --- prediction


def test_probabilities_sum_to_one_and_agree_with_labels(binary):
    p = binary.predict_proba(frame())
    assert np.allclose(p.sum(axis=1), 1.0)
    assert np.array_equal(binary.predict(frame()), np.array(["no", "yes"], object)[p.argmax(axis=1)])


def test_averages_members_by_weight_and_folds_evenly():
    model = fitted(np.where(frame()["age"] > 40, "yes", "no"))
    members = [replace(m, weight=w) for m, w in zip(model.members, (0.25, 0.75), strict=True)]
    weighted = replace(model, members=tuple(members))
    folds = [[replace(m, parts=(part,), weight=1.0) for part in m.parts] for m in model.members]
    alone = [[replace(model, members=(one,)).predict_proba(frame()) for one in fold] for fold in folds]
    expected = 0.25 * (alone[0][0] + alone[0][1]) / 2 + 0.75 * (alone[1][0] + alone[1][1]) / 2
    assert np.allclose(weighted.predict_proba(frame()), expected, rtol=1e-12)


def test_chunks_change_nothing(binary, monkeypatch):
    whole = binary.predict_proba(frame())
    monkeypatch.setattr(model_module, "CHUNK_ROWS", 7)
    assert np.array_equal(binary.predict_proba(frame()), whole)


def test_no_rows_give_no_predictions(binary):
    assert binary.predict_proba(frame()[:0]).shape == (0, 2)
    assert binary.predict(frame()[:0]).shape == (0,)


def test_columns_may_be_reordered_and_more_but_not_fewer(binary):
    rows = frame()
    expected = binary.predict_proba(rows)
    assert np.array_equal(binary.predict_proba(rows[["noise", "city", "age"]].assign(extra=1)), expected)
    with pytest.raises(DataError, match="'city'"):
        binary.predict(rows.drop(columns="city"))


def test_unseen_categories_are_predicted(binary):
    assert np.isfinite(binary.predict_proba(frame().assign(city="Lima"))).all()


def test_regression_has_no_probabilities():
    model = fitted(frame()["age"].to_numpy() + 0.1, learners=("linear",))
    with pytest.raises(UsageError, match="use predict"):
        model.predict_proba(frame())


def test_images_must_keep_their_channels_and_arrays_their_shape(binary):
    model = replace(binary, form="images", shape=(1, 8, 8), schema={})
    with pytest.raises(DataError, match="images with 1 channels as at fit, got 3"):
        model.predict(np.zeros((3, 3, 8, 8), np.float32))
    with pytest.raises(DataError, match=r"shape \(1, 8, 8\) as at fit, got \(1, 4, 4\)"):
        model.predict_inputs(Images(np.zeros((3, 1, 4, 4), np.float32)))
    with pytest.raises(DataError, match=r"shape \(1, 8, 8\)"):
        model.predict_inputs(Table.of(np.zeros((3, 2))))


# --- hostile and foreign files


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "clustering"},
        {"kind": "regression"},
        {"classes": [["str", "no"]]},
        {"classes": [["str", "no"], ["str", "no"]]},
        {"classes": [["eval", "no"], ["str", "yes"]]},
        {"classes": 3},
        {"form": "sounds"},
        {"schema": {"columns": [{}]}},
        {"schema": None},
        {"shape": ["x"]},
        {"shape": [3]},
        {"form": "images", "schema": {}},
        {"form": "images", "schema": {}, "shape": [1, -8, 8]},
        {"form": "images", "schema": {}, "shape": [1, 10**6, 10**6]},
        {"form": "images", "schema": {"dtype": "object"}, "shape": [1, 8, 8]},
        {"form": "sequences", "schema": {"channels": [["x"]]}, "shape": [1]},
        {"form": "sequences", "schema": {"colour": "x"}, "shape": [1]},
        {"temperature": 0},
        {"temperature": "nan"},
        {"ensemble": []},
        {"ensemble": [{"strategy": {}, "folds": 2, "weight": 1.0}]},
        {"ensemble": None},
        {"info": 3},
        {"versions": []},
        {"versions": {}, "metric": None, "ensemble": "ab"},
    ],
)
def test_refuses_a_manifest_that_makes_no_sense(saved, changes):
    with pytest.raises(UntrustedFileError, match="not one of a model"):
        Model.load(rewritten(saved, **changes))


@pytest.mark.parametrize(
    ("key", "value"), [("folds", 1), ("folds", 10**9), ("folds", -1), ("weight", 0.7), ("weight", "nan"), ("weight", 0)]
)
def test_refuses_members_that_do_not_fit_their_parts(saved, key, value):
    ensemble = read_archive(saved)[0]["ensemble"]
    ensemble[0][key] = value
    with pytest.raises(UntrustedFileError, match="not one of a model"):
        Model.load(rewritten(saved, ensemble=ensemble))


def test_refuses_parts_of_another_learner(saved):
    ensemble = read_archive(saved)[0]["ensemble"]
    ensemble[0]["strategy"]["learner"] = "lightgbm"
    with pytest.raises(UntrustedFileError, match="lightgbm model are damaged or not its own"):
        Model.load(rewritten(saved, ensemble=ensemble)).predict(frame())


class Canary:
    def __reduce__(self):
        return Path.mkdir, (Path("ran"),)


@pytest.mark.parametrize("name", ["estimator.skops", "forest.npz", "about.json", "encoder.json"])
def test_never_unpickles_a_part(saved, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    manifest, members = read_archive(saved)
    poisoned = {part: pickle.dumps(Canary()) if part.endswith(name) else old for part, old in members.items()}
    assert poisoned != members
    write_archive(saved, manifest, poisoned)
    with pytest.raises(UntrustedFileError, match=r"part is damaged|are damaged|not a forest"):
        Model.load(saved).predict(frame())
    assert not (tmp_path / "ran").exists()


def test_an_unknown_learner_is_named(saved):
    ensemble = read_archive(saved)[0]["ensemble"]
    ensemble[0]["strategy"]["learner"] = "forrest"
    with pytest.raises(UnknownLearnerError, match="No learner 'forrest'"):
        Model.load(rewritten(saved, ensemble=ensemble))


def test_a_flipped_bit_in_a_part_is_found(saved):
    manifest, members = read_archive(saved)
    name = next(iter(members))
    listed = {n: {"bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in members.items()}
    members[name] = bytes([members[name][0] ^ 1]) + members[name][1:]
    with zipfile.ZipFile(saved, "w") as file:
        file.writestr("manifest.json", json.dumps({**manifest, "members": listed}))
        for part, content in members.items():
            file.writestr(part, content)
    with pytest.raises(UntrustedFileError, match="not what the manifest says"):
        Model.load(saved)


def test_another_format_is_refused_by_name(saved):
    with pytest.raises(StorageError, match=r"has format 2, this gstar reads 1"):
        Model.load(rewritten(saved, format=2))


def test_versions_drift(saved, caplog, monkeypatch):
    here = read_archive(saved)[0]["versions"]
    major, minor = here["scikit-learn"].split(".")[:2]
    patch = {**here, "scikit-learn": f"{major}.{minor}.99"}
    with caplog.at_level(logging.WARNING, "gstar"):
        Model.load(rewritten(saved, versions=patch))
        assert not caplog.messages
        Model.load(rewritten(saved, versions={**here, "scikit-learn": f"{major}.{int(minor) + 1}.0"}))
    assert "was written with scikit-learn" in caplog.messages[0]
    other = rewritten(saved, versions={**here, "scikit-learn": f"{int(major) + 1}.0.0"})
    with pytest.raises(StorageError, match=r"written with scikit-learn .* force"):
        Model.load(other)
    assert Model.load(other, force=True).kind is TaskKind.BINARY


def test_versions_of_libraries_that_it_does_not_use_do_not_matter(saved):
    here = read_archive(saved)[0]["versions"]
    Model.load(rewritten(saved, versions={**here, "catboost": "99.0"}))


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(StorageError, match="No such file"):
        Model.load(tmp_path / "none.gstar")
