import subprocess
import sys


def test_no_array_library_is_imported_for_nothing():
    code = "import sys, gstar.lean_skops; print([m for m in ('torch', 'dask', 'cupy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_library_that_was_hidden_can_be_imported_later():
    code = (
        "import importlib.util, sys, gstar.lean_skops\n"
        "assert None not in [sys.modules.get(n, 0) for n in gstar.lean_skops.HIDDEN]\n"
        "if importlib.util.find_spec('torch'): import torch; torch.zeros(1)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
