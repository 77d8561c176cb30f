"""gstar learns how to train models: a table in, a model out, every trial remembered.

    from gstar import GstarClassifier
    model = GstarClassifier(budget_s=60, random_state=0).fit(X, y)

Names are imported when they are first used, so that ``import gstar`` costs nothing.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gstar.estimators import GstarClassifier, GstarRegressor
    from gstar.experience import Experience
    from gstar.model import Model
    from gstar.strategy import Strategy
    from gstar.task import Task

__version__ = "0.1.0"
__all__ = ["Experience", "GstarClassifier", "GstarRegressor", "Model", "Strategy", "Task", "__version__"]

_HOMES = {
    "Experience": "gstar.experience",
    "GstarClassifier": "gstar.estimators",
    "GstarRegressor": "gstar.estimators",
    "Model": "gstar.model",
    "Strategy": "gstar.strategy",
    "Task": "gstar.task",
}

logging.getLogger("gstar").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gstar' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
