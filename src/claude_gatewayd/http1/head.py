"""Heads of HTTP/1.1 messages: judged by llhttp and by RFC 9112, passed on as the very bytes that came.

A head is handed over whole, up to and with its empty line. llhttp says whether it is one; its lines are then kept as
they are, which costs less than being called back for each name and value, and nothing has to be put together again.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import httptools
import msgspec

Lines = list[bytes]  # header lines, without their ends

MAX_HEAD = 64 * 1024
END = b"\r\n\r\n"

# RFC 9110 7.6.1; "proxy-connection" is an old invention that means the same.
HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization",
     b"te", b"upgrade"),
)  # fmt: skip

# Connection: content-length would take away what says where the body ends.
_NEVER_NAMED = frozenset((b"", b"host", b"content-length", b"transfer-encoding", b"close", b"keep-alive"))
_NONE: frozenset[bytes] = frozenset()
_LONGEST_USUAL = 64  # bytes of a line that is remembered: the tokens of one of 64 KiB take 1.5 MB
_LENGTH_AT = len(b"content-length:")
_LF, _CR, _NUL = 0x0A, 0x0D, 0x00  # a search for one byte's number is three times as fast as for a string
_NOTHING_PUT: dict[bytes, bytes] = {}
_NOTHING = object()  # what llhttp is to call back: it is asked for its verdict alone
_ONCE = (b"host", b"content-length", b"transfer-encoding", b"authorization", b"x-api-key")

IDEMPOTENT_METHODS = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))  # RFC 9110 9.2.2, less TRACE


class Malformed(Exception):
    """Say what is wrong with a message, and with which status it is refused."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.why = why
        self.status = status


class Fields(Mapping[bytes, bytes]):
    """The header fields of a head, by their names in lower case. Of a repeated one the last value counts.

    The lines are found when one is asked for, and a value is cut from its line likewise: most never are.
    """

    __slots__ = ("_named", "_text", "line_of", "lines")

    lines: Lines
    line_of: dict[bytes, bytes]

    def __init__(self, text: bytes) -> None:
        """Take the lines of *text*, without the end of the last."""
        self._text = text
        self._named: list[tuple[bytes, bytes]] | None = None

    def __getattr__(self, name: str) -> Any:
        """Find the lines: nobody has asked for one before."""
        if name not in ("lines", "line_of"):
            raise AttributeError(name)
        self.split()
        return getattr(self, name)

    def split(self) -> "Fields":
        """Find the lines now."""
        text = self._text
        self.lines = lines = text.split(b"\r\n") if text else []
        self.line_of = {line.partition(b":")[0].lower(): line for line in lines}
        return self

    def get(self, name: bytes, default: bytes = b"") -> bytes:  # type: ignore[override]
        """Return a value without the blanks round it; *default* where there is none."""
        line = self.line_of.get(name)
        return default if line is None else line[len(name) + 1 :].strip(b" \t")

    def __contains__(self, name: object) -> bool:
        return name in self.line_of

    def __getitem__(self, name: bytes) -> bytes:
        return self.line_of[name][len(name) + 1 :].strip(b" \t")

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.line_of)

    def __len__(self) -> int:
        return len(self.line_of)

    def refuse_twice(self, names: Iterable[bytes]) -> None:
        """Raise Malformed where one of *names* stands more than once."""
        found = [name for name, _ in self._named_lines()]
        for once in names:
            if found.count(once) > 1:
                raise Malformed(f"{once.decode()} stands twice")

    def all_of(self, wanted: bytes) -> bytes:
        """Return the values of a list field, maybe split over several lines (RFC 9110 5.3); b"" where it is absent."""
        if len(self.line_of) == len(self.lines) or wanted not in self.line_of:
            return self.get(wanted)
        return b",".join([line[len(name) + 1 :] for name, line in self._named_lines() if name == wanted])

    def edited(self, drop: frozenset[bytes], put: Mapping[bytes, bytes]) -> Lines:
        """Return the lines in their order, less those in *drop*; those in *put* are replaced.

        What is put is a whole line, or from its colon on: then the name stays as it came.
        """
        named = self.line_of.items() if len(self.line_of) == len(self.lines) else self._named_lines()
        if not put:
            return [line for name, line in named if name not in drop]
        lines = []
        for name, line in named:
            if name in put:
                new = put[name]
                lines.append(line[: len(name)] + new if new.startswith(b":") else new)
            elif name not in drop:
                lines.append(line)
        return lines

    def all_but(self, drop: frozenset[bytes]) -> Lines:
        """Return the lines less those in *drop*, to be written in this order: in one piece, if none is."""
        if drop.isdisjoint(self.line_of):
            return [self._text] if self._text else []
        return self.edited(drop, _NOTHING_PUT)

    def _named_lines(self) -> list[tuple[bytes, bytes]]:
        if self._named is None:  # asked for several times where a name stands twice, as Set-Cookie may
            self._named = [(line.partition(b":")[0].lower(), line) for line in self.lines]
        return self._named


class Head(msgspec.Struct):
    """What heads of both kinds have in common. A Struct: two are made for each request.

    *length* is None where the body is chunked, or runs until the connection closes. *named* are the headers that
    Connection names, which end here.
    """

    fields: Fields
    length: int | None
    chunked: bool
    keep_alive: bool
    named: frozenset[bytes]

    @property
    def lines(self) -> Lines:
        """The header lines one by one, as they came."""
        return self.fields.lines

    def without(self, drop: frozenset[bytes], put: Mapping[bytes, bytes] = _NOTHING_PUT) -> Lines:
        """Return the lines less those in *drop* and those that Connection names; *put* replaces some."""
        return self.fields.edited(drop | self.named if self.named else drop, put)


class RequestHead(Head):
    """A request's head.

    *likeness* is the same object for heads of one connection that differ in their lengths alone (`repeated.py`).
    """

    method: bytes
    target: bytes
    is_http_10: bool
    expects_continue: bool = False
    likeness: object = None


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
    first, fields = _judged(httptools.HttpRequestParser(_NOTHING), head)
    _refuse_control(first)
    try:
        method, target, version = first.split(b" ")
    except ValueError:
        raise Malformed("the request line is not METHOD TARGET VERSION") from None
    is_http_10 = version == b"HTTP/1.0"
    if version != b"HTTP/1.1" and not is_http_10:
        raise Malformed("only HTTP/1.1 and HTTP/1.0 are spoken here", 505)
    if len(fields.line_of) != len(fields.lines):
        fields.refuse_twice(_ONCE)
    if b"host" not in fields.line_of and not is_http_10:
        raise Malformed("the Host header is missing")
    length, chunked = _framing(fields)
    if chunked and is_http_10:
        raise Malformed("HTTP/1.0 has no Transfer-Encoding")
    connection, named = _connection(fields)
    keep = not is_http_10 and b"close" not in connection
    expects = not is_http_10 and b"expect" in fields.line_of and fields[b"expect"].lower() == b"100-continue"
    return RequestHead(fields, length, chunked, keep, named, method, target, is_http_10, expects)


def parse_response(head: bytes) -> ResponseHead:
    """Parse one whole response head. Raises Malformed likewise."""
    first, fields = _judged(httptools.HttpResponseParser(_NOTHING), head)
    is_http_10, status, reason = _usual_status(first) if len(first) <= _LONGEST_USUAL else _status(first)
    if len(fields.line_of) != len(fields.lines):
        fields.refuse_twice(_ONCE)
    length, chunked = _framing(fields)
    connection, named = _connection(fields)
    keep = b"keep-alive" in connection if is_http_10 else b"close" not in connection
    return ResponseHead(fields, length, chunked, keep, named, status, reason)


def write_request(method: bytes, target: bytes, lines: Lines) -> bytes:
    """Return the bytes of a request head."""
    return b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (method, target, b"\r\n".join(lines))


def write_response(status: int, reason: bytes, lines: Lines) -> bytes:
    """Return the bytes of a response head."""
    if not lines:
        return b"HTTP/1.1 %d %b\r\n\r\n" % (status, reason)
    return b"HTTP/1.1 %d %b\r\n%b\r\n\r\n" % (status, reason, b"\r\n".join(lines))


def _judged(parser: "httptools.HttpRequestParser | httptools.HttpResponseParser", head: bytes) -> tuple[bytes, Fields]:
    """Return the first line and the fields of a head that llhttp accepts.

    Strict as it is set, it refuses bare CR and LF, NUL, folded lines, names that are no tokens, and a second
    Content-Length or one beside Transfer-Encoding. The tests hold it to that.
    """
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        raise Malformed("this is no tunnel: CONNECT and upgrades are refused") from None
    except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
        raise Malformed(f"not HTTP/1.1: {error}") from None
    first, _, rest = head.partition(b"\r\n")
    return first, Fields(rest[:-4]).split()


def _refuse_control(first: bytes) -> None:
    """Raise Malformed for what llhttp lets pass before a method, or in a reason."""
    if _LF in first or _CR in first or _NUL in first:
        raise Malformed("the first line has a bare CR, a bare LF or a NUL")


def _status(first: bytes) -> tuple[bool, int, bytes]:
    """Return of an answer's first line whether it is HTTP/1.0's, the status and the reason. Raises Malformed."""
    _refuse_control(first)
    version, _, rest = first.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Malformed("it does not begin with HTTP/1.1")
    return version == b"HTTP/1.0", int(rest[:3]), rest[4:]


def _framing(fields: Fields) -> tuple[int | None, bool]:
    line_of = fields.line_of
    if b"transfer-encoding" in line_of:
        if b"content-length" in line_of:
            raise Malformed("both Content-Length and Transfer-Encoding")
        if fields[b"transfer-encoding"].lower() != b"chunked":
            raise Malformed("a Transfer-Encoding other than chunked", 501)
        return None, True
    if b"content-length" not in line_of:
        return None, False
    length = line_of[b"content-length"][_LENGTH_AT:].strip(b" \t")
    if not length.isdigit() or len(length) > 18:
        raise Malformed("Content-Length is not a number")
    return int(length), False


def _connection(fields: Fields) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Return the tokens of the Connection header, and the headers among them."""
    if b"connection" not in fields.line_of:
        return _NONE, _NONE
    value = fields.all_of(b"connection")
    return _usual_tokens(value) if len(value) <= _LONGEST_USUAL else _tokens(value)


def _tokens(value: bytes) -> tuple[frozenset[bytes], frozenset[bytes]]:
    tokens = frozenset([token.strip(b" \t") for token in value.lower().split(b",")])
    return tokens, tokens - _NEVER_NAMED


_usual_tokens = lru_cache(maxsize=64)(_tokens)
_usual_status = lru_cache(maxsize=64)(_status)
