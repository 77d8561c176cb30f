"""Imports point down only, and neither `import gstar` nor `gstar --help` loads anything heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gstar

SOURCE = Path(gstar.__file__).parent

LAYERS = (
    "errors absent",
    "failpoints machine runfolder places space metric inputs columns lean_skops",
    "executors arrays npz parts serialisation tensorfile",
    "images bundle",
    "settings archive arff strategy schedule selection calibration scorers schema target task encoding learner "
    "distribution",
    "networks control",
    "fitting",
    "files roles trial records validation metafeatures budget learners ensemble gradients look",
    "series events combining weights",
    "sources",
    "reading policy cost inner world",
    "outer",
    "contexts",
    "learned worlds",
    "experience policies model",
    "journal",
    "search collect advice evaluation doctor testing plots catalogue",
    "families trace branching",
    "metatraining",
    "estimators",
    "cli",
    "__main__",
)
"""Top modules and folders, lowest first; each may import what stands in a line above its own."""

HEAVY = {"torch", "ray", "lightgbm", "xgboost", "catboost", "sklearn", "scipy", "pandas", "sqlalchemy", "numpy"}

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}


def imports_of(tree: ast.AST) -> set[str]:
    """The top modules of gstar that a file imports anywhere, also late and for types."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith("gstar."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "gstar":
            found |= {alias.name for alias in node.names if alias.name in RANK}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("gstar.")}
    return found


def own_name(file: Path) -> str:
    return file.relative_to(SOURCE).with_suffix("").parts[0]


FILES = [f for f in sorted(SOURCE.rglob("*.py")) if own_name(f) not in ("__init__", "demo")]


def test_every_module_has_its_layer():
    names = {own_name(file) for file in FILES}
    assert names <= set(RANK), f"give these a layer: {sorted(names - set(RANK))}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_point_down(file):
    own = own_name(file)
    above = {
        name for name in imports_of(ast.parse(file.read_text())) - {own} if RANK.get(name, 99) >= RANK.get(own, 99)
    }
    assert not above, f"{own} (layer {RANK.get(own)}) imports {sorted(above)}, which do not stand below it"


def test_imports_are_found_wherever_they_stand():
    code = "import gstar.model\ndef f():\n    from gstar.cli.app import run\nfrom gstar import search, __version__\n"
    assert imports_of(ast.parse(code)) == {"model", "cli", "search"}


@pytest.mark.parametrize("code", ["import gstar", "import sys; from gstar.cli import main; sys.exit(main(['--help']))"])
def test_nothing_heavy_is_loaded(code):
    script = f"import atexit, sys\natexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = done.stderr.split("LOADED", 1)[1].split()
    assert "gstar" in loaded
    assert not HEAVY & set(loaded)
