"""How much memory a worker has that asks Bedrock without LiteLLM, which alone takes 400 MB."""

import http.client
import sys
import threading
from pathlib import Path

import pytest

from tests.scenarios.fallback.standing import BY_NAME, DIRECT, asked, standing, state
from tests.support.daemon import Daemon
from tests.support.keeping import kept_daemon
from tests.support.stage import PATIENCE, Stage, turn

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/status")

MB = 1_000_000
ANSWERS = 10_000
CALLERS = 4


def resident(daemon: Daemon) -> float:
    """Return the resident memory of its only worker, in MB."""
    (worker,) = daemon.workers()
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) * 1024 / MB


def ask_often(stage: Stage, count: int) -> None:
    """Ask Bedrock by name that often, over few connections, every other time for a stream."""
    answered: list[int] = []

    def call() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", stage.daemon.port, timeout=PATIENCE)
        headers = {"content-type": "application/json", "authorization": f"Bearer {stage.token}"}
        for number in range(count // CALLERS):
            connection.request("POST", "/v1/messages", turn(model=BY_NAME, stream=number % 2 == 0), headers)
            answer = connection.getresponse()
            assert answer.getheader("x-gateway-bedrock") == "direct"
            answer.read()
            answered.append(answer.status)
            stage.forget()
        connection.close()

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert answered == [200] * count


def test_before_the_first_trouble() -> None:
    with standing() as stage:
        for _ in range(20):
            stage.ask(turn())
        found = resident(stage.daemon)
        print(f"\nthe default before the first trouble: {found:.1f} MB")
        assert state(stage) == ("off", "direct")
        assert found <= 45


def test_before_the_first_trouble_with_an_sso_login() -> None:
    """AWS's SDK, which renews token and keys, takes 11 MB: a process that is gone again has it."""
    with kept_daemon(None, is_brief=True) as kept:
        kept.stage.anthropic.clear_faults()
        for _ in range(20):
            kept.stage.ask(turn())
        for operation in ("GetRoleCredentials", "CreateToken"):
            kept.aws.wait_for(operation, 3)
        found = resident(kept.daemon)
        print(f"\nthe default before the first trouble, with an SSO login: {found:.1f} MB")
        assert state(kept.stage) == ("off", "direct")
        assert kept.credentials()["state"] == "ok"
        assert found <= 45


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_of_one_that_asks_directly() -> None:
    with standing(environ=DIRECT) as stage:
        before = resident(stage.daemon)
        assert asked(stage) == "direct"
        first = resident(stage.daemon)
        ask_often(stage, 1000)
        warm = resident(stage.daemon)
        ask_often(stage, ANSWERS - 1000)
        found = resident(stage.daemon)
        growth = f"{first:.1f} after one answer, {warm:.1f} after 1,000, {found:.1f} after {ANSWERS:,}"
        print(f"\nof one that asks directly: {before:.1f} MB at the start, {growth}")
        assert found <= 60
