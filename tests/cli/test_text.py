"""Hostile strings come out harmless (fault H7); numbers are readable."""

import math

import numpy as np
import pytest

from gstar.cli.text import (
    clean,
    csv_cell,
    duration,
    json_value,
    number,
    one_line,
    published,
    size,
    without_password,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain é 🎉 name", "plain é 🎉 name"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
        ("[bold]x[/bold] :smile:", "[bold]x[/bold] :smile:"),
    ],
)
def test_what_steers_a_terminal_is_spelt_out(text, expected):
    assert clean(text) == expected
    clean(text).encode()


def test_long_text_is_cut():
    assert clean("x" * 50, 10) == "x" * 7 + "..."
    assert clean("x" * 10, 10) == "x" * 10


def test_a_message_is_one_line():
    assert one_line("first\n  second\r\n\x1b[1mthird") == "first second \\x1b[1mthird"


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=cmd|'/c x'!A1"])
def test_formulas_are_neutral(text):
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize("value", ["yes", "", "-3", "+1.5", "-1e-3", -3, 2.5, None, "a=b", "'=1"])
def test_what_is_no_formula_stays(value):
    assert csv_cell(value) == value


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ann:s3cret@host:5432/db", "postgresql://ann:***@host:5432/db"),
        ("postgresql+psycopg://ann:p:w@host/db", "postgresql+psycopg://ann:***@host/db"),
        ("/a/path.sqlite", "/a/path.sqlite"),
        ("postgresql://host/db", "postgresql://host/db"),
    ],
)
def test_passwords_are_starred_out(url, expected):
    assert without_password(url) == expected


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (math.nan, "-"), (0.0, "0"), (-1234.5, "-1234"), (1e12, "1e+12")]
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(59.96, "60.0 s"), (60, "1 min 0 s"), (7300, "2 h 1 min"), (math.inf, "-")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_sizes():
    assert [size(n) for n in (0, 1023, 1024, 2**50)] == ["0 bytes", "1023 bytes", "1.0 KiB", "1024.0 TiB"]


def test_json_holds_plain_values_only():
    value = {"a": math.nan, "b": (1, np.float64(2.5), np.int64(3)), 4: None, "c": {"d": -math.inf}, "e": True}
    assert json_value(value) == {"a": None, "b": [1, 2.5, 3], "4": None, "c": {"d": None}, "e": True}


def test_scores_are_published_in_the_sense_of_the_metric():
    assert published("rmse", -2.0) == 2.0
    assert published("roc_auc", 0.9) == 0.9
    assert published("custom", 0.5) == 0.5
    assert published("rmse", None) is None
