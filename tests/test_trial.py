"""Why a strategy was tried: what is shown, and what may be remembered."""

from __future__ import annotations

import pytest

from gstar.strategy import Strategy
from gstar.trial import Proposal


@pytest.mark.parametrize(
    ("given", "shown", "remembered"),
    [
        ({}, "random", ""),
        ({"reason": "cheap"}, "cheap", "cheap"),
        ({"source": "weights of secret (9 rows)"}, "weights of secret (9 rows)", "weights of a similar task"),
        ({"reason": "cheap", "source": "weights of x"}, "cheap; weights of x", "cheap; weights of a similar task"),
    ],
)
def test_the_name_of_another_task_is_shown_but_never_remembered(given, shown, remembered):
    proposal = Proposal(Strategy("linear"), 0.0, "random", **given)
    assert (proposal.why, proposal.remembered_reason) == (shown, remembered)
