"""Begins with tasks, strategies, runs and trials."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _key(name: str, target: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer, sa.ForeignKey(f"{target}.id"), nullable=False)


def upgrade() -> None:
    """Creates the four tables."""
    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("fingerprint", sa.String(32), nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("form", sa.String(16), nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("n_rows", sa.BigInteger, nullable=False),
        sa.Column("n_features", sa.BigInteger, nullable=False),
        sa.Column("n_classes", sa.BigInteger, nullable=False),
        sa.Column("meta_features", sa.LargeBinary, nullable=False),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
    )
    op.create_table(
        "strategies",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("hash", sa.String(16), nullable=False, unique=True),
        sa.Column("learner", sa.Text, nullable=False),
        sa.Column("json", sa.Text, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uuid", sa.String(32), nullable=False, unique=True),
        _key("task", "tasks"),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("seconds", sa.Float),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
    )
    op.create_index("ix_runs_task", "runs", ["task"])
    op.create_table(
        "trials",
        sa.Column("id", sa.Integer, primary_key=True),
        _key("task", "tasks"),
        _key("strategy", "strategies"),
        _key("run", "runs"),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("query_score", sa.Float),
        sa.Column("cost_s", sa.Float, nullable=False),
        sa.Column("cost_steps", sa.BigInteger, nullable=False),
        sa.Column("memory_mb", sa.Float, nullable=False),
        sa.Column("fidelity", sa.Text, nullable=False),
        sa.Column("folds", sa.BigInteger, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("log_prob", sa.Float),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("versions", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.UniqueConstraint("run", "number", name="trials_run_number"),
    )
    op.create_index("trials_task", "trials", ["task"])
    op.create_index("trials_strategy", "trials", ["strategy"])
