"""Imports as if some libraries were not installed: for libraries that look for many others and need none."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _Hider:
    """Says of every hidden library that it is not installed; scipy takes a None in `sys.modules` for a module."""

    names: frozenset[str]

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> None:
        """Is called by every import, first of all finders."""
        if name in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}, as it is hidden", name=name)


@contextlib.contextmanager
def absent(*names: str) -> Iterator[None]:
    """Lets imports of these libraries fail meanwhile; one that is loaded already stays as it is.

    Example:
        >>> with absent("nowhere"):
        ...     import nowhere
        Traceback (most recent call last):
        ModuleNotFoundError: No module named 'nowhere', as it is hidden
    """
    hider = _Hider(frozenset(names))
    sys.meta_path.insert(0, hider)
    try:
        yield
    finally:
        sys.meta_path.remove(hider)
