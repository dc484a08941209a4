"""What becomes of a PostgreSQL: gone, hanging, read-only, forbidden; and what is told of it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.job import job_for
from claude_gatewayd.ledger.maintenance.work import work
from claude_gatewayd.ledger.opening import open_for_reading
from claude_gatewayd.ledger.schema import quarters
from claude_gatewayd.worker.ledger.drivers.connection import Unwritable
from claude_gatewayd.worker.ledger.drivers.postgres import PostgresConnection
from tests.support.postgres import PostgresServer
from tests.unit.worker.ledger.fake_database import row, rows


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    url = postgres.new_database()
    assert work(job_for(Database(url=url), "prepare")).outcome == "done"
    return url


@pytest.fixture
def connection(url: str) -> Iterator[PostgresConnection]:
    with closing(PostgresConnection(Database(url=url))) as connection:
        yield connection


def failure(connection: PostgresConnection) -> Unwritable:
    with pytest.raises(Unwritable) as caught:
        connection.write([row(999)])
    return caught.value


@pytest.mark.parametrize(("encoding", "kept"), [("LATIN1", "??/caf?"), ("SQL_ASCII", "日本/café")])
def test_no_letter_costs_a_row(postgres: PostgresServer, url: str, encoding: str, kept: str) -> None:
    """A database of another encoding lacks some, or gives texts as bytes to who does not ask for UTF-8."""
    name = encoding.lower()
    owner, there = Database(url=url), Database(url=f"{url.rpartition('/')[0]}/{name}")
    user = urlsplit(owner.url).username
    postgres.execute(
        url, f"CREATE DATABASE {name} OWNER {user} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    assert work(job_for(there, "prepare")).outcome == "done"
    with closing(PostgresConnection(there)) as connection:
        connection.write([row(1, project="日本/café"), row(2)])
        assert [one.project for one in connection.own("", 0)] == [kept, ""]
    with open_for_reading(there).connect() as reading:
        assert list(reading.scalars(select(quarters.c.project).order_by(quarters.c.project))) == ["", kept]


def test_a_server_that_is_gone_is_an_outage(postgres: PostgresServer, url: str, connection: PostgresConnection) -> None:
    connection.write(rows(1))
    postgres.stop()
    assert not failure(connection).is_odd
    with pytest.raises(Unwritable) as caught:
        PostgresConnection(Database(url=url))
    assert not caught.value.is_odd
    assert "Connection refused" in caught.value.why
    postgres.start()
    with closing(PostgresConnection(Database(url=url))) as again:
        assert again.known([row(1).id, row(0).id]) == {row(0).id}


def test_a_read_only_server_is_an_outage(postgres: PostgresServer, url: str) -> None:
    postgres.make_read_only(url)
    with closing(PostgresConnection(Database(url=url))) as connection:
        found = failure(connection)
    assert (found.why.partition(" (")[0], found.is_odd) == ("it is read-only", False)


def test_a_server_that_hangs_can_be_left(postgres: PostgresServer, connection: PostgresConnection) -> None:
    postgres.pause()
    found: list[Unwritable] = []
    thread = threading.Thread(target=lambda: found.append(failure(connection)))
    thread.start()
    time.sleep(0.3)  # it waits for the server; nothing tells when
    assert thread.is_alive()
    connection.abort()
    thread.join(5.0)
    postgres.resume()
    assert len(found) == 1
    assert not found[0].is_odd


def test_a_host_that_does_not_answer_is_left_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(Unwritable) as caught:
            PostgresConnection(Database(url=f"postgresql://me:hunter2@127.0.0.1:{silent.getsockname()[1]}/x"))
        assert time.monotonic() - begun < 8.0
    assert not caught.value.is_odd
    assert "timeout" in caught.value.why
    assert "hunter2" not in caught.value.why


def test_tables_that_are_gone_or_forbidden_are_no_outage(
    postgres: PostgresServer, url: str, connection: PostgresConnection
) -> None:
    user = url.split("//")[1].partition(":")[0]
    postgres.execute(url, f'REVOKE ALL ON ALL TABLES IN SCHEMA claude_gateway FROM "{user}"')
    assert failure(connection).is_odd
    postgres.execute(url, "DROP SCHEMA claude_gateway CASCADE")
    assert failure(connection).is_odd


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@127.0.0.1:1/x",
        "postgresql://me:hunter2@localhost:1/x",
        "postgresql://me:hunter2@nowhere.invalid/x",
        "postgresql://me:hunter2@127.0.0.1:1/x?nonsense=1",
        "postgresql://me:hunter2@127.0.0.1:99999999/x",
        "postgresql://me:hun%7Ater2@127.0.0.1:port/x",
    ],
)
def test_no_reason_has_the_password(url: str) -> None:
    with pytest.raises(Unwritable) as caught:
        PostgresConnection(Database(url=url))
    assert caught.value.why
    assert "hun" not in caught.value.why
    assert "\n" not in caught.value.why


def test_a_wrong_password_is_told_without_it(url: str) -> None:
    wrong = url.replace("@", "wrong@")
    with pytest.raises(Unwritable) as caught:
        PostgresConnection(Database(url=wrong))
    assert "password authentication failed" in caught.value.why
    assert "wrong" not in caught.value.why
