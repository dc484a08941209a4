"""`usage` where several gateways share a PostgreSQL: this one's requests, unless all are asked for."""

import json
import time
from collections.abc import Iterator

import pytest

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.gateway_name import gateway_name
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_writing
from claude_gatewayd.ledger.usage_record import UsageRecord
from tests.support import ledger_rows
from tests.support.daemon import Daemon
from tests.support.postgres import PostgresServer


def a_request(number: int, gateway: str) -> UsageRecord:
    return UsageRecord(
        id=f"{number:020}", started_at=time.time() - 60, gateway=gateway, kind="messages", status=200,
        model_served="claude-opus-5-5", upstream="anthropic", billing="api", output_tokens=5, cost=1.0,
        duration_ms=900.0,
    )  # fmt: skip


@pytest.fixture
def database(postgres: PostgresServer) -> Database:
    return Database(url=postgres.new_database())


@pytest.fixture
def person(database: Database) -> Iterator[Daemon]:
    """Return who shares a database without tables; no daemon runs."""
    person = Daemon(config=f'[ledger]\nurl = "{database.url}"\n')
    yield person
    person.close()


def test_a_person_sees_their_own_and_is_told_of_the_others(person: Daemon, database: Database) -> None:
    migrate(database)
    engine = open_for_writing(database)
    own = gateway_name(person.port)
    ledger_rows.write(engine, [a_request(1, own), a_request(2, "grace@desk"), a_request(3, "grace@desk")])
    engine.dispose()
    mine = person.ctl("usage").stdout
    assert own in mine.partition("\n\n")[0].replace("\n", " ")
    assert "$1.00: API key $1.00" in mine
    assert "Not counted: grace@desk. Everybody in this database: usage --all" in mine
    everybody = person.ctl("usage", "--all").stdout
    assert "all gateways" in everybody.partition("\n\n")[0].replace("\n", " ")
    assert "$3.00: API key $3.00" in everybody
    assert "Not counted" not in everybody
    report = json.loads(person.ctl("usage", "--json", "--by", "gateway").stdout)
    assert [(row["key"], row["requests"]) for row in report["rows"]] == [("grace@desk", 2), (own, 1)]
    assert report["gateway"] is None
    assert database.url not in json.dumps(report)


def test_a_database_without_tables_has_nothing_yet(person: Daemon, database: Database) -> None:
    done = person.ctl("usage")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Nothing is recorded yet in {database.shown}.\n")


def test_a_database_that_is_gone_is_an_error_with_a_hint(
    person: Daemon, database: Database, postgres: PostgresServer
) -> None:
    postgres.stop()
    done = person.ctl("usage")
    assert done.returncode == 1
    assert done.stdout == ""
    message, hint = done.stderr.splitlines()
    assert message.startswith(f"Cannot read the ledger {database.shown}: ")
    assert hint.startswith("  psql ")
    assert "Traceback" not in done.stderr
