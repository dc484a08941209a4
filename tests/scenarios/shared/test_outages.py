"""The database is gone, hangs, or is cut off: each gateway goes on with what it knows, says so, and catches up."""

import time
from urllib.parse import urlsplit

import pytest

from tests.fakes.cut_network import CutNetwork
from tests.scenarios.shared.conftest import Gateways
from tests.support.daemon import wait_until
from tests.support.postgres import PostgresServer
from tests.support.sharing import limited, shared, wait_shared


def test_the_database_is_restarted(gateways: Gateways, postgres: PostgresServer) -> None:
    one, other = gateways.two()
    one.prove()
    postgres.stop()
    how = wait_shared(one.daemon, "away")
    wait_shared(other.daemon, "away")
    assert abs(how["since"] - time.time()) < 60
    assert "the database is away since " in one.daemon.ctl("status").stdout
    assert "nothing is shared with other gateways: " in one.daemon.ctl("health").stdout
    limited(one)
    assert one.ask().headers["x-gateway-upstream"] == "bedrock"  # it goes on with what it knows
    one.forget()
    postgres.start()
    for stage in (one, other):
        wait_shared(stage.daemon, "connected", lambda how: bool(how["others"]))
    wait_until(lambda: other.daemon.status()["circuits"], describe=other.daemon.describe)  # what it found out meanwhile
    assert other.ask().headers["x-gateway-upstream"] == "bedrock"
    assert one.to_anthropic() == []
    for stage in (one, other):
        log = [line for line in stage.daemon.log.splitlines() if "shared state" in line]
        assert ["cannot use the shared state" in line for line in log] == [True, False], log
        assert "psycopg" not in stage.daemon.log


def test_what_ends_meanwhile_ends_for_all(gateways: Gateways, postgres: PostgresServer) -> None:
    one, other = gateways.two()
    one.prove()
    limited(one)
    assert one.ask().headers["x-gateway-upstream"] == "bedrock"
    wait_until(lambda: other.daemon.status()["circuits"], describe=other.daemon.describe)
    postgres.execute(gateways.url, "DELETE FROM claude_gateway.shared_facts WHERE kind = 'circuit-changed'")  # as one
    postgres.disconnect(gateways.url)  # who was cut off did not hear it
    wait_until(lambda: not other.daemon.status()["circuits"], describe=other.daemon.describe)
    assert other.ask().headers["x-gateway-upstream"] == "anthropic"


def test_a_database_that_hangs_delays_nobody(gateways: Gateways, postgres: PostgresServer) -> None:
    one, other = gateways.two()
    one.prove()
    postgres.pause()
    limited(one)
    begun = time.monotonic()
    assert one.ask().headers["x-gateway-upstream"] == "bedrock"
    assert time.monotonic() - begun < 5.0
    wait_shared(other.daemon, "away")
    assert "does not answer" in shared(other.daemon)["why"]
    postgres.resume()
    for stage in (one, other):
        wait_shared(stage.daemon, "connected", lambda how: bool(how["others"]))
    wait_until(lambda: other.daemon.status()["circuits"], describe=other.daemon.describe)


@pytest.mark.slow
def test_one_is_cut_off_for_half_a_minute(gateways: Gateways, postgres: PostgresServer) -> None:
    """Nobody tells it so: no connection breaks. All requests are served, and then it knows what it missed."""
    with CutNetwork(postgres.port) as network:
        one = gateways.start()
        other = gateways.start(url=gateways.url.replace(f":{urlsplit(gateways.url).port}/", f":{network.port}/"))
        for stage in (one, other):
            wait_shared(stage.daemon, "connected", lambda how: bool(how["others"]))
        one.prove()
        network.cut()
        cut_at = time.monotonic()
        limited(one)
        assert one.ask().headers["x-gateway-upstream"] == "bedrock"
        while time.monotonic() - cut_at < 30.0:
            begun = time.monotonic()
            assert other.ask(token="sk-ant-oat01-of-others").headers["x-gateway-upstream"] == "anthropic"
            assert time.monotonic() - begun < 5.0
            time.sleep(0.5)
        wait_shared(other.daemon, "away")
        wait_shared(one.daemon, "connected", lambda how: not how["others"])
        network.mend()
        wait_shared(other.daemon, "connected", lambda how: bool(how["others"]))
        wait_until(lambda: other.daemon.status()["circuits"], describe=other.daemon.describe)
        one.forget()
        assert other.ask().headers["x-gateway-upstream"] == "bedrock"
        assert one.to_anthropic() == []
        wait_until(lambda: one.daemon.status()["ledger"]["waiting"] == 0)
        one.anthropic.refuse_connections()
        one.anthropic.close_idle_now()
        reply = one.ask(token="sk-ant-oat01-of-others")  # what the other one has found out while it was cut off
        assert reply.headers["x-gateway-upstream"] == "bedrock"
