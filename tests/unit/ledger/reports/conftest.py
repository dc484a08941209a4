"""An empty ledger in each database."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_writing


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    """Return an engine on tables without rows."""
    migrate(database)
    engine = open_for_writing(database)
    yield engine
    engine.dispose()
