"""An upstream that reads bytes and sends bytes, and knows no more of HTTP than where a request ends."""

import socket
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from claude_gatewayd.http1 import framing
from tests.fakes.anthropic_http import MARK

Script = Callable[[socket.socket], None]  # what is done once a request is here


class Close(Exception):
    """A script ends the connection."""


def says(*pieces: bytes, close: bool = True) -> Script:
    """Return the script that sends these bytes."""

    def script(conn: socket.socket) -> None:
        for piece in pieces:
            conn.sendall(piece)
        if close:
            raise Close

    return script


class Upstream:
    """A port of this machine. Each request takes one script; *mss* and *receives* make it a slow line."""

    def __init__(self, *, mss: int = 0, receives: int = 0) -> None:
        self.requests: SimpleQueue[bytes] = SimpleQueue()
        self.scripts: SimpleQueue[Script] = SimpleQueue()
        self._readers: SimpleQueue[Callable[[socket.socket, bytes], None]] = SimpleQueue()
        self._open: set[socket.socket] = set()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if mss:
            self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        if receives:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def will(self, script: Script) -> None:
        """Answer the next request so."""
        self.scripts.put(script)

    def streams(self, read: Callable[[socket.socket, bytes], None]) -> None:
        """Leave the body of the next request to *read*, which also gets what has come of it with the head."""
        self._readers.put(read)

    def request(self) -> bytes:
        """Return the next request that came whole."""
        return self.requests.get(timeout=10)

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(conn)
            self._start(lambda conn=conn: self._serve(conn))  # type: ignore[misc]

    def _serve(self, conn: socket.socket) -> None:
        buffer = b""
        try:
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = conn.recv(1 << 16)
                    if not data:
                        return
                    buffer += data
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                if not self._readers.empty():
                    self._readers.get()(conn, buffer)
                    return
                body, buffer = self._body(conn, head.lower(), buffer)
                self.requests.put(MARK.sub(b"", head + b"\r\n\r\n") + body)
                self.scripts.get(timeout=10)(conn)
        except (OSError, Close, Empty):
            pass  # the other side went away: the test knows
        finally:
            self._open.discard(conn)
            conn.close()

    def _body(self, conn: socket.socket, head: bytes, buffer: bytes) -> tuple[bytes, bytes]:
        follower: framing.BodyReader = framing.Counted(0)
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                follower = framing.Counted(int(line.partition(b":")[2]))
            elif line == b"transfer-encoding: chunked":
                follower = framing.Chunked()
        raw = []
        while not follower.done:
            used, _ = follower.feed(buffer)
            raw.append(buffer[:used])
            buffer = buffer[used:]
            if not follower.done and not buffer and not (buffer := conn.recv(1 << 18)):
                raise ConnectionError
        return b"".join(raw), buffer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for conn in list(self._open):
            try:
                conn.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.scripts.put(lambda conn: None)
        for thread in self._threads:
            thread.join(5)
