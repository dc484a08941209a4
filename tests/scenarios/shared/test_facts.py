"""What one gateway has found out holds for the others."""

import time

from tests.scenarios.shared.conftest import Gateways
from tests.support.daemon import wait_until
from tests.support.postgres import PostgresServer
from tests.support.sharing import wait_shared
from tests.support.stage import Stage


def limited(stage: Stage) -> None:
    """Have Anthropic refuse a gateway's request by a limit."""
    reset = str(int(time.time()) + 3600)
    headers = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": reset,
        "anthropic-ratelimit-unified-5h-status": "rejected",
        "anthropic-ratelimit-unified-5h-reset": reset,
    }
    stage.anthropic.fail_next(429, headers=headers)


def test_a_limit_that_one_has_seen_is_not_asked_by_another_after_a_second(gateways: Gateways) -> None:
    one, other = gateways.two()
    one.prove()
    limited(one)
    assert one.ask().headers["x-gateway-upstream"] == "bedrock"
    time.sleep(1)  # what is promised
    one.forget()
    assert other.ask().headers["x-gateway-upstream"] == "bedrock"
    assert one.to_anthropic() == []
    [circuit] = other.daemon.status()["circuits"]
    assert circuit["until"] > time.time() + 3000


def test_a_credential_that_one_knows_may_fall_back_at_another(gateways: Gateways) -> None:
    one, other = gateways.two()
    one.prove()
    other.anthropic.refuse_connections()
    time.sleep(1)
    assert other.ask().headers["x-gateway-upstream"] == "bedrock"


def test_a_restart_of_all_keeps_accepted_credentials(gateways: Gateways, postgres: PostgresServer) -> None:
    one = gateways.start()
    wait_shared(one.daemon, "connected")
    one.prove()
    wait_until(
        lambda: postgres.execute(gateways.url, "SELECT 1 FROM claude_gateway.shared_facts") == [(1,)],
        describe=one.daemon.describe,
    )
    one.daemon.close()  # with its state directory
    one.anthropic.refuse_connections()
    other = gateways.start()
    wait_shared(other.daemon, "connected")
    assert other.ask().headers["x-gateway-upstream"] == "bedrock"
