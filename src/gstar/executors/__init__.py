"""Where inner trainings run: any `concurrent.futures.Executor`.

`SerialExecutor` runs a job in this very process, for debugging and tiny tasks.
`ProcessExecutor` gives each job a process of its own that can be killed: a job that
sleeps in C, eats memory, crashes or prints without end harms nothing but itself.

A job is any frozen value with a `limits` attribute; what it returns is JSON values.
"""

from gstar.executors.limits import CrashedError, Limits, OutOfMemoryError, OutOfTimeError
from gstar.executors.processes import ProcessExecutor, warm_up
from gstar.executors.serial import SerialExecutor

__all__ = [
    "CrashedError",
    "Limits",
    "OutOfMemoryError",
    "OutOfTimeError",
    "ProcessExecutor",
    "SerialExecutor",
    "warm_up",
]
