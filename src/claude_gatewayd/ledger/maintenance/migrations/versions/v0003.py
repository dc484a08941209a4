"""What gateways share: whose database it is, which gateways there are, and facts that hold for long."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _time(name: str) -> "sa.Column[float]":
    return sa.Column(name, sa.Double, nullable=False)


def upgrade() -> None:
    """Create the tables. A file of SQLite has them too, and nothing is in them."""
    op.create_table(
        "shared_cluster",
        sa.Column("one", sa.SmallInteger, nullable=False, autoincrement=False),
        _text("fingerprint"),
        _time("claimed_at"),
        sa.PrimaryKeyConstraint("one"),
    )
    op.create_table(
        "shared_gateways",
        _text("daemon"),
        _text("name"),
        _time("seen_at"),
        sa.PrimaryKeyConstraint("daemon"),
    )
    op.create_table(
        "shared_facts",
        _text("kind"),
        _text("digest"),
        _text("fact"),
        _time("noted_at"),
        _time("ends_at"),
        sa.PrimaryKeyConstraint("kind", "digest"),
    )
