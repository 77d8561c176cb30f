"""The command line: `main` runs one command and returns its exit code.

    0 done    1 no model    2 usage    3 bad data    4 storage    6 refused an untrusted file    130 interrupted

Results go to stdout, progress and errors to stderr. An error is one line that says what to
do; ``--debug`` adds the traceback.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: Those after the program's name; None: those of this process.

    Returns:
        The exit code.
    """
    called = time.monotonic()
    try:
        from gstar.cli.app import run

        return run(sys.argv[1:] if arguments is None else list(arguments), called=called)
    except KeyboardInterrupt:
        return 130
