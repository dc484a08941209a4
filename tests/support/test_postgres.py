"""The PostgreSQL that tests start is one to rely on."""

import psycopg
import pytest

from tests.support.postgres import PostgresServer


def test_a_database_of_its_own_with_a_password(postgres: PostgresServer) -> None:
    url, other = postgres.new_database(), postgres.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA mine")
    assert postgres.execute(other, "SELECT 1 FROM pg_namespace WHERE nspname = 'mine'") == []
    user, _, rest = url.removeprefix("postgresql://").partition(":")
    wrong = f"postgresql://{user}:wrong@{rest.partition('@')[2]}"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_a_restart_keeps_port_and_what_was_committed(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (one int)")
    with psycopg.connect(url) as connection:
        postgres.stop()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    postgres.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT * FROM kept").fetchall() == []


def test_who_may_not_create_a_schema(postgres: PostgresServer) -> None:
    with (
        psycopg.connect(postgres.new_database(may_create_schema=False)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE SCHEMA mine")


def test_read_only_and_writable_again(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    postgres.make_read_only(url)
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("CREATE TABLE mine (one int)")
    postgres.make_writable(url)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE mine (one int)")


def test_it_hangs_and_goes_on(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with psycopg.connect(url):
        postgres.pause()
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(url, connect_timeout=2)
        postgres.resume()
        psycopg.connect(url).close()
