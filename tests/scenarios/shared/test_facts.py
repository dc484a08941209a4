"""What one gateway has found out holds for the others."""

import signal
import time

import pytest

from tests.scenarios.shared.conftest import Gateways
from tests.support.daemon import ROOT, wait_until
from tests.support.postgres import PostgresServer
from tests.support.sharing import limited, wait_shared
from tests.support.stage import Stage


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


@pytest.mark.parametrize("shift", [-3 * 3600, 3 * 3600], ids=["behind", "ahead"])
def test_a_clock_that_is_hours_wrong_does_no_harm(gateways: Gateways, shift: int) -> None:
    wrong = {"PYTHONPATH": str(ROOT / "tests" / "support" / "shifted_clock"), "SHIFTED_BY": str(shift)}
    one, other = gateways.start(), gateways.start(environ=wrong)
    for stage in (one, other):
        wait_shared(stage.daemon, "connected", lambda how: bool(how["others"]))
    now = other.daemon.status()["config"]["loaded_at"]
    assert abs(now - time.time() - shift) < 300, "its clock is as it should be"
    one.prove()
    limited(one)
    assert one.ask().headers["x-gateway-upstream"] == "bedrock"
    time.sleep(1)
    one.forget()
    reply = other.ask()
    assert one.to_anthropic() == []
    [circuit] = other.daemon.status()["circuits"]
    assert 3000 < circuit["until"] - (time.time() + shift) < 3700
    third = gateways.start()  # and who reads what was kept
    wait_until(lambda: third.daemon.status()["circuits"], describe=third.daemon.describe)
    [circuit] = third.daemon.status()["circuits"]
    assert 3000 < circuit["until"] - time.time() < 3700
    assert reply.headers["x-gateway-upstream"] == "bedrock"


def test_who_saw_it_probes_and_others_if_it_is_dead(gateways: Gateways) -> None:
    one, other = gateways.two(
        environ={"CLAUDE_GATEWAY_ROUTER_ALLOWED_FAILS": "0", "CLAUDE_GATEWAY_ROUTER_COOLDOWN_TIME": "3"}
    )
    one.prove()
    one.anthropic.fail_next(529)
    assert one.ask().headers["x-gateway-upstream"] == "bedrock"
    wait_until(lambda: other.daemon.status()["circuits"], describe=other.daemon.describe)
    one.daemon.kill(one.daemon.generation()["pid"])
    one.daemon.signal(signal.SIGKILL)
    one.forget()
    wait_until(lambda: other.ask().headers["x-gateway-upstream"] == "anthropic", 20, other.daemon.describe)
    assert len(one.to_anthropic()) == 1


def test_several_workers_of_several_gateways(gateways: Gateways) -> None:
    """Each listens: nothing is published twice, and nothing goes round in circles."""
    one, other = gateways.two(more="[listen]\nworkers = 2\n")
    for stage in (one, other):
        wait_until(lambda: len(stage.daemon.generation()["pids"]) == 2, describe=stage.daemon.describe)  # noqa: B023
    one.prove()
    limited(one)
    assert one.ask().headers["x-gateway-upstream"] == "bedrock"
    time.sleep(1)
    one.forget()
    for stage in (one, other):
        for _ in range(8):  # the kernel chooses the worker
            assert stage.ask().headers["x-gateway-upstream"] == "bedrock"
    assert one.to_anthropic() == []
    opened = [line for line in (one.daemon.log + other.daemon.log).splitlines() if "opens until" in line]
    assert len(opened) == 1, opened
    assert one.daemon.status()["shared"]["others"] == other_names(other)


def other_names(stage: Stage) -> list[str]:
    """Return the name of a gateway, as others have it."""
    import getpass
    import socket

    return [f"{getpass.getuser()}@{socket.gethostname()}:{stage.daemon.port}"]
