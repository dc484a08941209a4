"""More connections than there is room for, at the daemon's own limit."""

import resource
import socket

import pytest

from tests.scenarios.relay.conftest import Scene
from tests.scenarios.relay.raw import messages
from tests.support.stopwatch import Stopwatch

CROWD = 2500
WHOLE = messages("[[say some words]]")


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"], ids=["idle", "half a head"]
)
def test_a_crowd_that_says_nothing_keeps_nobody_waiting(scene: Scene, sent: bytes) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < CROWD + 200:
        if hard != resource.RLIM_INFINITY and hard < CROWD + 200:
            pytest.skip(f"this process may open {hard} files only")
        resource.setrlimit(resource.RLIMIT_NOFILE, (CROWD + 200, hard))
    crowd = []
    try:
        for _ in range(CROWD):
            crowd.append(socket.create_connection(("127.0.0.1", scene.port)))
            if sent:
                crowd[-1].sendall(sent)
        for _ in range(3):
            with Stopwatch() as watch:
                assert scene.ask(WHOLE).status == 200
            assert watch.elapsed < 2 * watch.pace, watch  # 40 s before
    finally:
        for sock in crowd:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
