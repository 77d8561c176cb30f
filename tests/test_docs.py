"""The pages in docs/ point to files and functions that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
PLACE = re.compile(r"`((?:src|tests|benchmarks|examples)/[\w/]+(?:\.py)?)(?:: ([\w.]+))?`")
GRADIENT = ROOT / "docs" / "policy_gradient.md"


def _names(file: Path) -> set[str]:
    """Returns the functions, classes, and methods as Class.method, of a file."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_to_is_there(page: Path):
    for path, name in PLACE.findall(page.read_text()):
        assert (ROOT / path).exists(), f"{page.name} points to {path}, which is not there"
        assert not name or name in _names(ROOT / path), f"{page.name} points to {name}, which is not in {path}"


def test_every_estimator_is_derived():
    text = GRADIENT.read_text()
    for file in (ROOT / "src/gstar/gradients").glob("*.py"):
        if file.stem not in ("__init__", "base"):
            assert f"src/gstar/gradients/{file.name}" in text


def test_wrong_places_would_be_found():
    found = PLACE.findall(GRADIENT.read_text())
    assert len(found) > 30
    assert ("src/gstar/outer/loop.py", "run_outer") in found
    assert "Natural.turn" in _names(ROOT / "src/gstar/gradients/natural.py")
    assert "Natural.nothing" not in _names(ROOT / "src/gstar/gradients/natural.py")


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "README.md"], ids=lambda page: page.name)
def test_the_list_of_pages_is_whole(page: Path):
    assert f"({page.name})" in (ROOT / "docs" / "README.md").read_text()
