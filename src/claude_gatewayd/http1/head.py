"""Heads of HTTP/1.1 messages: judged by llhttp and by RFC 9112, passed on line by line as they came.

A head is handed over whole, up to and with its empty line. llhttp says whether it is one; its lines are then cut
here, which costs less than being called back for each, and keeps their very bytes.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import lru_cache

import httptools

Header = tuple[bytes, bytes]
Lines = list[bytes]

MAX_HEAD = 64 * 1024
END = b"\r\n\r\n"

# RFC 9110 7.6.1; "proxy-connection" is an old invention that means the same.
HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization",
     b"te", b"upgrade"),
)  # fmt: skip

# Connection: content-length would take away what says where the body ends.
_NEVER_NAMED = frozenset((b"host", b"content-length", b"transfer-encoding", b"close", b"keep-alive"))
_NONE: frozenset[bytes] = frozenset()
_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"  # RFC 9110 5.6.2, in lower case
_NOTHING = object()  # what llhttp is to call back: it is asked for its verdict alone
_ONCE = (b"host", b"content-length", b"transfer-encoding", b"authorization", b"x-api-key")


class Malformed(Exception):
    """Say what is wrong with a message, and with which status it is refused."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.why = why
        self.status = status


@dataclass(slots=True)
class Head:
    """What heads of both kinds have in common.

    *lines* are the header lines as they came, and *names* their names in lower case, one for one; *fields* has, of a
    repeated name, the last value. *length* is None where the body is chunked, or runs until the connection closes.
    *named* are the headers that Connection names, which end here.
    """

    lines: Lines
    names: list[bytes]
    fields: dict[bytes, bytes]
    length: int | None
    chunked: bool
    keep_alive: bool
    named: frozenset[bytes]

    def without(self, drop: Container[bytes]) -> Lines:
        """Return the lines, in their order, whose names are not in *drop*, and that Connection does not name."""
        if self.named:
            return [
                line
                for name, line in zip(self.names, self.lines, strict=True)
                if name not in drop and name not in self.named
            ]
        return [line for name, line in zip(self.names, self.lines, strict=True) if name not in drop]


@dataclass(slots=True)
class RequestHead(Head):
    """A request's head."""

    method: bytes
    target: bytes
    is_http_10: bool


@dataclass(slots=True)
class ResponseHead(Head):
    """An answer's head."""

    status: int
    reason: bytes


def find_end(buffer: bytes) -> int:
    """Return the length of the head that *buffer* begins with, or 0 while it is not all there.

    Raises Malformed as soon as no more bytes can make it good: too large, or a line that ends in a bare LF.
    """
    at = buffer.find(END)
    if at < 0:
        if len(buffer) > MAX_HEAD:
            raise Malformed("the head is larger than 64 KiB", 431)
        if buffer.count(b"\n") != buffer.count(b"\r\n"):
            raise Malformed("a line of the head ends in a bare line feed")
        return 0
    if at + 4 > MAX_HEAD:
        raise Malformed("the head is larger than 64 KiB", 431)
    return at + 4


def parse_request(head: bytes) -> RequestHead:
    """Parse one whole request head. Raises Malformed for whatever two parsers might read in two ways."""
    first, lines = _lines(head)
    _judge(httptools.HttpRequestParser(_NOTHING), head)
    try:
        method, target, version = first.split(b" ")
    except ValueError:
        raise Malformed("the request line is not METHOD TARGET VERSION") from None
    is_http_10 = version == b"HTTP/1.0"
    if version != b"HTTP/1.1" and not is_http_10:
        raise Malformed("only HTTP/1.1 and HTTP/1.0 are spoken here", 505)
    names, fields = _fields(lines)
    if b"host" not in fields and not is_http_10:
        raise Malformed("the Host header is missing")
    length, chunked = _framing(fields)
    if chunked and is_http_10:
        raise Malformed("HTTP/1.0 has no Transfer-Encoding")
    connection, named = _connection(fields[b"connection"]) if b"connection" in fields else (_NONE, _NONE)
    keep = not is_http_10 and b"close" not in connection
    return RequestHead(lines, names, fields, length, chunked, keep, named, method, target, is_http_10)


def parse_response(head: bytes) -> ResponseHead:
    """Parse one whole response head. Raises Malformed likewise."""
    first, lines = _lines(head)
    _judge(httptools.HttpResponseParser(_NOTHING), head)
    version, _, rest = first.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Malformed("it does not begin with HTTP/1.1")
    names, fields = _fields(lines)
    length, chunked = _framing(fields)
    connection, named = _connection(fields[b"connection"]) if b"connection" in fields else (_NONE, _NONE)
    keep = b"close" not in connection if version == b"HTTP/1.1" else b"keep-alive" in connection
    return ResponseHead(lines, names, fields, length, chunked, keep, named, int(rest[:3]), rest[4:])


def write_request(method: bytes, target: bytes, lines: Lines) -> bytes:
    """Return the bytes of a request head."""
    return b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (method, target, b"\r\n".join(lines))


def write_response(status: int, reason: bytes, lines: Lines) -> bytes:
    """Return the bytes of a response head."""
    if not lines:
        return b"HTTP/1.1 %d %b\r\n\r\n" % (status, reason)
    return b"HTTP/1.1 %d %b\r\n%b\r\n\r\n" % (status, reason, b"\r\n".join(lines))


def _lines(head: bytes) -> tuple[bytes, Lines]:
    """Return the first line and the header lines. Nothing in them is a line break to anybody else."""
    first, *lines = head[:-4].split(b"\r\n")
    # llhttp has been lenient about each of these at some time; a head of ours has none of them.
    text = first + b"".join(lines)
    if text.find(b"\n") >= 0 or text.find(b"\r") >= 0 or text.find(b"\0") >= 0:  # three times as fast as "in"
        raise Malformed("the head has a bare CR, a bare LF or a NUL")
    return first, lines


def _judge(parser: "httptools.HttpRequestParser | httptools.HttpResponseParser", head: bytes) -> None:
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        raise Malformed("this is no tunnel: CONNECT and upgrades are refused") from None
    except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
        raise Malformed(f"not HTTP/1.1: {error}") from None


def _fields(lines: Lines) -> tuple[list[bytes], dict[bytes, bytes]]:
    parts = [line.partition(b":") for line in lines]
    names = [name.lower() for name, _, _ in parts]
    if b"".join(names).translate(None, _TOKEN):
        raise Malformed("a header's name is no token, or its line is folded")
    fields = dict(zip(names, [value.strip(b" \t") for _, _, value in parts], strict=True))
    if len(fields) != len(names):
        for once in _ONCE:
            if names.count(once) > 1:
                raise Malformed(f"{once.decode()} stands twice")
        if names.count(b"connection") > 1:  # a list may be split over several lines (RFC 9110 5.3)
            values = [part[2] for name, part in zip(names, parts, strict=True) if name == b"connection"]
            fields[b"connection"] = b",".join(values)
    return names, fields


def _framing(fields: Mapping[bytes, bytes]) -> tuple[int | None, bool]:
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise Malformed("both Content-Length and Transfer-Encoding")
        if coding.lower() != b"chunked":
            raise Malformed("a Transfer-Encoding other than chunked", 501)
        return None, True
    if length is None:
        return None, False
    if not length.isdigit() or len(length) > 18:
        raise Malformed("Content-Length is not a number")
    return int(length), False


@lru_cache(maxsize=64)
def _connection(value: bytes) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Return the tokens of a Connection header, and the headers among them."""
    tokens = frozenset([token.strip(b" \t") for token in value.lower().split(b",")])
    return tokens, tokens - _NEVER_NAMED
