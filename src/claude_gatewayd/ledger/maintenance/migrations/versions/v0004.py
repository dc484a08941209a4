"""The address from which a gateway for a team was asked."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column: a constant default rewrites no row, on either database, and older versions write none."""
    op.add_column("requests", sa.Column("address", sa.Text, nullable=False, server_default=""))
