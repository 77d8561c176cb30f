"""A trial as a row, and a row as a trial; what may be stored and what is refused.

What a database would change behind one's back (NaN, infinity, integers beyond 64 bits)
is refused at the door, so that every store gives back what it was given.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from gstar.errors import UsageError
from gstar.strategy import Strategy
from gstar.trial import Proposal, Status, Trial

TEXT_LIMIT: Final = 4_000_000
"""The longest text in characters."""
SCORE_LIMIT: Final = 1e300
"""The largest score, so that a mean of many can still be computed."""

_FOLDS: Final = re.compile(r"([1-9][0-9]{0,3})-fold")


def folds_of(fidelity: str) -> int:
    """Returns how many models a trial of this fidelity trains.

    Example:
        >>> folds_of("5-fold"), folds_of("holdout")
        (5, 1)
    """
    found = _FOLDS.fullmatch(fidelity)
    return int(found[1]) if found else 1


def number(value: Any, what: str, *, low: float = -SCORE_LIMIT, high: float = SCORE_LIMIT) -> float:
    """Returns a finite number within bounds, minus zero as zero.

    Raises:
        UsageError: If it is anything else.
    """
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if isinstance(value, str | bytes) or not low <= found <= high:
        raise UsageError(f"Expected {what} to be a finite number in [{low:g}, {high:g}], got {value!r:.80}.")
    return found + 0.0


def integer(value: Any, what: str, *, low: int = -(2**63), high: int = 2**63 - 1) -> int:
    """Returns an integer that fits 64 bits.

    Raises:
        UsageError: If it is anything else.
    """
    try:
        found = value.__index__()
    except AttributeError:
        found = None
    if found is None or not low <= found <= high:
        raise UsageError(f"Expected {what} to be an integer in [{low}, {high}], got {value!r:.80}.")
    return int(found)


def text(value: Any, what: str, *, limit: int = TEXT_LIMIT) -> str:
    """Returns a text of bounded length.

    Raises:
        UsageError: If it is anything else.
    """
    if not isinstance(value, str) or len(value) > limit:
        got = f"{len(value)} characters" if isinstance(value, str) else f"{value!r:.80}"
        raise UsageError(f"Expected {what} to be text of at most {limit} characters, got {got}.")
    return str(value)


def as_json(value: Mapping[str, Any], what: str) -> str:
    """Returns a mapping as compact JSON, which holds no NaN.

    Raises:
        UsageError: If it does not go into JSON.
    """
    try:
        found = json.dumps(dict(value), separators=(",", ":"), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"Expected {what} to go into JSON, got {value!r:.80} ({error}).") from error
    return text(found, what)


def row_of(trial: Trial, created: float) -> dict[str, Any]:
    """Returns a trial as a row, without its references to task, strategy and run."""
    proposal = trial.proposal
    return checked(
        {
            "number": trial.number,
            "status": trial.status,
            "score": trial.score,
            "query_score": trial.query_score,
            "cost_s": trial.cost_s,
            "cost_steps": trial.cost_steps,
            "memory_mb": trial.memory_mb,
            "fidelity": trial.fidelity,
            "seed": trial.seed,
            "metric": trial.metric,
            "error": trial.error,
            "log_prob": None if math.isnan(proposal.log_prob) else proposal.log_prob,
            "policy": proposal.policy,
            "policy_version": proposal.policy_version,
            "versions": trial.versions,
            "created": created,
        }
    )


def checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a trial as a row that every store holds.

    Raises:
        UsageError: If a field is not what it must be.
    """
    status = fields["status"]
    if status not in list(Status):
        raise UsageError(f"Expected a status among {[s.value for s in Status]}, got {status!r:.80}.")
    if (fields["score"] is not None) != (status == Status.COMPLETED):
        raise UsageError(f"Expected a score of a completed trial and of no other, got {status=!s}, {fields['score']=}.")

    def maybe(name: str) -> float | None:
        return None if fields[name] is None else number(fields[name], name)

    fidelity = text(fields["fidelity"], "fidelity")
    return {
        "number": integer(fields["number"], "number", low=0),
        "status": str(status),
        "score": maybe("score"),
        "query_score": maybe("query_score"),
        "cost_s": number(fields["cost_s"], "cost_s", low=0.0),
        "cost_steps": integer(fields["cost_steps"], "cost_steps", low=0),
        "memory_mb": number(fields["memory_mb"], "memory_mb", low=0.0),
        "fidelity": fidelity,
        "folds": folds_of(fidelity),
        "seed": integer(fields["seed"], "seed"),
        "metric": text(fields["metric"], "metric"),
        "error": text(fields["error"], "error"),
        "log_prob": maybe("log_prob"),
        "policy": text(fields["policy"], "policy"),
        "policy_version": text(fields["policy_version"], "policy_version"),
        "versions": as_json(fields["versions"], "versions"),
        "created": number(fields["created"], "created", low=0.0),
    }


def trial_of(row: Any, strategy: Strategy) -> Trial:
    """Returns a row of `trials`, joined with fingerprint and uuid, as a trial."""
    log_prob = math.nan if row.log_prob is None else row.log_prob
    return Trial(
        Proposal(strategy, log_prob, row.policy, row.policy_version),
        row.fingerprint,
        Status(row.status),
        row.fidelity,
        row.seed,
        row.metric,
        score=row.score,
        query_score=row.query_score,
        cost_s=row.cost_s,
        cost_steps=row.cost_steps,
        memory_mb=row.memory_mb,
        error=row.error,
        number=row.number,
        run=row.uuid,
        versions=json.loads(row.versions),
    )


def digest(strategy: Strategy) -> str:
    """Returns the hash of a strategy.

    Raises:
        UsageError: If its configuration does not go into JSON.
    """
    try:
        return strategy.hash
    except (TypeError, ValueError) as error:
        raise UsageError(f"Expected a strategy of JSON values, got {strategy!r:.200} ({error}).") from error


def strategy_row(strategy: Strategy) -> dict[str, Any]:
    """Returns a strategy as a row of `strategies`."""
    return {
        "hash": digest(strategy),
        "learner": text(strategy.learner, "learner"),
        "json": as_json(strategy.to_json(), "strategy"),
    }
