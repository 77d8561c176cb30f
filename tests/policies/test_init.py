from __future__ import annotations

import pytest

from gstar.errors import UnknownPolicyError, UsageError
from gstar.metric import TaskKind
from gstar.policies import get_policy, policy_names
from gstar.records import Records

RECORDS = Records.empty(TaskKind.BINARY, 3)


@pytest.mark.parametrize("name", ["random", "portfolio", "gaussian"])
def test_makes_a_policy_by_name(name: str) -> None:
    assert name in policy_names()
    assert get_policy(name, RECORDS).name == name


def test_passes_options_on() -> None:
    assert get_policy("gaussian", RECORDS, temperature=0.5).temperature == 0.5  # type: ignore[attr-defined]


def test_an_unknown_name_is_told_the_near_one() -> None:
    with pytest.raises(UnknownPolicyError, match=r"No policy 'gausian'.*Did you mean 'gaussian'"):
        get_policy("gausian", RECORDS)


def test_an_unknown_option_is_told_the_near_one() -> None:
    with pytest.raises(UsageError, match=r"has no option 'temprature'.*Did you mean 'temperature'"):
        get_policy("gaussian", RECORDS, temprature=1.0)
