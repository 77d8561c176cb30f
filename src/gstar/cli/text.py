"""Strings of other people's making, made harmless; numbers and times for a person to read."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_PASSWORD: Final = re.compile(r"(://[^:/@\s]*:)[^@/\s]*@")


def clean(text: object, limit: int = 0) -> str:
    r"""Returns the text with everything that steers a terminal spelt out.

    Args:
        text: Anything.
        limit: The most characters to return; 0: all.

    Example:
        >>> clean("\x1b[31mred\x07")
        '\\x1b[31mred\\x07'
    """
    safe = "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else _spelt(c) for c in str(text))
    return safe[: limit - 3] + "..." if limit and len(safe) > limit else safe


def _spelt(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def one_line(error: object) -> str:
    """Returns a message as one harmless line."""
    return clean(" ".join(part.strip() for part in str(error).splitlines()))


def without_password(url: str) -> str:
    """Returns a URL with its password starred out.

    Example:
        >>> without_password("postgresql://ann:secret@host/db")
        'postgresql://ann:***@host/db'
    """
    return _PASSWORD.sub(r"\1***@", url)


def csv_cell(value: Any) -> Any:
    """Returns a cell that no spreadsheet takes for a formula; only text is changed, with a ``'`` before it.

    Example:
        >>> csv_cell("=1+1"), csv_cell("-3"), csv_cell(-3.0), csv_cell("yes")
        ("'=1+1", '-3', -3.0, 'yes')
    """
    if isinstance(value, str) and value.startswith(_FORMULA) and not _is_number(value):
        return "'" + value
    return value


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?", text, re.IGNORECASE) is not None


def number(value: float | None) -> str:
    """Returns a number with four digits that count, ``-`` if there is none.

    Example:
        >>> number(0.871349), number(12345.67), number(float("nan"))
        ('0.8713', '12346', '-')
    """
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def published(metric: str, score: float | None) -> float | None:
    """Turns a score back into the number that users know, such as an rmse."""
    from gstar.metric import METRICS

    return METRICS[metric].published(score) if score is not None and metric in METRICS else score


def duration(seconds: float | None) -> str:
    """Returns a time for a person.

    Example:
        >>> duration(0.31), duration(12.6), duration(125), duration(None)
        ('0.31 s', '12.6 s', '2 min 5 s', '-')
    """
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(n_bytes: float) -> str:
    """Returns a size for a person.

    Example:
        >>> size(900), size(1_500_000), size(3 * 2**30)
        ('900 bytes', '1.4 MiB', '3.0 GiB')
    """
    if n_bytes < 1024:
        return f"{n_bytes:.0f} bytes"
    exponent = min(4, int(math.log(n_bytes, 1024)))
    return f"{n_bytes / 1024**exponent:.1f} {['KiB', 'MiB', 'GiB', 'TiB'][exponent - 1]}"


def json_value(value: Any) -> Any:
    """Returns a value that JSON can hold: not finite numbers become null, mappings and sequences plain ones."""
    if isinstance(value, Mapping):
        return {str(key): json_value(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [json_value(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
