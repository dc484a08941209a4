"""Back-pressure both ways: who reads slowly makes the other side wait, and nothing pile up in between."""

import os
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.upstream import Upstream
from tests.scenarios.relay.raw import JSON, PATIENCE, RawClient, request
from tests.support.calls import message
from tests.support.daemon import Daemon

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/statm")

MIB = 1 << 20
SIZE = 200 * MIB
MOST = 30 * MIB
BLOCK = bytes(range(256)) * 4096  # one MiB


class Stalled:
    """Count what one side could send, and tell when it could send no more."""

    def __init__(self) -> None:
        self.sent = 0

    def send(self, sock: socket.socket, size: int) -> None:
        while self.sent < size:
            self.sent += sock.send(memoryview(BLOCK)[self.sent % MIB :][: size - self.sent])

    def wait(self, watch: Callable[[], None]) -> None:
        """Return when nothing has been sent for half a second."""
        deadline = time.monotonic() + PATIENCE
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < 0.5:
            assert time.monotonic() < deadline
            watch()
            time.sleep(0.02)
            if self.sent != seen:
                seen, since = self.sent, time.monotonic()


class Memory:
    """How much memory a process has, and had at most."""

    def __init__(self, pid: int) -> None:
        self._statm = Path(f"/proc/{pid}/statm")
        self.before = self.most = self.now()

    def now(self) -> int:
        return int(self._statm.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    def look(self) -> None:
        self.most = max(self.most, self.now())

    def hold(self, what: str) -> None:
        grown = self.most - self.before
        print(f"{what}: {grown / MIB:.1f} MiB more")
        assert grown < MOST


def checksum(take: Callable[[], bytes], size: int) -> int:
    """Read that much, and return its checksum."""
    value = 0
    while size:
        data = take()
        assert data, f"{size} bytes are missing"
        size -= len(data)
        value = zlib.crc32(data, value)
    assert size == 0
    return value


def expected(size: int) -> int:
    value = 0
    for _ in range(size // MIB):
        value = zlib.crc32(BLOCK, value)
    return value


# A line of small segments and small windows: the kernel takes little, so that the daemon has to hold back.
LINES = {"wide": {}, "narrow": {"mss": 536, "receives": 4096}}


@pytest.fixture(scope="module", params=LINES)
def line(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, int], Upstream, Daemon]]:
    options = LINES[request.param]
    with Upstream(**options) as upstream, Daemon(upstream=upstream.url) as daemon:
        yield options, upstream, daemon


@pytest.mark.parametrize("how", ["counted", "chunked", "events"])
def test_a_slow_reader(line: tuple[dict[str, int], Upstream, Daemon], how: str) -> None:
    options, upstream, daemon = line
    size = SIZE if not options else 40 * MIB
    sending = Stalled()

    def script(conn: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\n"
        if how == "counted":
            conn.sendall(head + b"Content-Length: %d\r\n\r\n" % size)
            sending.send(conn, size)
            return
        kind = b"Content-Type: text/event-stream\r\n" if how == "events" else b""
        conn.sendall(head + kind + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size)
        sending.send(conn, size)
        last = b"\n\nevent: message_stop\ndata: {}\n\n"
        conn.sendall(b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(last), last))

    upstream.will(script)
    (worker,) = daemon.workers()
    with RawClient(daemon.port, **options) as client:
        memory = Memory(worker)
        client.sock.settimeout(60)  # where a tiny window was closed, the kernel's probes back off to many seconds
        client.send(request("POST", "/v1/messages", JSON, body=message(stream=how == "events")))
        sending.wait(memory.look)
        assert sending.sent < size // 2, "somebody holds what the client has not read"
        if how == "counted":
            client.head()

            def take() -> bytes:
                memory.look()
                if not client.seen:
                    client.more()
                data, client.seen = client.seen, b""
                return data

            assert checksum(take, size) == expected(size)
        else:
            got = 0
            while not client.seen.endswith(b"\r\n0\r\n\r\n"):
                memory.look()
                client.seen = client.seen[-7:]
                got -= len(client.seen)
                assert client.more()
                got += len(client.seen)
            assert got > size
    memory.look()
    memory.hold(f"{how} answer")


@pytest.mark.parametrize("how", ["counted", "chunked"])
def test_a_slow_upload(line: tuple[dict[str, int], Upstream, Daemon], how: str) -> None:
    options, upstream, daemon = line
    size = SIZE if not options else 32 * MIB
    (worker,) = daemon.workers()
    sending = Stalled()
    memory = Memory(worker)
    framing = b"Content-Length: %d" % size if how == "counted" else b"Transfer-Encoding: chunked"

    def send(client: RawClient) -> None:
        # As much of the body as there may be comes with the head, before there is a connection to send it on to.
        first = BLOCK[: MIB // 4]
        client.send(request("POST", "/v1/files", framing) + (b"%x\r\n" % size if how == "chunked" else b"") + first)
        sending.sent = len(first)
        sending.send(client.sock, size)
        if how == "chunked":
            client.send(b"\r\n0\r\n\r\n")

    value: list[int] = []

    def slow(conn: socket.socket, rest: bytes) -> None:
        """Take the head of a request, then nothing until the sender has stalled, then all."""
        go.wait(PATIENCE)
        if how == "chunked":
            value.append(drained(conn))
        else:
            first = [rest] if rest else []
            value.append(checksum(lambda: first.pop() if first else conn.recv(MIB), size))
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    def drained(conn: socket.socket) -> int:
        tail = b""
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            data = conn.recv(MIB)
            assert data
            tail = (tail + data)[-7:]
        return expected(size)

    go = threading.Event()
    upstream.streams(slow)
    with RawClient(daemon.port, **options) as client:
        sender = threading.Thread(target=send, args=(client,))
        sender.start()
        sending.wait(memory.look)
        stalled_at = sending.sent
        go.set()  # whatever comes of it: the threads end
        # The kernel's own buffers hold what they like, 10 MiB have been seen; ours are what `memory` weighs.
        assert stalled_at < size * 3 // 4, "somebody holds what the upstream has not read"
        while sender.is_alive():
            memory.look()
            sender.join(0.02)
        assert client.reply().body == b"done"
    assert value == [expected(size)]
    memory.look()
    memory.hold(f"{how} upload")
