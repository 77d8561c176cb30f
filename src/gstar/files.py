"""Files to frames: CSV, TSV, Parquet, ARFF and JSON lines, each also gzipped; and ``.npz``.

What is wrong with a file is said in one line: which byte is not UTF-8, which line has too
many fields, what a folder holds instead of a name that was misspelt.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import io
import json
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from gstar.arff import read_arff
from gstar.bundle import Bundle
from gstar.columns import NULLS, shorten, unique_names
from gstar.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

MAX_UNPACKED_BYTES: Final = 4 * 2**30
"""A gzipped file may unpack to this many bytes."""
MAX_RATIO: Final = 200
"""Beyond `_RATIO_FROM` bytes, a gzipped file may unpack to this many times its size."""

_RATIO_FROM: Final = 2**28
_CHUNK: Final = 2**22
_SNIFFED: Final = 2**16
_SNIFFED_LINES: Final = 50
_SEPARATORS: Final = ",;\t|"
_SUFFIXES: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".data": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arff": "arff",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".npz": "npz",
}


def read_frame(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Returns the table in a file; its suffix says how it is written, ``.gz`` may follow.

    Raises:
        DataError: If it cannot be read, in one line that says why and what to do.
        MissingExtraError: If it is Parquet and pyarrow is not installed.
    """
    return read_with_notes(path)[0]


def read_with_notes(path: str | os.PathLike[str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Returns the table in a file, and what the user should know about it, as sentences."""
    path = Path(path)
    form = _check_path(path)
    try:
        if form == "npz":
            frame, notes = Bundle.open(path, form="table").frame()
        else:
            frame, notes = _read_parquet(path) if form == "parquet" else _read_text(path, form)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"File '{path}' is named .gz but is no whole gzip file: {error}.") from None
    except PermissionError:
        raise DataError(f"No permission to read '{path}'; try: chmod u+r '{path}'.") from None
    except OSError as error:
        raise DataError(f"File '{path}' cannot be read: {error.strerror or error}.") from None
    if not len(frame.columns):
        raise DataError(f"File '{path}' has no columns.")
    if not len(frame):
        raise DataError(f"File '{path}' has column names but no rows.")
    return frame, notes


def _check_path(path: Path) -> str:
    """Returns how the file is written.

    Raises:
        DataError: If there is no such file, or none that can be read.
    """
    check_exists(path)
    if path.is_dir():
        raise DataError(f"Expected a file, but '{path}' is a directory; name one file in it.")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"File '{path}' is empty.")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]
    if suffix not in _SUFFIXES:
        known = " ".join(_SUFFIXES)
        raise DataError(
            f"Expected a file that ends in one of {known} (.gz may follow), got '{path.name}'; save it as CSV."
        )
    return _SUFFIXES[suffix]


def check_exists(path: Path) -> None:
    """Raises `DataError` if there is no such file or folder, with the names of near ones."""
    try:
        path.lstat()
        if path.exists():
            return
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise DataError(f"File '{path}' cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    raise DataError(f"No file '{path}'.{_near_files(path)}")


def _near_files(path: Path) -> str:
    try:
        found = sorted(entry.name for entry in os.scandir(path.parent))
    except OSError:
        return f" There is no folder '{path.parent}' that can be read."
    near = difflib.get_close_matches(path.name, found, n=3, cutoff=0.5)
    return f" Near it: {shorten(near)}." if near else ""


def _is_gzip(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with gzip.open(path, "rb") if _is_gzip(path) else open(path, "rb") as stream:
        yield cast(IO[bytes], stream)


def _chunks(path: Path) -> Iterator[bytes]:
    """Yields the content, unpacked.

    Raises:
        DataError: If it unpacks to more than is allowed.
    """
    unpacked, packed = 0, path.stat().st_size
    with _opened(path) as stream:
        while chunk := stream.read(_CHUNK):
            unpacked += len(chunk)
            if _is_gzip(path) and unpacked > min(MAX_UNPACKED_BYTES, max(_RATIO_FROM, MAX_RATIO * packed)):
                raise DataError(
                    f"File '{path}' ({packed:,} bytes) unpacks to more than {unpacked - len(chunk):,} bytes, too many "
                    "to be a table; if it is one, unpack it first."
                )
            yield chunk


def _encoding(path: Path) -> str:
    """Returns the encoding, having looked at every byte.

    Raises:
        DataError: If the content is neither UTF-8 nor marked as UTF-16, or holds NUL.
    """
    chunks = _chunks(path)
    first = next(chunks, b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        encoding = "utf-8-sig" if first.startswith(codecs.BOM_UTF8) else "utf-8"
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = line = 0
    chunk = first
    while True:
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            start = offset + len(chunk) - len(error.object) + error.start
            line += bytes(error.object[: error.start]).count(b"\n") + 1
            raise DataError(
                f"Expected {encoding.upper()} text in '{path}', but byte 0x{error.object[error.start]:02x} at position "
                f"{start} (line {line}) is not; save it as UTF-8, for example: iconv -f latin1 -t utf-8 FILE."
            ) from None
        if "\0" in text:
            line += text.count("\n", 0, text.index("\0")) + 1
            raise DataError(f"File '{path}' holds a NUL byte in line {line}: it is damaged, or no text.")
        if not chunk:
            return encoding
        line += text.count("\n")
        offset += len(chunk)
        chunk = next(chunks, b"")


def _read_text(path: Path, form: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    encoding = _encoding(path)
    with _opened(path) as stream, io.TextIOWrapper(stream, encoding=encoding, newline="") as text:
        if form == "csv":
            return _read_csv(text, path)
        if form == "arff":
            return read_arff(text, str(path)), ()
        return _read_json(text, path), ()


def _read_csv(text: io.TextIOWrapper, path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    import pandas as pd

    layout = _Layout.of(_first_lines(text), prefers_tab=".t" in "".join(path.suffixes).lower())
    if layout.width > len(layout.header) + 1:
        raise DataError(
            f"Expected {len(layout.header)} fields per line in '{path}', as in its first line, but most lines have "
            f"{layout.width}; quote fields that hold {layout.separator!r}."
        )
    text.seek(0)
    try:
        frame = pd.read_csv(
            text,
            sep=layout.separator,
            decimal=layout.decimal,
            index_col=None if layout.has_row_names else False,
            usecols=range(len(layout.header)) if layout.ends_with_separator else None,
            na_values=sorted(NULLS),
            keep_default_na=False,
            low_memory=False,
            **_exact_floats(pd.__version__),
        )
    except pd.errors.EmptyDataError:
        raise DataError(f"File '{path}' is empty.") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        cause = str(error).removeprefix("Error tokenizing data. C error: ").strip().rstrip(".")
        raise DataError(f"File '{path}' is no regular table: {cause}; mend or quote that line.") from None
    if layout.has_row_names:
        frame = frame.reset_index(names="row_names")
    grouped = _read_grouped(frame, layout.decimal)
    like = "1.234,50" if layout.decimal == "," else "1,234"
    note = f"Took {like} for a number with separators of thousands in {shorten(grouped)}."
    return frame, (*layout.notes(), *([note] if grouped else ()))


_GROUPED: Final = {
    ".": r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?",
    ",": r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+,\d+",
}
"""Decimal sign to how a number with separators of thousands looks; ``1.234`` alone is no such number."""


def _read_grouped(frame: pd.DataFrame, decimal: str) -> list[Any]:
    """Turns the columns in which all is a number, some with separators of thousands, into numbers; returns their names.

    pandas can do so too, but would take dates like 01.02.2020 for such numbers.
    """
    plain = rf"[-+]?\d+(?:{re.escape(decimal)}\d+)?"
    any_number = f"{plain}|{_GROUPED[decimal]}"
    found = []
    for j, name in enumerate(frame.columns):
        values = frame.iloc[:, j].dropna()
        if values.dtype.kind in "biuf" or not _all_match(values[:_SNIFFED_LINES], any_number):
            continue
        values = values.str.strip()
        if values.str.fullmatch(_GROUPED[decimal]).any() and _all_match(values, any_number):
            bare = values.str.replace("," if decimal == "." else ".", "").str.replace(decimal, ".")
            frame.isetitem(j, bare.astype(float).reindex(frame.index).to_numpy())
            found.append(name)
    return found


def _all_match(values: pd.Series[Any], pattern: str) -> bool:
    return all(isinstance(value, str) and re.fullmatch(pattern, value.strip()) for value in values)


def _exact_floats(pandas_version: str) -> dict[str, Any]:
    """Returns what makes pandas read each number as Python does, which is its default since 3.1."""
    major, minor = map(int, pandas_version.split(".")[:2])
    return {} if (major, minor) >= (3, 1) else {"float_precision": "round_trip"}


def _first_lines(text: io.TextIOWrapper) -> list[str]:
    lines: list[str] = []
    while len(lines) < _SNIFFED_LINES and sum(map(len, lines)) < _SNIFFED:
        if not (line := text.readline(2**26)):
            break
        lines.append(line)
    return lines


class _Layout:
    """Is how a delimited file is laid out, told from its first lines."""

    def __init__(self, rows: list[list[str]], separator: str) -> None:
        body = [row for row in rows[1:] if row]
        self.separator = separator
        self.header = rows[0] if rows else []
        counts = Counter(map(len, body))
        self.width, common = counts.most_common(1)[0] if counts else (len(self.header), 0)
        self.consistency = common / len(body) if body else 1.0
        wide = self.width == len(self.header) + 1
        self.ends_with_separator = wide and all(row[-1].strip() == "" for row in body if len(row) == self.width)
        self.has_row_names = wide and not self.ends_with_separator
        self.decimal = "," if separator == ";" and _has_decimal_comma(body) else "."

    @staticmethod
    def of(lines: list[str], prefers_tab: bool) -> _Layout:
        """Returns the layout whose separator cuts the lines into the most, and most even, fields.

        One under which the first line has as many fields as the others comes before one with
        row names, and that before all others: the commas of ``1,5;x`` are decimal ones.
        """

        def rank(layout: _Layout) -> tuple[bool, bool, bool, bool, float, int]:
            several = layout.width > 1 or len(layout.header) > 1
            is_tab = prefers_tab and layout.separator == "\t"
            extra = layout.width - len(layout.header) - layout.ends_with_separator
            return several, is_tab, extra <= 1, extra <= 0, round(layout.consistency, 1), layout.width

        return max((_Layout(_split(lines, separator), separator) for separator in _SEPARATORS), key=rank)

    def notes(self) -> Iterator[str]:
        """Yields what the user should know."""
        repeated = [name for name in unique_names(self.header)[1] if name]
        if repeated:
            yield f"Column names that came more than once were numbered (a, a.1, ...): {shorten(repeated)}."
        if self.header and all(re.fullmatch(r"\s*[-+]?[\d.]+(e[-+]?\d+)?\s*", name) for name in self.header):
            yield "The first line was taken as column names, though they are all numbers; is it missing?"


def _split(lines: list[str], separator: str) -> list[list[str]]:
    try:
        rows = list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        rows = [line.rstrip("\r\n").split(separator) for line in lines]
    complete = rows[:-1] if len(rows) > 2 else rows
    return [row for row in complete if row]


def _has_decimal_comma(body: list[list[str]]) -> bool:
    fields = [field.strip() for row in body for field in row]
    comma = any(re.fullmatch(rf"[-+]?\d+,\d+|{_GROUPED[',']}", field) for field in fields)
    return comma and not any(re.fullmatch(r"[-+]?\d*\.\d+", field) for field in fields)


def _read_json(text: IO[str], path: Path) -> pd.DataFrame:
    import pandas as pd

    start = text.read(1)
    while start.isspace():
        start = text.read(1)
    text.seek(0)
    if start == "[":
        records = _parse(text.read(), f"File '{path}'")
        rows = records if isinstance(records, list) else [records]
    else:
        rows = [_parse(line, f"Line {i} of '{path}'") for i, line in enumerate(text, 1) if line.strip()]
    odd = next((i for i, row in enumerate(rows, 1) if not isinstance(row, dict)), None)
    if odd is not None:
        raise DataError(f"Expected an object per row in '{path}', but row {odd} is {json.dumps(rows[odd - 1])[:40]}.")
    return pd.DataFrame(rows)


def _parse(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what} is no JSON: {error}.") from None


def _read_parquet(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError(
            "Reading Parquet needs pyarrow; install it with: pip install 'gstar[frames]'."
        ) from None
    source = io.BytesIO(b"".join(_chunks(path))) if _is_gzip(path) else path
    try:
        file = pq.ParquetFile(source)
        cells = file.metadata.num_rows * max(1, file.metadata.num_columns)
        if cells * 8 > 4 * MAX_UNPACKED_BYTES:
            raise DataError(f"File '{path}' holds {cells:,} cells, too many to read; take part of its rows.")
        table = file.read()
    except (pa.ArrowException, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"File '{path}' is no readable Parquet: {str(error).splitlines()[0]}") from None
    names, repeated = unique_names(table.column_names)
    frame = table.rename_columns(names).to_pandas(ignore_metadata=True)
    note = f"Column names that came more than once were numbered (a, a.1, ...): {shorten(repeated)}."
    return frame, (note,) if repeated else ()
