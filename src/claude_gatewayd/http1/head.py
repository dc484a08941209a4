"""Heads of HTTP/1.1 messages: parsed by llhttp, judged by RFC 9112, written again as they came.

A head is handed over whole, up to and with its empty line, so that the raw bytes can be judged too.
"""

from dataclasses import dataclass, field

import httptools

Headers = list[tuple[bytes, bytes]]

MAX_HEAD = 64 * 1024
END = b"\r\n\r\n"

# RFC 9110 7.6.1 and RFC 9112; "proxy-connection" is an old invention that means the same.
HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization",
     b"te", b"upgrade"),
)  # fmt: skip
# Connection: content-length would take away what says where the body ends.
_NEVER_DROPPED = frozenset((b"host", b"content-length", b"transfer-encoding"))


class Malformed(Exception):
    """Say what is wrong with a message, and with which status it is refused."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.why = why
        self.status = status


@dataclass(slots=True)
class RequestHead:
    """A request's head. *fields* has lower-case names and, of repeated ones, the last; *headers* is what came."""

    method: bytes
    target: bytes
    headers: Headers
    fields: dict[bytes, bytes]
    is_http_10: bool
    length: int | None
    chunked: bool
    keep_alive: bool


@dataclass(slots=True)
class ResponseHead:
    """An answer's head. *length* is None where the body is chunked or runs until the connection closes."""

    status: int
    reason: bytes
    headers: Headers
    fields: dict[bytes, bytes]
    length: int | None
    chunked: bool
    keep_alive: bool


@dataclass(slots=True)
class _Collected:
    """What llhttp tells while it parses."""

    headers: Headers = field(default_factory=list)
    target: bytes = b""
    reason: bytes = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))


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
    got = _Collected()
    parser = httptools.HttpRequestParser(got)
    _parse(parser, head)
    method: bytes = parser.get_method()
    version: str = parser.get_http_version()
    if version not in ("1.1", "1.0"):
        raise Malformed(f"HTTP/{version} is not spoken here", 505)
    if method == b"CONNECT" or parser.should_upgrade():
        raise Malformed("this is no tunnel: CONNECT and upgrades are refused")
    fields = _fields(got.headers)
    if b"host" not in fields and version == "1.1":
        raise Malformed("the Host header is missing")
    length, chunked = _framing(fields)
    if chunked and version == "1.0":
        raise Malformed("HTTP/1.0 has no Transfer-Encoding")
    keep = version == "1.1" and b"close" not in _tokens(fields.get(b"connection", b""))
    return RequestHead(method, got.target, got.headers, fields, version == "1.0", length, chunked, keep)


def parse_response(head: bytes) -> ResponseHead:
    """Parse one whole response head. Raises Malformed likewise."""
    got = _Collected()
    parser = httptools.HttpResponseParser(got)
    _parse(parser, head)
    fields = _fields(got.headers)
    length, chunked = _framing(fields)
    connection = _tokens(fields.get(b"connection", b""))
    keep = b"close" not in connection
    if parser.get_http_version() != "1.1":
        keep = b"keep-alive" in connection
    return ResponseHead(parser.get_status_code(), got.reason, got.headers, fields, length, chunked, keep)


def end_to_end(headers: Headers, fields: dict[bytes, bytes], drop: frozenset[bytes]) -> Headers:
    """Return *headers* without those in *drop*, which holds the hop-by-hop ones, and those that Connection names."""
    if b"connection" in fields:
        drop = drop | (_tokens(fields[b"connection"]) - _NEVER_DROPPED)
    return [pair for pair in headers if pair[0].lower() not in drop]


def write_request(method: bytes, target: bytes, headers: Headers) -> bytes:
    """Return the bytes of a request head."""
    return b"%b %b HTTP/1.1\r\n" % (method, target) + write_fields(headers)


def write_response(status: int, reason: bytes, headers: Headers) -> bytes:
    """Return the bytes of a response head."""
    return b"HTTP/1.1 %d %b\r\n" % (status, reason) + write_fields(headers)


def write_fields(headers: Headers) -> bytes:
    """Return the bytes of header or trailer lines, with the empty line that ends them."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers]) + b"\r\n"


def _parse(parser: "httptools.HttpRequestParser | httptools.HttpResponseParser", head: bytes) -> None:
    # llhttp has been lenient about each of these at some time; a head of ours has none of them.
    lines = head.count(b"\r\n")
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise Malformed("the head has a bare CR, a bare LF or a NUL")
    if b"\r\n " in head or b"\r\n\t" in head:
        raise Malformed("a header line is folded")
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        raise Malformed("this is no tunnel: CONNECT and upgrades are refused") from None
    except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
        raise Malformed(f"not HTTP/1.1: {error}") from None


def _fields(headers: Headers) -> dict[bytes, bytes]:
    fields = {name.lower(): value for name, value in headers}
    if len(fields) != len(headers):
        _join_repeated(headers, fields)
    return fields


def _join_repeated(headers: Headers, fields: dict[bytes, bytes]) -> None:
    """Refuse what must stand once, and make lists of what may be split over several lines (RFC 9110 5.3)."""
    for name in (b"host", b"content-length", b"transfer-encoding", b"authorization", b"x-api-key"):
        if sum(1 for other, _ in headers if other.lower() == name) > 1:
            raise Malformed(f"{name.decode()} stands twice")
    if b"connection" in fields:
        fields[b"connection"] = b",".join(value for name, value in headers if name.lower() == b"connection")


def _framing(fields: dict[bytes, bytes]) -> tuple[int | None, bool]:
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise Malformed("both Content-Length and Transfer-Encoding")
        if coding.strip().lower() != b"chunked":
            raise Malformed("a Transfer-Encoding other than chunked", 501)
        return None, True
    if length is None:
        return None, False
    length = length.strip()
    if not length.isdigit() or len(length) > 18:
        raise Malformed("Content-Length is not a number")
    return int(length), False


def _tokens(value: bytes) -> frozenset[bytes]:
    return frozenset(token.strip().lower() for token in value.split(b",")) if value else frozenset()
