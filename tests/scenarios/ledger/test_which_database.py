"""Which database the daemon takes for its ledger, and what becomes of it where that one cannot be used."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd import paths
from claude_gatewayd.ledger.database import SCHEMA, Database
from claude_gatewayd.ledger.maintenance.migrate import head, migrate
from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import post
from tests.support.daemon import Daemon, wait_until
from tests.support.postgres import PostgresServer

_TABLES = f"SELECT count(*) FROM pg_tables WHERE schemaname = '{SCHEMA}'"
_MESSAGES = f"SELECT status FROM {SCHEMA}.requests WHERE kind = 'messages'"  # a look whether we serve is a row too


def ledger(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = daemon.status()["ledger"]
    return found


def serve(daemon: Daemon) -> None:
    status, _ = post(daemon.port)
    assert status == 200


def wait_for(daemon: Daemon, state: str, written: int = 0) -> dict[str, Any]:
    def is_there() -> bool:
        found = ledger(daemon)
        return bool(found["state"] == state and found["written"] >= written)

    wait_until(is_there, describe=lambda: json.dumps(ledger(daemon)))
    return ledger(daemon)


def test_a_postgres_gets_a_schema_and_rows_at_the_first_start(
    anthropic: FakeAnthropic, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    with Daemon(upstream=anthropic.url, config=f'[ledger]\nurl = "{url}"') as daemon:
        serve(daemon)
        found = wait_for(daemon, "ok", written=2)
        assert found["database"] == Database(url=url).shown
        assert postgres.execute(url, _MESSAGES) == [(200,)]
        password = url.partition("@")[0].rpartition(":")[2]
        for command in (["status"], ["status", "--json"], ["config", "show"], ["doctor"], ["ledger", "check"]):
            shown = daemon.ctl(*command)
            assert password not in shown.stdout + shown.stderr, command
        assert password not in daemon.log


def test_a_stray_database_url_gets_nothing(anthropic: FakeAnthropic, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with Daemon(upstream=anthropic.url, environ={"DATABASE_URL": url}) as daemon:
        serve(daemon)
        assert wait_for(daemon, "ok", written=1)["database"] == str(paths.ledger_file(daemon.environ))
        assert daemon.ctl("ledger", "check").returncode == 0
        daemon.ctl("usage")
        assert postgres.execute(url, _TABLES) == [(0,)]


def test_one_that_is_meant_does(anthropic: FakeAnthropic, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    config = "[ledger]\nuse_database_url = true"
    with Daemon(upstream=anthropic.url, config=config, environ={"DATABASE_URL": f"{url}?connection_limit=5"}) as daemon:
        serve(daemon)
        assert wait_for(daemon, "ok", written=1)["database"] == Database(url=url).shown


@pytest.mark.parametrize("given", [{}, {"DATABASE_URL": "mysql://me:s3cret@h/db"}])
def test_one_that_is_meant_and_is_none_costs_no_start(anthropic: FakeAnthropic, given: dict[str, str]) -> None:
    with Daemon(upstream=anthropic.url, config="[ledger]\nuse_database_url = true", environ=given) as daemon:
        serve(daemon)
        found = ledger(daemon)
        assert "DATABASE_URL" in found["why"]
        assert "s3cret" not in json.dumps(found) + daemon.log + daemon.ctl("status").stdout


def test_a_wrong_password_costs_no_request_and_is_shown_nowhere(
    anthropic: FakeAnthropic, postgres: PostgresServer
) -> None:
    url = re.sub(r":[^:@]*@", ":s3cret@", postgres.new_database())
    with Daemon(upstream=anthropic.url, config=f'[ledger]\nurl = "{url}"') as daemon:
        serve(daemon)
        wait_until(lambda: "password authentication failed" in ledger(daemon)["why"])
        found = ledger(daemon)
        assert found["waiting"] + found["spilled"] >= 1
        texts = [daemon.ctl(*command).stdout for command in (["status"], ["doctor"], ["ledger", "check"], ["usage"])]
        assert "s3cret" not in json.dumps(found) + daemon.log + "".join(texts)


def test_tables_of_a_newer_version_are_left_alone_and_rows_wait(anthropic: FakeAnthropic, tmp_path: Path) -> None:
    with Daemon(upstream=anthropic.url, has_ledger=False) as daemon:
        serve(daemon)
        wait_for(daemon, "ok", written=1)
        daemon.signal(signal.SIGTERM)
        daemon.wait()
        file = paths.ledger_file(daemon.environ)
        newer = tmp_path / "newer"
        newer.mkdir()
        (newer / "next.py").write_text(
            f'from alembic import op\nrevision = "next"\ndown_revision = "{head()}"\n'
            'def upgrade():\n    op.execute("CREATE TABLE more (one int)")\n'
        )
        migrate(Database(file=file), revisions=[newer])
        before = file.read_bytes()
        daemon.spawn()
        daemon.wait_serving()
        serve(daemon)
        wait_until(lambda: "a newer version of claude-gatewayd has made its tables" in ledger(daemon)["why"])
        assert ledger(daemon)["hint"] == "claude-gatewayctl upgrade"
        assert file.read_bytes() == before
