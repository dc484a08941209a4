"""A stream that stalls in the middle is given up, by limits above the fifteen seconds at which LiteLLM would ping."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.fakes.bedrock_frames import EVENT_STREAM, chunk_piece
from tests.fakes.upstream import Script
from tests.scenarios.fallback.elsewhere import Elsewhere, standing
from tests.scenarios.fallback.frames import HELLO, PING, START, TEXT
from tests.support.stage import MODEL, THROUGH, Reply, turn

pytestmark = pytest.mark.slow

LIMIT = 20.0
CONFIG = f"""
[anthropic]
response_timeout = {LIMIT:g}
[bedrock]
timeout = {LIMIT:g}
"""


def events_of(sse: bytes) -> list[bytes]:
    """Return a stream's events as Bedrock sends them."""
    data = [json.loads(line[6:]) for line in sse.split(b"\n") if line.startswith(b"data: ")]
    return [chunk_piece(event, number=number).data for number, event in enumerate(data)]


OF_BEDROCK = b"".join(events_of(START + TEXT))
PING_OF_BEDROCK = b"".join(events_of(PING))
# Who is asked for what, what it sends first, and then once a second.
STALLS = {
    "bedrock": (MODEL, EVENT_STREAM, OF_BEDROCK, b""),
    "bedrock-pings": (MODEL, EVENT_STREAM, OF_BEDROCK, PING_OF_BEDROCK),
    "openai": ("own-openai", b"text/event-stream", HELLO, b""),
    "openai-comments": ("own-openai", b"text/event-stream", HELLO, b": still here\n\n"),
    "anthropic-pings": ("own-anthropic", b"text/event-stream", START + TEXT, PING),
}


@pytest.fixture(scope="module", params=THROUGH)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Elsewhere]:
    with standing(tmp_path_factory.mktemp("litellm"), request.param, CONFIG) as it:
        yield it


def stalls(content_type: bytes, first: bytes, then: bytes, over: threading.Event) -> Script:
    def script(conn: socket.socket) -> None:
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % content_type)
        conn.sendall(b"%x\r\n%b\r\n" % (len(first), first))
        while not over.wait(1.0):
            if then:
                conn.sendall(b"%x\r\n%b\r\n" % (len(then), then))

    return script


def test_every_stream_that_stalls_is_given_up(elsewhere: Elsewhere) -> None:
    """All at once, for the time passes for all: Anthropic fails, and whoever stands in its place says nothing more."""
    stage, upstream = elsewhere
    stage.anthropic_is_down()
    over = threading.Event()
    replies: dict[str, tuple[Reply, float]] = {}

    def asks(name: str, model: str) -> Callable[[], None]:
        def ask() -> None:
            began = time.monotonic()
            replies[name] = stage.ask(turn(model=model)), time.monotonic() - began

        return ask

    threads = []
    try:
        for name, (model, content_type, first, then) in STALLS.items():
            upstream.will(stalls(content_type, first, then, over))
            threads.append(threading.Thread(target=asks(name, model)))
            threads[-1].start()
            upstream.request()  # it has come: the next script is for the next
        for thread in threads:
            thread.join(4 * LIMIT)
        assert replies.keys() == STALLS.keys(), "one was never given up"
    finally:
        over.set()
        for thread in threads:
            thread.join()
    for name, (reply, seconds) in replies.items():
        assert reply.status == 200, (name, reply)
        assert reply.events[-1][0] == "error", (name, reply)
        assert reply.events[-1][1]["error"]["type"] == "timeout_error", (name, reply)
        assert LIMIT - 1 < seconds < 2 * LIMIT, (name, seconds)
        assert "ping" in {event for event, _ in reply.events}, f"{name}: the client was left in silence"
        assert "message_stop" not in {event for event, _ in reply.events}, name
