"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "requests",
        _text("id"),
        sa.Column("started_at", sa.Double, nullable=False),
        _text("gateway"),
        _text("kind"),
        sa.Column("status", sa.SmallInteger, nullable=False),
        _text("session_id"),
        _text("agent_id"),
        _text("message_id"),
        _text("project"),
        _text("client"),
        _text("client_version"),
        _text("model_asked"),
        _text("model_served"),
        _text("lane"),
        _text("upstream"),
        _text("transport"),
        _text("fallback"),
        _text("billing"),
        _count("input_tokens"),
        _count("output_tokens"),
        _count("cache_read_tokens"),
        _count("cache_write_5m_tokens"),
        _count("cache_write_1h_tokens"),
        sa.Column("cost", sa.Double),
        sa.Column("first_event_ms", sa.Double),
        sa.Column("duration_ms", sa.Double, nullable=False),
        _count("request_bytes"),
        _count("answer_bytes"),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("is_stream", sa.Boolean, nullable=False),
        sa.Column("is_aborted", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("requests_started_at", "requests", ["started_at"])
    op.create_table(
        "quarters",
        sa.Column("quarter", sa.Integer, nullable=False, autoincrement=False),
        _text("gateway"),
        _text("upstream"),
        _text("transport"),
        _text("model"),
        _text("project"),
        _text("billing"),
        _text("fallback"),
        _count("requests"),
        _count("failures"),
        _count("aborted"),
        _count("unpriced"),
        _count("input_tokens"),
        _count("output_tokens"),
        _count("cache_read_tokens"),
        _count("cache_write_5m_tokens"),
        _count("cache_write_1h_tokens"),
        sa.Column("cost", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint(
            "quarter", "gateway", "upstream", "transport", "model", "project", "billing", "fallback"
        ),
    )
    op.create_table(
        "latencies",
        sa.Column("quarter", sa.Integer, nullable=False, autoincrement=False),
        _text("gateway"),
        _text("upstream"),
        _text("measure"),
        sa.Column("bin", sa.SmallInteger, nullable=False, autoincrement=False),
        _count("requests"),
        sa.PrimaryKeyConstraint("quarter", "gateway", "upstream", "measure", "bin"),
    )
