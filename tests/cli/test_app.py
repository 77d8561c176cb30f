"""Errors leave in one line with the right exit code."""

import sys

import pytest

from gstar import __version__
from gstar.cli import fit
from gstar.errors import NoModelError, StorageError, UntrustedFileError


def test_version(gstar):
    outcome = gstar("--version")
    assert (outcome.code, outcome.out) == (0, f"gstar {__version__}\n")


@pytest.mark.parametrize("flags", [(), ("--help",), ("-h",)])
def test_help_names_all_commands(gstar, flags):
    outcome = gstar(*flags)
    assert outcome.code == (0 if flags else 2)
    for command in ["fit", "predict", "evaluate", "recommend", "runs", "experience", "doctor", "config", "demo"]:
        assert f"\n  {command} " in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fti", "x.csv"), "No such command 'fti'. Did you mean 'fit'? See: gstar --help"),
        (("predict", "m.gstar"), "Missing argument 'DATA'. See: gstar predict --help"),
        (("fit",), "Missing argument 'DATA'. See: gstar fit --help"),
        (("runs", "remove"), "No such command 'remove'. See: gstar runs --help"),
        (("fit", "x.csv", "--target", "y", "--bugdet", "5s"), "--budget"),
        (
            ("fit", "x.csv", "--target", "y", "--budget", "soon"),
            "--budget: Expected a duration such as 60s, 5m",
        ),
        (("fit", "x.csv", "--target", "y", "--trials", "0"), "--trials: Expected a whole number, 1 or more, got '0'"),
        (("fit", "x.csv", "--target", "y", "--memory", "4"), "--memory: Expected a size with its unit"),
        (("fit", "x.csv", "--target", "y", "--experience", "offf"), "Did you mean 'off'?"),
        (("recommend", "x.csv", "--target", "y", "--top", "0"), "See: gstar recommend --help"),
    ],
)
def test_usage_errors_are_one_line_and_2(gstar, arguments, message):
    outcome = gstar(*arguments)
    assert outcome.code == 2
    assert message in outcome.error
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (NoModelError("No strategy led to a model."), 1, "gstar: No strategy led to a model."),
        (StorageError("Disk\nfull"), 4, "gstar: Disk full"),
        (UntrustedFileError("Refused \x1b[31mx"), 6, "gstar: Refused \\x1b[31mx"),
        (KeyError("odd"), 1, "gstar: Unexpected KeyError: 'odd'. Run it again with --debug to see where."),
        (MemoryError(), 1, "gstar: There is not enough memory for this; take part of the rows or columns."),
    ],
)
def test_each_error_has_its_code_and_one_line(gstar, monkeypatch, error, code, message):
    def fail(path):
        raise error

    monkeypatch.setattr(fit, "check_model_output", fail)
    outcome = gstar("fit", "x.csv", "--target", "y")
    assert (outcome.code, outcome.error, outcome.out) == (code, message, "")


def test_debug_adds_the_traceback(gstar):
    outcome = gstar("fit", "none.csv", "--target", "y", "--debug")
    assert outcome.code == 3
    assert "Traceback (most recent call last)" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("gstar: No file 'none.csv'.")


def test_a_reader_that_has_gone_is_no_error_of_ours(gstar, monkeypatch):
    def gone(path):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(fit, "check_model_output", gone)
    monkeypatch.setattr("sys.stdout", sys.stdout)
    outcome = gstar("fit", "x.csv", "--target", "y")
    assert (outcome.code, outcome.err) == (141, "")


def test_ctrl_c_before_anything_is_130(gstar, monkeypatch):
    def stop(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "check_model_output", stop)
    assert gstar("fit", "x.csv", "--target", "y").code == 130
