"""Policies: which strategy to try next. One file and one entry point each.

    random       the uniform prior: the baseline of all
    portfolio    a fixed list, learned greedily from recorded tasks
    gaussian     an empirical-Bayes predictor over strategies, expected improvement per second
    gradient     a distribution over strategies that the policy gradient moves

A new policy is one file with a final subclass of `gstar.policy.AbstractPolicy`, made as
``Policy(records, **options)``, and one line in the entry points of the group
``gstar.policies``.
"""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points
from typing import Any

from gstar.errors import UnknownPolicyError, UsageError, did_you_mean
from gstar.policy import AbstractPolicy
from gstar.records import Records


def policy_names() -> list[str]:
    """Returns the names of all policies that are installed."""
    return sorted({e.name for e in entry_points(group="gstar.policies")})


def get_policy(name: str, records: Records, **options: Any) -> AbstractPolicy:
    """Makes a policy by name.

    Args:
        name: One of `policy_names`; ``gradient:FILE`` takes a g that was meta-trained.
        records: What the policy may know: leave out the task it will be measured on, and its family.
        options: Keyword arguments of the policy.

    Raises:
        UnknownPolicyError: If nothing of that name is installed.
        UsageError: If the policy has no such option.
    """
    name, _, weights = name.partition(":")
    if weights:
        options["weights"] = weights
    found = [e for e in entry_points(group="gstar.policies") if e.name == name]
    if not found:
        known = policy_names()
        raise UnknownPolicyError(f"No policy {name!r}; known: {known}.{did_you_mean(name, known)}")
    kind = found[0].load()
    known = [p for p in inspect.signature(kind).parameters if p != "records"]
    for option in options:
        if option not in known:
            raise UsageError(f"Policy {name!r} has no option {option!r}; known: {known}.{did_you_mean(option, known)}")
    policy: AbstractPolicy = kind(records, **options)
    return policy
