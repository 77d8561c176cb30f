"""The exceptions of gstar.

Each one also inherits the builtin that it is, and carries the exit code that the
command line ends with. A failed training is never an exception: it is a `Trial`
with a status.

    GstarError                1   no model could be made
    +-- UsageError            2   a wrong argument or flag (ValueError)
    |   +-- UnknownLearnerError, UnknownPolicyError, UnknownMetricError
    +-- DataError             3   the data cannot be learned from (ValueError)
    +-- StorageError          4   experience or output cannot be read or written (OSError)
    +-- UntrustedFileError    6   a file that might run code or lies about itself (ValueError)
    +-- MissingExtraError     2   an optional library is not installed (ImportError)
    +-- NoModelError          1   every strategy failed (RuntimeError)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class GstarError(Exception):
    """Is the root of every error that gstar raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(GstarError, ValueError):
    """Says that an argument, a flag or a setting is wrong."""

    exit_code = 2


class UnknownLearnerError(UsageError):
    """Says that no learner has this name."""


class UnknownPolicyError(UsageError):
    """Says that no policy has this name."""


class UnknownMetricError(UsageError):
    """Says that no metric has this name, or that it does not fit the kind of task."""


class MissingExtraError(GstarError, ImportError):
    """Says which extra to install."""

    exit_code = 2


class DataError(GstarError, ValueError):
    """Says that the data cannot be learned from, and what to do about it."""

    exit_code = 3


class StorageError(GstarError, OSError):
    """Says that experience or an output could not be read or written."""

    exit_code = 4


class UntrustedFileError(GstarError, ValueError):
    """Refuses a file that could run code, or whose content is not what it says."""

    exit_code = 6


class NoModelError(GstarError, RuntimeError):
    """Says that no strategy led to a model, with the causes."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ``" Did you mean 'churn'?"`` if a known name is near, else ``""``.

    Example:
        >>> did_you_mean("chrun", ["churn", "age"])
        " Did you mean 'churn'?"
    """
    near = difflib.get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
