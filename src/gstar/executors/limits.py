"""What a job may use, and the three ways it can end without a result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Is what one job may use.

    Args:
        time_s: Wall-clock seconds after which the process is killed, or None.
        memory_mb: MB beyond those of an idle worker, or None.
        threads: Threads that numerical libraries may start.
        output_bytes: How much of what the job prints is kept.
    """

    time_s: float | None = None
    memory_mb: float | None = None
    threads: int = 1
    output_bytes: int = 1_000_000


class OutOfTimeError(Exception):
    """Says that a job was killed because its time was over."""


class OutOfMemoryError(Exception):
    """Says that a job asked for more memory than it may use."""


class CrashedError(Exception):
    """Says that a job's process ended without a result: a signal, or an exit."""
