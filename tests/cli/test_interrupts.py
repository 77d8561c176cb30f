"""The first signal keeps the best model so far, the second ends all at once."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from gstar.cli.interrupts import Interrupts


def is_gone(pid, patience_s=10.0):
    """Tells whether a process ends soon, be it as a zombie that nobody collects."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_while_searching_it_interrupts(capsys):
    with Interrupts() as interrupts:
        interrupts.searching = True
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert interrupts.exit_code == 130
    assert "keeping the best model so far" in capsys.readouterr().err


def test_while_closing_it_only_sets_the_exit_code():
    with Interrupts() as interrupts:
        interrupts.searching = False
        signal.raise_signal(signal.SIGTERM)
    assert interrupts.exit_code == 143


def test_before_the_search_there_is_no_model(capsys):
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert interrupts.exit_code == 130
    assert "before there was a model" in capsys.readouterr().err


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    assert interrupts.exit_code == 0


def test_the_second_ends_the_process_and_its_children():
    code = """
import signal, subprocess, sys
from gstar.cli.interrupts import Interrupts
with Interrupts() as interrupts:
    interrupts.searching = False
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, flush=True)
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    print("never", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert "never" not in done.stdout
    assert is_gone(int(done.stdout))
