"""scikit-learn parts go to bytes and back exactly; nothing else comes in."""

from __future__ import annotations

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gstar.errors import UntrustedFileError
from gstar.serialisation import dump_arrays, dump_sklearn, load_arrays, load_sklearn


def test_a_pipeline_predicts_the_same_bit_for_bit():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    again = load_sklearn(dump_sklearn({"model": fitted}))["model"]
    np.testing.assert_array_equal(again.predict_proba(x), fitted.predict_proba(x))


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_is_refused_and_never_runs(tmp_path):
    bomb = tmp_path / "ran"
    for content in (pickle.dumps(Canary(str(bomb))), b"", b"not a zip", b"PK\x03\x04 broken"):
        with pytest.raises(UntrustedFileError, match="damaged or not one of gstar's"):
            load_sklearn(content)
    assert not bomb.exists()


def test_types_that_are_not_ours_are_refused():
    content = skops.io.dumps({"f": os.path.join})
    with pytest.raises(UntrustedFileError, match=r"types that gstar never saves.*join"):
        load_sklearn(content)


def test_a_pickle_inside_a_part_is_refused(tmp_path):
    bomb = tmp_path / "ran"
    content = io.BytesIO(dump_sklearn({"a": np.arange(3)}))
    with zipfile.ZipFile(content) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name in members:
        if name.endswith(".npy"):
            stuffed = io.BytesIO()
            np.save(stuffed, np.array([Canary(str(bomb))], object), allow_pickle=True)
            members[name] = stuffed.getvalue()
    hostile = io.BytesIO()
    with zipfile.ZipFile(hostile, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    with pytest.raises(UntrustedFileError, match="damaged or not one of gstar's"):
        load_sklearn(hostile.getvalue())
    assert not bomb.exists()


def test_a_part_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr("gstar.serialisation.MAX_MEMBER_BYTES", 1000)
    with pytest.raises(UntrustedFileError, match="unpacks to more"):
        load_sklearn(dump_sklearn({"a": np.arange(1000)}))


def test_arrays_hold_no_objects():
    arrays = {"a": np.arange(3), "b": np.array(2.5)}
    again = load_arrays(dump_arrays(arrays))
    assert set(again) == {"a", "b"}
    np.testing.assert_array_equal(again["a"], arrays["a"])
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        dump_arrays({"a": np.array([{}], object)})
    content = io.BytesIO()
    np.savez(content, a=np.array([{}], object))
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        load_arrays(content.getvalue())
