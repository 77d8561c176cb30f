"""What is installed, what may be used of the machine, where things are kept, and what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sqlite3
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

import psutil

from gstar import __version__
from gstar.errors import GstarError, MissingExtraError, UnknownLearnerError
from gstar.experience import Experience
from gstar.experience.file import journal_mode, journal_reason
from gstar.learner import get_learner, learner_names
from gstar.machine import cores, memory_limit_mb
from gstar.places import config_file, home
from gstar.policies import policy_names
from gstar.settings import Settings

LIBRARIES: Final = {
    "numpy": "",
    "scipy": "",
    "pandas": "",
    "scikit-learn": "",
    "lightgbm": "",
    "sqlalchemy": "",
    "skops": "",
    "xgboost-cpu": "boost",
    "catboost": "boost",
    "torch": "deep",
    "polars": "frames",
    "pyarrow": "frames",
    "pillow": "images",
    "matplotlib": "plots",
    "psycopg": "postgres",
}
"""Libraries that matter, and the extra that brings those that are optional."""

LITTLE_DISK_MB: Final = 500.0
LITTLE_MEMORY_MB: Final = 1000.0


def examine(settings: Settings) -> dict[str, Any]:
    """Returns all there is to say, as JSON values.

    Args:
        settings: They name the place and mode of the experience.
    """
    temporary = Path(tempfile.gettempdir())
    report = {
        "versions": {"gstar": __version__, "python": platform.python_version()},
        "machine": {
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cores": cores(),
            "cores_installed": os.cpu_count() or 1,
            "memory_limit_mb": memory_limit_mb(),
            "memory_free_mb": min(memory_limit_mb(), psutil.virtual_memory().available / 2**20),
            "disk_free_mb": shutil.disk_usage(temporary).free / 2**20,
        },
        "places": {
            "home": str(home()),
            "temporary": str(temporary),
            "settings": [str(p) for p in (Path("gstar.toml"), Path("pyproject.toml"), config_file()) if p.exists()],
        },
        "experience": _experience(settings),
        "learners": {name: _learner(name) for name in learner_names()},
        "policies": policy_names(),
        "libraries": {name: {"version": _version(name), "get": _get(extra)} for name, extra in LIBRARIES.items()},
    }
    return {**report, "problems": _problems(report)}


def _experience(settings: Settings) -> dict[str, Any]:
    found = {
        "place": settings.experience,
        "mode": settings.mode,
        "sqlite": sqlite3.sqlite_version,
        "journal_mode": journal_mode(),
        "journal_reason": journal_reason(),
        "trials": 0,
        "warning": "",
    }
    is_url = "://" in settings.experience
    if settings.mode == "on" and not is_url and not Path(settings.experience).expanduser().exists():
        return {**found, "state": "nothing is remembered yet"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            experience = Experience.open(settings.experience, mode=settings.mode)
        with experience:
            status = experience.status()
    except GstarError as error:
        return {**found, "state": "cannot be used", "warning": str(error)}
    state = f"{status.trials} trials on {status.tasks} tasks"
    return {**found, "state": state, "trials": status.trials, "warning": status.warning}


def _learner(name: str) -> dict[str, str]:
    try:
        get_learner(name)
    except MissingExtraError as error:
        return {"state": "missing", "get": str(error)}
    except UnknownLearnerError as error:
        return {"state": "broken", "get": str(error)}
    return {"state": "ready", "get": ""}


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _get(extra: str) -> str:
    return f"pip install 'gstar[{extra}]'" if extra else ""


def _problems(report: dict[str, Any]) -> list[str]:
    """Returns what a person should mend, one sentence each; missing extras are a choice, not a problem."""
    machine, kept = report["machine"], report["experience"]
    found = [kept["warning"]] if kept["warning"] else []
    if machine["disk_free_mb"] < LITTLE_DISK_MB:
        place = report["places"]["temporary"]
        found.append(f"Only {machine['disk_free_mb']:.0f} MiB are free in {place}; set TMPDIR to a place with room.")
    if machine["memory_free_mb"] < LITTLE_MEMORY_MB:
        found.append(f"Only {machine['memory_free_mb']:.0f} MiB of memory are free; use fewer --workers.")
    found += [f"Learner {name}: {one['get']}" for name, one in report["learners"].items() if one["state"] == "broken"]
    return found
