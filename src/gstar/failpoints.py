"""Places where a test can kill the process or make it stumble.

``GSTAR_FAILPOINT=experience.append.before_commit:kill`` ends the process there as ``kill -9``
would; ``:raise`` raises instead. Without the variable a failpoint does nothing.
"""

from __future__ import annotations

import os
import signal

from gstar.errors import UsageError


class FailpointError(RuntimeError):
    """Is what an armed failpoint raises; nothing but tests should ever see it."""


def failpoint(name: str) -> None:
    """Dies or raises here if ``GSTAR_FAILPOINT`` names this place.

    Raises:
        FailpointError: If the variable is ``name:raise``.
        UsageError: If the variable names this place with an unknown action.
    """
    armed, _, action = os.environ.get("GSTAR_FAILPOINT", "").partition(":")
    if armed != name:
        return
    if action == "kill":
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    if action == "raise":
        raise FailpointError(f"Failpoint {name!r} was reached.")
    raise UsageError(f"Expected GSTAR_FAILPOINT={name}:kill or {name}:raise, got action {action!r}.")
