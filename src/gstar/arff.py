"""ARFF, the format of Weka: a header that declares the attributes, then comma-separated rows.

Numbers, nominal values, strings and dates are read; sparse rows, relational attributes
and instance weights are refused by name. Nothing is guessed: a value that its attribute
does not allow is an error that names both.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gstar.columns import shorten, unique_names
from gstar.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_TOKEN: Final = re.compile(r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^,'"][^,]*?)|())\s*(?:,|$)""", re.DOTALL)
_ATTRIBUTE: Final = re.compile(
    r"""@attribute\s+(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^\s{]+))\s*(.*)$""", re.IGNORECASE | re.DOTALL
)
_ESCAPE: Final = re.compile(r"\\(.)")
_JAVA_DATES: Final = (
    ("yyyy", "%Y"), ("MM", "%m"), ("dd", "%d"), ("HH", "%H"), ("mm", "%M"), ("ss", "%S"), ("'", "")
)  # fmt: skip


@dataclass(frozen=True)
class _Attribute:
    """Is one declared attribute: its values if it is nominal, its format if it is a date."""

    name: str
    kind: str
    values: tuple[str, ...] = ()
    date_format: str = ""


def read_arff(lines: Iterable[str], path: str) -> pd.DataFrame:
    """Returns the table in an ARFF file: floats, categories, strings and dates.

    Args:
        lines: The file's lines.
        path: How messages call the file.

    Raises:
        DataError: If it is not an ARFF file that can be read, naming the line.
    """
    import pandas as pd

    stream = enumerate(lines, 1)
    attributes = list(_header(stream, path))
    if not attributes:
        raise DataError(f"File '{path}' declares no @attribute; is it an ARFF file?")
    cells = _data(stream, attributes, path)
    names, _ = unique_names(attribute.name for attribute in attributes)
    columns = {
        name: _column(cells.iloc[:, j], attribute, path)
        for j, (name, attribute) in enumerate(zip(names, attributes, strict=True))
    }
    return pd.DataFrame(columns)


def _header(stream: Iterator[tuple[int, str]], path: str) -> Iterator[_Attribute]:
    """Yields the declared attributes and leaves the stream at the first row."""
    for number, line in stream:
        text = line.strip()
        word = text.split(None, 1)[0].lower() if text else ""
        if word == "@data":
            return
        if word == "@attribute":
            yield _attribute(text, f"Line {number} of '{path}'")
        elif text and not text.startswith("%") and word != "@relation":
            raise DataError(f"Line {number} of '{path}': expected @relation, @attribute or @data, got {text[:40]!r}.")
    raise DataError(f"File '{path}' has no @data; is it a whole ARFF file?")


def _attribute(text: str, where: str) -> _Attribute:
    match = _ATTRIBUTE.match(text)
    if match is None:
        raise DataError(f"{where}: expected '@attribute NAME TYPE', got {text[:60]!r}.")
    name = _unquoted(match)
    declared = match[4].strip()
    if declared.startswith("{"):
        if not declared.endswith("}"):
            raise DataError(f"{where}: the values of attribute {name!r} lack their closing brace.")
        return _Attribute(name, "nominal", tuple(v for v in _tokens(declared[1:-1], where) if v is not None))
    kind, _, rest = declared.partition(" ")
    kind = kind.lower()
    if kind in ("numeric", "real", "integer"):
        return _Attribute(name, "number")
    if kind == "string":
        return _Attribute(name, "string")
    if kind == "date":
        return _Attribute(name, "date", date_format=_strptime(rest.strip().strip("\"'")))
    raise DataError(
        f"{where}: attribute {name!r} has type {declared[:40]!r}; numeric, nominal, string and date are read."
    )


def _strptime(java: str) -> str:
    for there, here in _JAVA_DATES:
        java = java.replace(there, here)
    return java or "ISO8601"


def _unquoted(match: re.Match[str]) -> str:
    quoted = match[1] if match[1] is not None else match[2]
    return match[3] if quoted is None else _ESCAPE.sub(r"\1", quoted)


def _tokens(text: str, where: str) -> list[str | None]:
    """Returns the comma-separated values of a line, None for a bare question mark."""
    found: list[str | None] = []
    place = 0
    while True:
        match = _TOKEN.match(text, place)
        if match is None:
            raise DataError(f"{where}: cannot read {text[place : place + 40]!r}; are its quotes closed?")
        value = match[4] if match[4] is not None else _unquoted(match)
        found.append(None if match[3] == "?" else value)
        place = match.end()
        if not match[0].endswith(",") and place >= len(text):
            return found


def _data(stream: Iterator[tuple[int, str]], attributes: list[_Attribute], path: str) -> pd.DataFrame:
    """Returns the rows as strings, one column per attribute."""
    import pandas as pd

    rows = [(i, line.strip()) for i, line in stream if line.strip() and not line.lstrip().startswith("%")]
    width = len(attributes)
    for i, row in rows:
        if row.startswith("{"):
            raise DataError(f"Line {i} of '{path}': sparse ARFF is not read; save it as dense ARFF or as CSV.")
    quoted = any("'" in row or '"' in row or "\\" in row for _, row in rows)
    if not quoted and all(row.count(",") == width - 1 for _, row in rows):
        text = io.StringIO("\n".join(row for _, row in rows))
        if not rows:
            return pd.DataFrame({j: [] for j in range(width)}, dtype=object)
        return pd.read_csv(
            text,
            header=None,
            dtype=str,
            na_values=["?"],
            keep_default_na=False,
            skipinitialspace=True,
            low_memory=False,
        )
    found = []
    for i, row in rows:
        cells = _tokens(row if "," in row or "\t" not in row else row.replace("\t", ","), f"Line {i} of '{path}'")
        if len(cells) != width:
            raise DataError(f"Line {i} of '{path}': expected {width} values, one per attribute, got {len(cells)}.")
        found.append(cells)
    return pd.DataFrame(found, dtype=object)


def _column(cells: pd.Series[Any], attribute: _Attribute, path: str) -> pd.Series[Any]:
    """Returns one column as what its attribute declares."""
    import pandas as pd

    present = cells.notna()
    cells = cells.astype(object).where(present, None)
    cells[present] = cells[present].map(str.strip)
    if attribute.kind == "number":
        found: pd.Series[Any] = pd.to_numeric(cells, errors="coerce").astype(float)
    elif attribute.kind == "date":
        found = pd.to_datetime(cells, format=attribute.date_format, errors="coerce")
    elif attribute.kind == "nominal":
        found = pd.Series(pd.Categorical(cells, categories=pd.unique(pd.Series(attribute.values, dtype=object))))
    else:
        return cells
    odd = cells[present & found.isna().to_numpy()]
    if len(odd):
        allowed = f"one of {shorten(attribute.values)}" if attribute.values else f"a {attribute.kind}"
        raise DataError(f"Attribute {attribute.name!r} of '{path}' must be {allowed}, but a row has {odd.iloc[0]!r}.")
    return found
