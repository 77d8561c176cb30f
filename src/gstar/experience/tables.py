"""The tables of an experience, in SQLAlchemy Core.

    tasks --< runs --< trials >-- strategies        policies
      +----< cells (the aggregate of trials that policies learn from)

A task is its fingerprint, sizes and meta-features; never a row of its data. Trials are
append-only. A row of `cells` holds, packed, all strategies tried on one task with one metric.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

VERSION_TABLE: Final = "gstar_schema"
"""Not Alembic's default name, which other tools use in files of their own."""

_UNSTORABLE: Final = re.compile(r"[\\\x00\ud800-\udfff]")
_ESCAPED: Final = re.compile(r"\\([0-9a-f]{4})")


def escape(text: str) -> str:
    r"""Returns text that every database stores: NUL, lone surrogates and backslashes as ``\xxxx``.

    Example:
        >>> unescape(escape("C:\\new\x00\ud800")) == "C:\\new\x00\ud800"
        True
    """
    return _UNSTORABLE.sub(lambda match: f"\\{ord(match[0]):04x}", text)


def unescape(text: str) -> str:
    """Returns what `escape` was given."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


class EscapedText(TypeDecorator[str]):
    """Is text that may hold any Python string."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """Escapes on the way in."""
        return None if value is None else escape(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        """Unescapes on the way out; leaves to others what is not text in a foreign file."""
        return unescape(value) if isinstance(value, str) else value


metadata: Final = MetaData()
_Key: Final = BigInteger().with_variant(Integer(), "sqlite")


def _reference(name: str, target: str, **options: Any) -> Column[int]:
    return Column(name, _Key, ForeignKey(f"{target}.id"), nullable=False, **options)


schema_version: Final = Table(
    VERSION_TABLE,
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)

tasks: Final = Table(
    "tasks",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("fingerprint", String(32), nullable=False, unique=True),
    Column("name", EscapedText, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("form", String(16), nullable=False),
    Column("metric", EscapedText, nullable=False),
    Column("n_rows", BigInteger, nullable=False),
    Column("n_features", BigInteger, nullable=False),
    Column("n_classes", BigInteger, nullable=False),
    Column("meta_features", LargeBinary, nullable=False),  # float64, little-endian
    Column("family", EscapedText, nullable=False),
    Column("created", Float, nullable=False),  # seconds since 1970-01-01 UTC
)

strategies: Final = Table(
    "strategies",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("hash", String(16), nullable=False, unique=True),
    Column("learner", EscapedText, nullable=False),
    Column("json", Text, nullable=False),
)

runs: Final = Table(
    "runs",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("uuid", String(32), nullable=False, unique=True),
    _reference("task", "tasks", index=True),
    Column("settings", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("score", Float),
    Column("seconds", Float),
    Column("summary", Text, nullable=False),
    Column("owner", EscapedText, nullable=False),  # host:pid:start of the process, while it runs
    Column("created", Float, nullable=False),
)

trials: Final = Table(
    "trials",
    metadata,
    Column("id", _Key, primary_key=True),
    _reference("task", "tasks"),
    _reference("strategy", "strategies"),
    _reference("run", "runs"),
    Column("number", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("score", Float),
    Column("query_score", Float),
    Column("cost_s", Float, nullable=False),
    Column("cost_steps", BigInteger, nullable=False),
    Column("memory_mb", Float, nullable=False),
    Column("fidelity", EscapedText, nullable=False),
    Column("folds", BigInteger, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("metric", EscapedText, nullable=False),
    Column("error", EscapedText, nullable=False),
    Column("log_prob", Float),
    Column("policy", EscapedText, nullable=False),
    Column("policy_version", EscapedText, nullable=False),
    Column("versions", Text, nullable=False),
    Column("created", Float, nullable=False),
    UniqueConstraint("run", "number", name="trials_run_number"),
)
Index("trials_task", trials.c.task)
Index("trials_strategy", trials.c.strategy)

cells: Final = Table(
    "cells",
    metadata,
    Column("task", _Key, ForeignKey("tasks.id"), nullable=False),
    Column("metric", EscapedText, nullable=False),
    Column("packed", LargeBinary, nullable=False),  # see gstar.experience.cells
    PrimaryKeyConstraint("task", "metric", name="cells_task_metric"),
)

policies: Final = Table(
    "policies",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("name", EscapedText, nullable=False),
    Column("version", EscapedText, nullable=False),
    Column("weights", LargeBinary, nullable=False),  # safetensors
    Column("evidence", Text, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("created", Float, nullable=False),
    UniqueConstraint("name", "version", name="policies_name_version"),
)
