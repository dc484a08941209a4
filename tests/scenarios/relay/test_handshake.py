"""What goes wrong in a TLS handshake passes, and is tried again: all but a certificate that is not trusted."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.scenarios.relay.raw import ask, messages
from tests.support.daemon import Daemon

CONFIG = "[router]\nnum_retries = 2\nretry_after = 0\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
PASSING = {
    "plain HTTP": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nThis port speaks HTTP",
    "internal error": b"\x15\x03\x03\x00\x02\x02\x50",
    "handshake failure": b"\x15\x03\x03\x00\x02\x02\x28",
    "unrecognized name": b"\x15\x03\x03\x00\x02\x02\x70",
    "nothing": b"",
}


class Door:
    """An upstream that speaks TLS, but for the first connections: to those it says *words* and goes."""

    def __init__(self, context: ssl.SSLContext, words: bytes, bad: int) -> None:
        self.connections = 0
        self._context, self._words, self._bad = context, words, bad
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            conn.settimeout(5)
            try:
                self._serve(conn)
            except OSError:
                pass  # who does not trust us goes

    def _serve(self, conn: socket.socket) -> None:
        if self.connections <= self._bad:
            with conn:
                conn.recv(4096)  # its hello
                conn.sendall(self._words)
            return
        with self._context.wrap_socket(conn, server_side=True) as tls:
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += tls.recv(65536)
            tls.sendall(OK)
            tls.recv(65536)


@pytest.fixture
def authority() -> trustme.CA:
    """Return who signs."""
    return trustme.CA()


@pytest.fixture
def doors(authority: trustme.CA) -> Iterator[list[Door]]:
    """Return the doors of a test, which are closed after it."""
    opened: list[Door] = []
    yield opened
    for door in opened:
        door.close()


def context_of(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize("what", PASSING)
def test_it_passes(tmp_path: Path, authority: trustme.CA, doors: list[Door], what: str) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    door = Door(context_of(authority), PASSING[what], bad=2)
    doors.append(door)
    config = f'{CONFIG}[anthropic]\nca_file = "{tmp_path / "ca.pem"}"\n'
    with Daemon(upstream=door.url, config=config) as daemon:
        reply = ask(daemon.port, messages("hi"))
        assert (reply.status, door.connections) == (200, 3)
