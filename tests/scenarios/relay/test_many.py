"""Many callers at once: each gets its own answer, and nothing of another's."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

from claude_gatewayd.http1 import framing
from tests.fakes.upstream import Upstream
from tests.scenarios.relay.conftest import Scene
from tests.scenarios.relay.raw import RawClient, RawReply, messages, request
from tests.support.daemon import wait_until
from tests.support.stopwatch import Stopwatch

MANY = 300


def call(scene: Scene, number: int) -> RawReply:
    own = b"Authorization: Bearer sk-ant-oat01-caller-%d-" % number
    data = messages(f"[[say I-am-{number}- and nobody else]]", b"cookie: mine=%d" % number, stream=True, credential=own)
    return scene.ask(data)


def text(reply: RawReply) -> str:
    assert reply.status == 200
    assert reply.body.endswith(b'{"type":"message_stop" }\n\n')
    parts = [line.split(b'"text":"')[1].split(b'"')[0] for line in reply.body.split(b"\n") if b'"text_delta"' in line]
    return b"".join(parts).decode()


def test_hundreds_of_streams_at_once(scene: Scene) -> None:
    hold = scene.fake.hold_next("content_block_delta", times=MANY)
    with ThreadPoolExecutor(MANY) as pool:
        replies = [pool.submit(call, scene, number) for number in range(MANY)]
        try:
            wait_until(lambda: scene.daemon.status()["streams"] == MANY)
            assert scene.daemon.status()["under_way"] == MANY
        finally:
            hold.release()
        assert [text(reply.result()) for reply in replies] == [f"I-am-{n}- and nobody else" for n in range(MANY)]
    recorded = scene.fake.wait_for(MANY)
    assert len(recorded) == MANY
    for one in recorded:
        number = one.json()["messages"][0]["content"].split("-")[2]
        assert one.header_values("authorization") == [f"Bearer sk-ant-oat01-caller-{number}-"]
        assert one.header_values("cookie") == [f"mine={number}"]
    wait_until(lambda: scene.daemon.status()["under_way"] == 0)
    assert scene.fake.open_connections <= 64, "more are kept than will be needed"
    assert scene.daemon.status()["streams"] == 0


def test_waves_on_the_same_connections(scene: Scene) -> None:
    """Answers of one caller follow those of another on one connection upstream, uncut and unmixed."""
    before = scene.fake.connections
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda number: call(scene, number), range(MANY)))
    assert [text(reply) for reply in replies] == [f"I-am-{n}- and nobody else" for n in range(MANY)]
    assert scene.fake.connections - before <= 16


def test_one_connection_upstream_serves_one_after_the_other(scene: Scene) -> None:
    scene.fake.close_idle_now()
    before = scene.fake.connections
    for _ in range(50):
        assert scene.ask(messages(stream=True)).status == 200
    assert scene.fake.connections == before + 1


def test_no_cookie_is_kept(scene: Scene) -> None:
    for _ in range(3):
        assert len(scene.ask(messages()).values("set-cookie")) == 2
    assert [r.header("cookie") for r in scene.fake.wait_for(3)] == [None] * 3


def test_no_credential_is_kept(scene: Scene) -> None:
    with scene.client() as client:
        client.send(messages() + messages(credential=b"") + messages(credential=b"x-api-key: other"))
        assert [client.reply().status for _ in range(3)] == [200, 401, 200]
    assert [(r.header("authorization"), r.header("x-api-key")) for r in scene.fake.wait_for(2)] == [
        ("Bearer sk-ant-oat01-invented", None),
        (None, "other"),
    ]


def test_small_pieces_are_not_held_back(upstream: Upstream, port: int) -> None:
    """Without TCP_NODELAY each of these answers takes the 40 ms after which the other end acknowledges."""
    event = b"event: ping\ndata: {}\n\n"

    def script(conn: socket.socket) -> None:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            time.sleep(0.001)
            conn.sendall(framing.chunk(event))
        conn.sendall(framing.last_chunk([]))

    with RawClient(port) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with Stopwatch() as watch:
            for _ in range(20):
                upstream.will(script)
                client.send(request("POST", "/v1/next/year", b"Transfer-Encoding: chunked"))
                for _ in range(3):
                    time.sleep(0.001)
                    client.send(framing.chunk(event))
                client.send(framing.last_chunk([]))
                assert client.reply().body == event * 3
                assert upstream.request().count(event) == 3
        assert watch.elapsed < 20 * 0.03 * watch.pace, watch
