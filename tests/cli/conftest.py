"""Runs commands in this process, each test with a home and a working folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from gstar.cli import main


@dataclass(frozen=True)
class Outcome:
    """Is what a command left on the screen."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of an error; the test fails if it is not one."""
        lines = [line for line in self.err.splitlines() if not line.startswith("Note:")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("gstar: ")
        return lines[0]


Command: TypeAlias = Callable[..., Outcome]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with nothing in it, and a home beside it."""
    for variable in ("GSTAR_EXPERIENCE", "GSTAR_BUDGET", "GSTAR_TRIALS", "GSTAR_SEED"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("GSTAR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GSTAR_SHIPPED", "off")
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def gstar(place, capfd) -> Command:
    """Runs a command in the working folder."""

    def run(*arguments: object) -> Outcome:
        code = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


FIT = ("--trials", 2, "--learners", "linear,neighbors", "--workers", 0, "--policy", "random")
"""Flags that make a fit as cheap as it can be."""


def table(path: Path, *, rows: int = 60, seed: int = 0, regression: bool = False) -> Path:
    """Writes a small table with a target ``y`` that two of its columns tell."""
    rng = np.random.default_rng(seed)
    size, colour = rng.normal(size=rows).round(3), rng.choice(["red", "blue"], rows)
    strength = size + (colour == "red") + rng.normal(0, 0.3, rows)
    target = strength.round(4) if regression else np.where(strength > 0.5, "yes", "no")
    lines = [",".join(map(str, row)) for row in zip(size, colour, target, strict=True)]
    path.write_text("\n".join(["size,colour,y", *lines]) + "\n")
    return path


@pytest.fixture(scope="session")
def fitted(tmp_path_factory) -> Path:
    """A folder with a table, a model of it, and the home where the fit is remembered; do not change it."""
    folder = tmp_path_factory.mktemp("fitted")
    table(folder / "train.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSTAR_HOME", str(folder / "home"))
        patch.setenv("GSTAR_SHIPPED", "off")
        patch.chdir(folder)
        assert main([str(a) for a in ("fit", "train.csv", "--target", "y", "--out", "m.gstar", "-q", *FIT)]) == 0
    return folder


@pytest.fixture
def remembered(place, fitted) -> Path:
    """The working folder, with a copy of all that is in `fitted`."""
    shutil.copytree(fitted / "home", place.parent / "home")
    for name in ("train.csv", "m.gstar"):
        shutil.copy(fitted / name, place / name)
    return place
