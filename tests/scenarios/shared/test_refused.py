"""A gateway that may not share serves all the same, and says loudly what to do."""

import subprocess
from pathlib import Path

import pytest

from tests.scenarios.shared.conftest import Gateways
from tests.support import pgbouncer
from tests.support.daemon import wait_until
from tests.support.postgres import PostgresServer
from tests.support.sharing import secret_file, shared, wait_shared
from tests.support.stage import Stage


def serves(stage: Stage) -> None:
    assert stage.ask().headers["x-gateway-upstream"] == "anthropic"


def says(stage: Stage, why: str, hint: str) -> None:
    """Have everything say so that a person would ask."""
    how = wait_shared(stage.daemon, "refused")
    assert why in how["why"]
    assert hint in how["hint"]
    assert how["since"] > 1.6e9
    health = stage.daemon.ctl("health")
    assert (health.returncode, health.stdout.startswith("healthy, but nothing is shared")) == (0, True), health
    assert why in health.stdout
    assert why in stage.daemon.ctl("status").stdout
    doctor = stage.daemon.ctl("doctor").stdout
    assert "shared state" in doctor
    assert why in doctor
    assert len([line for line in stage.daemon.log.splitlines() if why in line and "shared" in line]) == 1
    serves(stage)


def test_another_secret(gateways: Gateways, tmp_path: Path, postgres: PostgresServer) -> None:
    """A wrong secret, or two clusters on one database: who comes first keeps it. The hint mends it."""
    one = gateways.start()
    wait_shared(one.daemon, "connected")
    (tmp_path / "other").mkdir()
    other = gateways.start(secret=secret_file(tmp_path / "other", b"another secret, of thirty-two bytes or more"))
    says(other, "its gateways have another shared secret: copy theirs to [shared] secret_file", "psql ")
    assert shared(one.daemon)["others"] == []
    one.prove(token="sk-ant-oat01-of-one")
    other.anthropic.refuse_connections()
    other.anthropic.close_idle_now()
    assert other.ask(token="sk-ant-oat01-of-one").status != 200, "what one cluster knows is worth nothing to another"
    one.anthropic.accept_connections()
    one.daemon.close()
    delete = shared(other.daemon)["hint"].partition(" -c ")[2].partition("    #")[0].strip("'")
    postgres.execute(gateways.url, delete)
    wait_shared(other.daemon, "connected")


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (None, 0, "there is no such file"),
        (b"", 0o600, "it is empty"),
        (b"short\n", 0o600, "it has 5 bytes, and needs 32 at least"),
        (b"x" * 44 + b"\n", 0o644, "other users can read it"),
    ],
)
def test_a_secret_that_is_none(gateways: Gateways, content: bytes | None, mode: int, why: str) -> None:
    """It is mended as the hint says, and a reload does the rest."""
    file = gateways.secret
    file.unlink()
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    stage = gateways.start()
    says(stage, why, str(file))
    hint = shared(stage.daemon)["hint"]
    subprocess.run(["bash", "-c", hint], check=True)
    assert stage.daemon.ctl("reload").returncode == 0
    wait_shared(stage.daemon, "connected")


def test_tables_of_a_newer_version(gateways: Gateways, postgres: PostgresServer) -> None:
    first = gateways.start()
    wait_shared(first.daemon, "connected")
    first.daemon.close()
    postgres.execute(gateways.url, "UPDATE claude_gateway.alembic_version SET version_num = '9999'")
    says(gateways.start(), "a newer version of claude-gatewayd has made its tables", "claude-gatewayctl upgrade")


@pytest.mark.skipif(pgbouncer.program() is None, reason=pgbouncer.INSTALL)
def test_a_pooler_in_transaction_mode(gateways: Gateways) -> None:
    """It takes LISTEN, and passes on nothing: a gateway would be deaf, and believe that all is well."""
    with pgbouncer.pooled(gateways.url, "transaction") as url:
        says(gateways.start(url=url), "a pooler in transaction mode stands before it", "config set shared.url")


@pytest.mark.skipif(pgbouncer.program() is None, reason=pgbouncer.INSTALL)
def test_a_pooler_in_session_mode(gateways: Gateways) -> None:
    with pgbouncer.pooled(gateways.url, "session") as url:
        one, other = gateways.start(url=url), gateways.start()
        for stage in (one, other):
            wait_shared(stage.daemon, "connected", lambda how: bool(how["others"]))
        other.prove()
        one.anthropic.refuse_connections()
        wait_until(lambda: one.ask().headers.get("x-gateway-upstream") == "bedrock", describe=one.daemon.describe)
