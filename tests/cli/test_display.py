"""What a person sees while a fit runs."""

import sys
from dataclasses import replace

import pytest

from gstar.cli.display import LiveView, PlainLines, Silence, display
from gstar.events import Event
from gstar.strategy import Strategy
from gstar.trial import Proposal, Status, Trial

BLANK = Event("started", 30.0, None, None, "rmse", ())


def ended(learner="linear", score=None, status=Status.COMPLETED, error="", best=None, **event):
    proposal = Proposal(Strategy(learner, {"alpha": 0.5}), 0.0, "random", reason="cheap")
    trial = Trial(proposal, "t", status, "holdout", 0, "rmse", score=score, cost_s=1.5, error=error)
    return replace(BLANK, kind="trial_ended", trial=trial, best_score=best, **event)


def text_of(view, width=100):
    from rich.console import Console

    screen = Console(width=width, color_system=None)
    with screen.capture() as captured:
        screen.print(view.view())
    return captured.get()


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_a_live_view(monkeypatch):
    assert isinstance(display(quiet=False, verbose=False), LiveView)
    assert isinstance(display(quiet=True, verbose=False), Silence)
    assert isinstance(display(quiet=False, verbose=True), PlainLines)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(display(quiet=False, verbose=False), PlainLines)


def test_elsewhere_there_are_plain_lines():
    assert isinstance(display(quiet=False, verbose=False), PlainLines)


def test_silence_says_nothing(capsys):
    with Silence() as shown:
        shown.notify(ended(score=-1.0, best=-1.0))
    assert capsys.readouterr() == ("", "")


def test_plain_lines_tell_what_is_new(capsys):
    with PlainLines() as shown:
        for event in (
            BLANK,
            ended(score=-2.0, best=-2.0),
            ended("neighbors", score=-3.0, best=-2.0),
            ended("kernel", status=Status.CRASHED, error="signal 11", best=-2.0),
            ended("kernel", status=Status.CRASHED, error="signal 11", best=-2.0),
            ended("kernel", status=Status.OUT_OF_TIME, error="stopped: the budget was over", best=-2.0),
            ended("lightgbm", score=-1.0, best=-1.0, seconds_left=None, trials_left=7),
            replace(BLANK, message="something to know"),
            replace(BLANK, kind="ensembling", seconds_left=0.0),
        ):
            shown.notify(event)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "30 s left  linear  rmse 2  1.50 s  best so far",
        "30 s left  kernel  crashed  1.50 s  signal 11",
        "7 trials left  lightgbm  rmse 1  1.50 s  best so far",
        "something to know",
        "0 s left  combining the best of 5 models",
    ]


def test_verbose_lines_tell_every_trial_and_why(capsys):
    shown = PlainLines(verbose=True)
    shown.notify(ended(score=-2.0, best=-2.0))
    shown.notify(ended(score=-2.5, best=-2.0))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "30 s left  linear alpha=0.5  rmse 2  1.50 s  cheap  best so far"
    assert lines[1] == "30 s left  linear alpha=0.5  rmse 2.5  1.50 s  cheap"


def test_live_view_shows_time_best_running_and_failed():
    now = [100.0]
    view = LiveView(clock=lambda: now[0])
    assert "reading the data" in text_of(view)
    view.notify(ended(score=-2.0, best=-2.0))
    view.notify(ended("kernel", status=Status.OUT_OF_TIME, error="too slow", best=-2.0, running=("lightgbm", "linear")))
    now[0] += 12
    shown = text_of(view)
    assert "left    18 s" in shown
    assert "best    rmse 2\n" in shown
    assert "tried   2" in shown
    assert "running lightgbm, linear" in shown
    assert "failed  1 x kernel out of time" in shown
    assert "too slow" in shown
    now[0] += 100
    assert "left    0 s" in text_of(view)


def test_live_view_counts_trials_and_minutes():
    view = LiveView(clock=lambda: 0.0)
    view.notify(replace(BLANK, seconds_left=None, trials_left=3))
    assert "left    3 trials" in text_of(view)
    view.notify(replace(BLANK, seconds_left=200.0))
    assert "left    3 min 20 s" in text_of(view)
    view.notify(replace(BLANK, kind="ensembling"))
    assert "running combining models" in text_of(view)


def test_live_view_is_harmless_whatever_an_error_says():
    view = LiveView()
    view.notify(ended(status=Status.FAILED, error="\x1b[2J[red]boom[/red]\nnext"))
    shown = text_of(view)
    assert "\x1b" not in shown
    assert "\\x1b[2J[red]boom[/red]\\nnext" in shown


def test_live_view_starts_and_stops(capsys):
    with LiveView() as view:
        view.notify(BLANK)
    assert view.live is not None
    assert not view.live.is_started
