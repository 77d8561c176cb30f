"""Jobs of a benchmark side by side, in processes that are forked from this one."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from typing import Any

TOLD = 20
"""How often it says how far it is."""
_JOBS: list[Any] = []


def spread(work: Callable[[Any], Any], jobs: Sequence[Any], workers: int, budget_s: float) -> Iterator[Any]:
    """Yields what came of the jobs, in the order in which they end; none is begun when the time is over.

    Args:
        work: A function of a module.
        jobs: Are inherited, not sent, so that they may hold anything.
        workers: Processes.
        budget_s: Seconds from now.
    """
    end = time.monotonic() + budget_s
    _JOBS[:] = jobs
    with get_context("fork").Pool(workers) as pool:
        for n, (begun, found) in enumerate(pool.imap_unordered(_done, ((work, i, end) for i in range(len(jobs))))):
            if begun:
                yield found
            if (n + 1) * TOLD // len(jobs) > n * TOLD // len(jobs):
                left = end - time.monotonic()
                print(f"{n + 1} of {len(jobs)} jobs, {left:.0f} s left", file=sys.stderr, flush=True)


def _done(job: tuple[Callable[[Any], Any], int, float]) -> tuple[bool, Any]:
    work, i, end = job
    if time.monotonic() > end:
        return False, None
    warnings.simplefilter("ignore")
    return True, work(_JOBS[i])
