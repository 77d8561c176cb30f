"""Adds the cells that policies learn from, filled from the trials, and the policies."""

from collections import defaultdict

import numpy as np
import sqlalchemy as sa
from alembic import op

from gstar.failpoints import failpoint

revision = "0002"
down_revision = "0001"

_CELL = np.dtype([("strategy", "<i4"), ("count", "<i4"), ("failures", "<i4"), ("score", "<f8"), ("cost", "<f8")])


def upgrade() -> None:
    """Creates both tables and fills the first."""
    op.create_table(
        "cells",
        sa.Column("task", sa.Integer, sa.ForeignKey("tasks.id"), nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("task", "metric", name="cells_task_metric"),
    )
    failpoint("experience.migrate.between_tables")
    op.create_table(
        "policies",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("weights", sa.LargeBinary, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.UniqueConstraint("name", "version", name="policies_name_version"),
    )
    connection = op.get_bind()
    for (task,) in connection.execute(sa.text("SELECT id FROM tasks ORDER BY id")).fetchall():
        _fill(connection, task)


def _fill(connection: sa.Connection, task: int) -> None:
    totals = connection.execute(
        sa.text(
            "SELECT metric, strategy, SUM(CASE WHEN status = 'completed' THEN 1 ELSE 0 END),"
            " SUM(CASE WHEN status = 'completed' THEN 0 ELSE 1 END),"
            " SUM(CASE WHEN status = 'completed' THEN score ELSE 0.0 END),"
            " SUM(CASE WHEN status = 'completed' THEN cost_s / folds ELSE 0.0 END)"
            " FROM trials WHERE task = :task GROUP BY metric, strategy ORDER BY metric, strategy"
        ),
        {"task": task},
    )
    by_metric = defaultdict(list)
    for metric, *cell in totals:
        by_metric[metric].append(tuple(cell))
    for metric, rows in by_metric.items():
        connection.execute(
            sa.text("INSERT INTO cells (task, metric, packed) VALUES (:task, :metric, :packed)"),
            {"task": task, "metric": metric, "packed": np.array(rows, _CELL).tobytes()},
        )
