"""An empty ledger in each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.opening import open_for_writing
from tests.support import ledger_rows


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Return an engine on tables without rows."""
    if request.param == "sqlite":
        file = tmp_path / "ledger.sqlite3"
        file.touch()
        database = Database(file=file)
    else:
        database = Database(url=request.getfixturevalue("postgres").new_database())
    engine = open_for_writing(database)
    ledger_rows.create(engine)
    yield engine
    engine.dispose()
