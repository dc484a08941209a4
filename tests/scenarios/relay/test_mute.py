"""A connection from the pool that went mute: dropped in silence, as a VPN, a NAT or a sleep does it."""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.scenarios.relay.conftest import Scene
from tests.scenarios.relay.raw import messages

ROOT = Path(__file__).parents[3]
WHOLE = messages("[[say some words]]")


def namespace() -> list[str]:
    """Return what runs a command in a network namespace of its own."""
    if sys.platform != "linux" or not all(map(shutil.which, ("unshare", "ip", "ss"))):
        pytest.skip("a connection is dropped in silence by Linux's unshare, ip and ss, which are not all here")
    command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    rule = "ip rule add pref 10 ipproto tcp sport 9 blackhole"
    tried = subprocess.run([*command, *rule.split()], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no network namespace with rules can be made here: {tried.stderr.strip()}")
    return command


@pytest.mark.parametrize("what", ["message", "get"])
def test_a_connection_that_was_dropped_in_silence_costs_seconds_and_asks_once(what: str) -> None:
    run = subprocess.run(
        [*namespace(), sys.executable, "-m", "tests.scenarios.relay.mute_scene", what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["status"] == 200
    assert told["seconds"] < 8  # 4 by our limits; 60 without them
    assert not told["twice"]


def test_a_slow_answer_on_an_old_connection_is_asked_for_once(scene: Scene) -> None:
    """The peer has acknowledged the request: it is at work, and asked again it would be paid twice."""
    assert scene.ask(WHOLE).status == 200
    hold = scene.fake.hold_next("head")
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(scene.ask, WHOLE)
        hold.wait_reached()
        time.sleep(5)  # a second connection would be there after 4
        hold.release()
        assert asking.result().status == 200
    assert len(scene.fake.wait_for(2)) == 2
