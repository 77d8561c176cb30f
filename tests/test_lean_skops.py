import io
import subprocess
import sys
import zipfile

import numpy as np
from sklearn.preprocessing import StandardScaler

from gstar.lean_skops import dumps, loads


def test_no_array_library_is_imported_for_nothing():
    code = "import sys, gstar.lean_skops; print([m for m in ('torch', 'dask', 'cupy', 'pytest') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_library_that_was_hidden_can_be_imported_later():
    code = (
        "import importlib.util, sys, gstar.lean_skops\n"
        "if importlib.util.find_spec('torch'): import torch; torch.zeros(1)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_saved_is_compact_and_loads_as_ever():
    content = dumps({"a": [1, 2], "b": StandardScaler().fit(np.eye(2))})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert b"\n" not in archive.read("schema.json")
    found = loads(content)
    assert found["a"] == [1, 2]
    assert found["b"].mean_.tolist() == [0.5, 0.5]
