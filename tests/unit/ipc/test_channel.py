"""A worker's events: whatever is in them, the supervisor can read them."""

import socket
from typing import Any

import pytest

from claude_gatewayd.ipc import wire
from claude_gatewayd.ipc.channel import Channel


@pytest.mark.parametrize(
    "snapshot",
    [
        {"why": "x" * 900_000},
        {"why": "\x1b" * 100_000, "other": ["\x1b" * 100_000] * 5},
        {"problems": [{"message": f"unknown key {n}"} for n in range(50_000)]},
        {"x" * 900_000: 1},
    ],
)
def test_an_event_that_would_be_too_long_is_cut(snapshot: dict[str, Any]) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(theirs.detach())
    with ours, channel._socket:
        ours.settimeout(5)
        lines = wire.LineBuffer()
        channel.send_event("beat", snapshot=snapshot)
        found: list[bytes] = []
        while not found:
            found = lines.feed(ours.recv(65536))
            channel.send_event("beat", snapshot={})  # sends the rest
        message = wire.decode(found[0])
        assert message["event"] == "beat"
        assert len(message["snapshot"]) == len(snapshot)


def test_an_event_of_the_usual_length_is_whole() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(theirs.detach())
    with ours, channel._socket:
        channel.send_event("beat", snapshot={"why": "x" * 5000, "all": list(range(200))})
        message = wire.decode(ours.recv(65536).rstrip(b"\n"))
        assert message["snapshot"] == {"why": "x" * 5000, "all": list(range(200))}
