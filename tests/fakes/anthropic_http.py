"""The wire of the fake Anthropic: one HTTP/1.1 connection, read with no leniency at all."""

import asyncio
import fcntl
import re
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, cast

Headers = tuple[tuple[bytes, bytes], ...]
How = Literal["close", "reset"]

HEAD_LIMIT: Final = 64 * 1024
BUFFER_LIMIT: Final = 256 * 1024

_REQUEST_LINE: Final = re.compile(rb"([A-Z]{3,10}) ([!-~]+) (HTTP/1\.1)")
_START: Final = re.compile(rb"[A-Z]{0,10}(?: .*)?", re.DOTALL)
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
MARK = re.compile(rb"\r\nx-claude-gatewayd-passed: [0-9a-f]{16}(?=\r\n\r\n\Z)")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_BARE_CR: Final = re.compile(rb"\r(?!\n)")

_HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te", b"upgrade")
)
_GATEWAY_ONLY: Final = (b"x-gateway-", b"x-litellm-")


class ViolationError(Exception):
    """The peer broke HTTP/1.1, or sent Anthropic what is not for it."""


class GoneError(Exception):
    """The peer went away."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request, byte for byte as it came."""

    raw: bytes
    method: str
    target: str
    version: str
    headers: Headers

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name]


def parse_head(raw: bytes) -> Head:
    """Parse a head that ends in an empty line, and refuse everything RFC 9112 lets a server refuse."""
    if _BARE_LF.search(raw) or _BARE_CR.search(raw):
        raise ViolationError("bare CR or LF in the head")
    first, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise ViolationError(f"not a request line: {first[:80]!r}")
    if not match[2].startswith(b"/"):
        raise ViolationError(f"not an origin-form target: {match[2][:80]!r}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ViolationError(f"not a header line: {line[:80]!r}")
        headers.append((name, value.strip(b" \t")))
    return Head(raw, match[1].decode(), match[2].decode(), match[3].decode(), tuple(headers))


def unmarked(head: Head) -> Head:
    """Return a head without the last line that a gateway gives to what stays on this machine.

    Anthropic itself never sees it: tests/scenarios/relay/test_loops.py.
    """
    raw = MARK.sub(b"", head.raw)
    return head if raw == head.raw else parse_head(raw)


def check_head(head: Head, *, port: int, direct: bool) -> list[str]:
    """List what a head says that Anthropic must never hear from a gateway, or if `direct` from a client."""
    found = []
    hosts = head.values(b"host")
    if len(hosts) != 1:
        found.append(f"{len(hosts)} Host headers")
    elif not hosts[0].endswith(b":%d" % port):
        found.append(f"Host {hosts[0]!r} is not this server's")
    lengths, codings = head.values(b"content-length"), head.values(b"transfer-encoding")
    if lengths and codings:
        found.append("both Content-Length and Transfer-Encoding")
    if len(lengths) > 1 or any(not value.isdigit() for value in lengths):
        found.append(f"Content-Length {lengths!r}")
    if codings and [value.lower() for value in codings] != [b"chunked"]:
        found.append(f"Transfer-Encoding {codings!r}")
    for name, value in head.headers:
        lower = name.lower()
        own_connection = direct and lower == b"connection" and value.lower() in (b"keep-alive", b"close")
        if lower in _HOP_BY_HOP and not own_connection:
            found.append(f"hop-by-hop header {name.decode()}")
        if lower.startswith(_GATEWAY_ONLY):
            found.append(f"header of the gateway {name.decode()}")
    return found


class Connection(asyncio.Protocol):
    """One accepted connection: an exact reader, a writer that waits for the kernel, and ways to break it."""

    def __init__(self, on_made: Callable[["Connection"], None], on_lost: Callable[["Connection"], None]) -> None:
        self.number = 0
        self.peer = ""
        self.idle = True
        self.peer_left_at: float | None = None
        self.trailers: Headers = ()
        self.task: asyncio.Task[None] | None = None
        self._on_made, self._on_lost = on_made, on_lost
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended_by_us = False
        self._lost = False
        self._transport: asyncio.Transport
        self._socket: socket.socket

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection into service."""
        self._transport = cast("asyncio.Transport", transport)
        self._socket = transport.get_extra_info("socket")
        self.peer = str(transport.get_extra_info("peername")[0])
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it not on every socket
        # A write is over when the kernel has it: a cut must come after the bytes before it, not instead.
        # (Not 0: with TLS asyncio would then hold the writer for ever.)
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._on_made(self)

    def data_received(self, data: bytes) -> None:
        """Keep what came, and stop reading when nobody wants it."""
        self._buffer += data
        if len(self._buffer) > BUFFER_LIMIT:
            self._transport.pause_reading()
        self._arrived.set()

    def eof_received(self) -> None:
        """Take the end of the peer's bytes as its leaving: nobody half-closes towards Anthropic."""
        self._peer_left()

    def connection_lost(self, exc: Exception | None) -> None:
        """End whatever is still being done for this connection."""
        self._peer_left()
        self._lost = True
        self._arrived.set()
        self._writable.set()
        self._on_lost(self)

    def pause_writing(self) -> None:
        """Hold the writer."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let the writer go on."""
        self._writable.set()

    def _peer_left(self) -> None:
        if not self._ended_by_us and self.peer_left_at is None:
            self.peer_left_at = time.monotonic()

    # Reading.

    async def first_byte(self) -> bool:
        """Wait for the first byte of a request; False when the connection ends before it."""
        while not self._buffer:
            if self._lost:
                return False
            await self._more()
        return True

    async def head(self) -> Head:
        """Read one head."""
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            # Looked at early: a head with bare LFs, or a body that nobody announced, never gets to its end.
            start = bytes(self._buffer[: end if end >= 0 else HEAD_LIMIT])
            if _BARE_LF.search(start) or not _START.fullmatch(start.split(b"\r\n", 1)[0]):
                raise ViolationError(f"not a head: {start[:80]!r}")
            if end >= 0:
                return parse_head(self._take(end + 4))
            if len(self._buffer) > HEAD_LIMIT:
                raise ViolationError("head too large")
            await self._more()

    async def body(self, head: Head, on_bytes: Callable[[bytes], None]) -> None:
        """Read the body that a head announces, and give it out as it comes."""
        if head.values(b"transfer-encoding"):
            await self._chunks(on_bytes)
            return
        lengths = head.values(b"content-length")
        await self._exactly(int(lengths[0]) if lengths else 0, on_bytes)

    async def _chunks(self, on_bytes: Callable[[bytes], None]) -> None:
        while True:
            line = await self._line()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", line):
                raise ViolationError(f"not a chunk size: {line[:80]!r}")
            size = int(line, 16)
            if size == 0:
                break
            await self._exactly(size, on_bytes)
            if await self._line():
                raise ViolationError("a chunk longer than its size")
        trailers = []
        while line := await self._line():
            name, colon, value = line.partition(b":")
            if not colon or not _TOKEN.fullmatch(name):
                raise ViolationError(f"not a trailer line: {line[:80]!r}")
            trailers.append((name, value.strip(b" \t")))
        self.trailers = tuple(trailers)

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise ViolationError("line too long")
            await self._more()
        line = self._take(end + 1)
        if not line.endswith(b"\r\n"):
            raise ViolationError(f"bare LF after {line[:80]!r}")
        return line[:-2]

    async def _exactly(self, count: int, on_bytes: Callable[[bytes], None]) -> None:
        while count:
            while not self._buffer:
                await self._more()
            part = self._take(min(count, len(self._buffer)))
            count -= len(part)
            on_bytes(part)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _more(self) -> None:
        if self._lost:
            raise GoneError
        self._arrived.clear()
        self._transport.resume_reading()
        await self._arrived.wait()

    # Writing and breaking.

    async def send(self, data: bytes) -> None:
        """Write, and wait until the kernel has it all."""
        if self._lost or self._transport.is_closing():
            raise GoneError
        self._transport.write(data)
        await self._writable.wait()
        if self._lost:
            raise GoneError

    async def cut(self, how: How) -> None:
        """End the connection, but not before the peer's kernel has what was sent."""
        # A reset takes back what the kernel still holds; Linux holds a small write while the one before is
        # unread (autocorking), and its TIOCOUTQ tells.
        for _ in range(200 if how == "reset" and not self._lost else 0):
            waiting = bytes(4)
            if sys.platform == "linux":
                waiting = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, waiting)
            if waiting == bytes(4):
                break
            await asyncio.sleep(0.001)
        self.end(how)

    def end(self, how: How = "close") -> None:
        """End the connection: in order (FIN), or with a reset (RST)."""
        if self._lost:
            return
        self._ended_by_us = True
        if how == "close":
            self._transport.close()
            return
        if self._socket.fileno() >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    @property
    def lost(self) -> bool:
        """Tell whether the connection is over."""
        return self._lost
