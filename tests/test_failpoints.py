from __future__ import annotations

import subprocess
import sys

import pytest

from gstar.errors import UsageError
from gstar.failpoints import FailpointError, failpoint


def test_does_nothing_unless_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GSTAR_FAILPOINT", raising=False)
    failpoint("here")
    monkeypatch.setenv("GSTAR_FAILPOINT", "there:kill")
    failpoint("here")


def test_raises_where_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GSTAR_FAILPOINT", "here:raise")
    with pytest.raises(FailpointError, match="'here' was reached"):
        failpoint("here")


@pytest.mark.parametrize("action", ["", ":", ":kil"])
def test_refuses_unknown_actions(monkeypatch: pytest.MonkeyPatch, action: str):
    monkeypatch.setenv("GSTAR_FAILPOINT", f"here{action}")
    with pytest.raises(UsageError, match="Expected GSTAR_FAILPOINT=here:kill or here:raise"):
        failpoint("here")


def test_kills_as_kill_9_does():
    code = "from gstar.failpoints import failpoint; failpoint('here'); print('alive')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"GSTAR_FAILPOINT": "here:kill"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (-9, "")
