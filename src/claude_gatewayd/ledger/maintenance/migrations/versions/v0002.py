"""Named keys, and whose key a request came with. It only adds: older generations write what they know."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    """Create them."""
    op.add_column("requests", sa.Column("key_name", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "key_quarters",
        sa.Column("quarter", sa.Integer, nullable=False, autoincrement=False),
        _text("key_name"),
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
            "quarter", "key_name", "gateway", "upstream", "transport", "model", "project", "billing", "fallback"
        ),
    )
    op.create_table(
        "keys",
        _text("name"),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
        sa.Column("bedrock", sa.Boolean),
        sa.Column("monthly_budget", sa.Double),
        sa.Column("requests_per_minute", sa.Integer),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "key_secrets",
        _text("digest"),
        _text("name"),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("last_used_at", sa.Double),
        sa.PrimaryKeyConstraint("digest"),
    )
