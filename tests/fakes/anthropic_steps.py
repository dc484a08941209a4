"""How an answer goes out: a list of steps, and the faults that change it."""

import asyncio
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import brotli
import zstandard

from tests.fakes.anthropic_http import Head, Headers, How
from tests.fakes.anthropic_model import Answer, Piece, reason
from tests.fakes.anthropic_requests import TIMEOUT

Cut = Literal["nothing", "before-head", "half-head", "head", "first-event", "mid-event", "mid-chunk", "last-event"]
Coding = Literal["", "gzip", "deflate", "br", "zstd"]


@dataclass(frozen=True, slots=True)
class Wire:
    """How an answer is put on the wire."""

    framing: Literal["auto", "length", "chunked", "close"] = "auto"
    compression: Coding = ""  # used if the request accepts it; flushed for every event
    chunk_size: int | None = None  # None: one chunk an event
    write_size: int | None = None  # so many bytes a write, across all boundaries
    trailers: Headers = ()
    interim: tuple[int, ...] = ()  # 1xx before the answer: 103
    keep_alive: bool = True


class Hold:
    """A place where an answer waits until the test lets it go on."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reached = threading.Event()
        self._go = asyncio.Event()

    def wait_reached(self, timeout: float = TIMEOUT) -> None:
        """Block until a request is being held here."""
        assert self._reached.wait(timeout), "no request came to the hold"

    def release(self) -> None:
        """Let the held request, and those that come later, go on."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._go.set)

    async def pause(self) -> None:
        """Be held."""
        self._reached.set()
        await self._go.wait()


# An answer on its way is a list of steps, and most faults are a change of that list.


@dataclass(frozen=True, slots=True)
class SendHead:
    """Send a head, or what stands in its place."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SendBody:
    """Send a piece of the body in its framing; of a broken chunk only `only` bytes of the framed form."""

    name: str
    payload: bytes
    pause: float = 0.0
    torn: bool = False


@dataclass(frozen=True, slots=True)
class SendEnd:
    """Send what ends the body: the last chunk and trailers, or nothing."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Do nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Held:
    """Do nothing until the test says so."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class Stall:
    """Do nothing, or only send pings, until the peer leaves."""

    ping_every: float | None = None


@dataclass(frozen=True, slots=True)
class End:
    """End the connection."""

    how: How


Step = SendHead | SendBody | SendEnd | Delay | Held | Stall | End
Steps = list[Step]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes otherwise with one request: what is answered, and how the answer is sent."""

    answer: Callable[[Answer, str], Answer] = lambda answer, request_id: answer
    steps: Callable[[Steps], Steps] = lambda steps: steps
    before_body: tuple[Step, ...] = ()  # done when the head is read, the body not
    answer_early: bool = False  # answered when the head is read, the body not
    wire: Wire | None = None


# From an answer to steps.


def steps_of(answer: Answer, head: Head, wire: Wire, coding: str) -> tuple[Steps, bool, bool]:
    """Return the steps of an answer, whether it is chunked, and whether its end is the connection's end."""
    bodyless = head.method == "HEAD" or answer.status in (204, 304)
    headers, pieces = _compressed(answer, coding) if coding else (answer.headers, answer.pieces)
    framing = wire.framing
    if framing == "auto":
        framing = "chunked" if answer.streamed else "length"
    closes = framing == "close" or not wire.keep_alive
    if closes:
        headers = Answer(0, headers).with_headers(((b"Connection", b"close"),)).headers
    if answer.status in (204, 304):
        pass
    elif framing == "chunked":
        headers = (*headers, (b"Transfer-Encoding", b"chunked"))
    elif framing == "length":
        headers = (*headers, (b"Content-Length", b"%d" % sum(len(piece.data) for piece in pieces)))
    if wire.trailers and framing == "chunked":
        headers = (*headers, (b"Trailer", b", ".join(name for name, _ in wire.trailers)))
    steps: Steps = [SendHead(_interim(status)) for status in wire.interim]
    steps.append(SendHead(response_head(answer.status, headers)))
    if bodyless:
        return steps, False, closes
    steps += [SendBody(piece.name, piece.data, piece.pause) for piece in pieces if piece.data]
    return [*steps, SendEnd()], framing == "chunked", closes


def coding_of(head: Head, wire: Wire) -> str:
    """Return the coding of an answer: the one that is wanted, if the client accepts it."""
    accepted = b",".join(head.values(b"accept-encoding")).decode("latin-1").lower()
    return wire.compression if wire.compression in [name.strip() for name in accepted.split(",")] else ""


def _compressed(answer: Answer, coding: str) -> tuple[Headers, Sequence[Piece]]:
    squeeze, flush, end = _squeezer(coding)
    pieces = [replace(piece, data=squeeze(piece.data) + flush()) for piece in answer.pieces]
    added = ((b"Content-Encoding", coding.encode()), (b"Vary", b"Accept-Encoding"))
    return (*answer.headers, *added), [*pieces, Piece(end(), "compression-end")]


def _squeezer(coding: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes], Callable[[], bytes]]:
    """Return what compresses, what flushes, and what ends."""
    if coding == "br":
        br = brotli.Compressor()
        return br.process, br.flush, br.finish
    if coding == "zstd":
        zstd = zstandard.ZstdCompressor().compressobj()
        return zstd.compress, lambda: zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK), zstd.flush
    squeeze = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    return squeeze.compress, lambda: squeeze.flush(zlib.Z_SYNC_FLUSH), squeeze.flush


def response_head(status: int, headers: Headers) -> bytes:
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {reason(status)}\r\n".encode() + lines + b"\r\n"


def _interim(status: int) -> bytes:
    return response_head(status, ((b"Link", b"</style.css>; rel=preload"),) if status == 103 else ())


def chunks_of(payload: bytes, chunk_size: int | None) -> Iterator[bytes]:
    size = chunk_size or len(payload) or 1
    for at in range(0, len(payload), size):
        chunk = payload[at : at + size]
        yield b"%x\r\n%b\r\n" % (len(chunk), chunk)


def last_chunk(trailers: Headers) -> bytes:
    return b"0\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in trailers) + b"\r\n"


# Changes of steps.


def first_pieces(pieces: Sequence[Piece], after: str) -> Sequence[Piece]:
    """Return the pieces up to the first of a name; none for "head"."""
    names = [piece.name for piece in pieces]
    return () if after == "head" else pieces[: names.index(after) + 1]


def _places(steps: Steps) -> list[str]:
    """Return the name of the place of every step: head, an event's name, end."""
    return [
        step.name if isinstance(step, SendBody) else "head" if isinstance(step, SendHead) else "end" for step in steps
    ]


def steps_through(steps: Steps, after: str) -> Steps:
    """Return the steps up to the head (interim ones before it), or to the first event of a name."""
    places = _places(steps)
    return steps[: places.count("head") if after == "head" else places.index(after) + 1]


def steps_until(steps: Steps, after: Cut) -> Steps:
    """Return the steps before a cut."""
    heads = [step for step in steps if isinstance(step, SendHead)]
    bodies = [step for step in steps if isinstance(step, SendBody)]
    whole, broken = (bodies[:1], bodies[1]) if len(bodies) > 1 else ([], bodies[0] if bodies else None)
    match after:
        case "half-head":
            return [*heads[:-1], SendHead(heads[-1].data[: len(heads[-1].data) // 2])]
        case "head":
            return [*heads]
        case "first-event":
            return [*heads, *bodies[:1]]
        case "mid-event" if broken:
            return [*heads, *whole, replace(broken, payload=broken.payload[: len(broken.payload) // 2])]
        case "mid-chunk" if broken:
            return [*heads, *whole, replace(broken, torn=True)]
        case "last-event":
            return [*heads, *bodies]
        case _:
            return []


def pausing(before: str, pause: Delay | Held) -> Fault:
    """Return the fault that pauses before a place in the answer."""

    def steps(usual: Steps) -> Steps:
        places = _places(usual)
        at = places.count("head") if before == "first-event" else places.index(before)
        return [*usual[:at], pause, *usual[at:]]

    return Fault(before_body=(pause,)) if before == "body-read" else Fault(steps=steps)
