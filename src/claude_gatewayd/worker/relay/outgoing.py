"""A request to an upstream: the client's header lines, without those that are for the gateway."""

from dataclasses import dataclass
from typing import NamedTuple

from claude_gatewayd.http1 import head
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import HOP_BY_HOP, Lines, RequestHead
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.worker.relay import forwarding_loops

GATEWAY_KEY_HEADER = b"x-gateway-key"
KEY_HEADERS = (GATEWAY_KEY_HEADER, b"x-litellm-api-key")
PROJECT_HEADER = b"x-gateway-project"  # by which a client may name its project for the ledger: none does by itself
# Headers for the gateway itself: no upstream gets them.
FOR_THE_GATEWAY = frozenset((*KEY_HEADERS, PROJECT_HEADER))

# `expect` is among them: the gateway itself has answered 100 Continue.
_NOT_FORWARDED = HOP_BY_HOP | FOR_THE_GATEWAY | {b"expect", forwarding_loops.HEADER}
_NO_HEADERS: frozenset[bytes] = frozenset()
_NO_LINES: Lines = []


class OutgoingRequest(NamedTuple):
    """A request to an upstream. *body* is None if it is streamed from the client.

    *repeatable*: sending it twice does no harm, and costs nothing.
    """

    head: bytes
    body: Bytes | None
    no_response_body: bool
    repeatable: bool = False


@dataclass(slots=True)
class KeptLines:
    """The lines of a request that was sent on, before and behind that of its length: for others with the same lines.

    Only the body's length, and the first line, may be others, and the origin and what is dropped are the same.
    """

    around_length: tuple[bytes, bytes] | None = None


def outgoing_request(
    request: RequestHead,
    path: bytes,
    body: Bytes | None,
    origin: Origin,
    drop: frozenset[bytes] = _NO_HEADERS,
    replaced: Lines = _NO_LINES,
    kept: KeptLines | None = None,
) -> OutgoingRequest:
    """Return a client's request for *origin*: its header lines in their order, without those for the gateway.

    The Host is the upstream's. A body that has been read gets a Content-Length, even if it came in chunks. *drop* are
    further headers to leave out; the lines of *replaced* take the place of those with the same names.
    """
    if replaced or body is None or request.length != len(body) or request.is_http_10:
        kept = None
    if kept is not None and kept.around_length is not None:
        before, behind = kept.around_length
        parts = (request.method, origin.prefix, path, before, request.fields.line_of[b"content-length"], behind)
        written = b"%b %b%b HTTP/1.1\r\n%b%b%b\r\n\r\n" % parts
        return OutgoingRequest(written, body, request.method == b"HEAD", request.method in head.IDEMPOTENT_METHODS)
    changed = {b"host": b": " + origin.authority}
    if body is not None and (request.chunked or len(body) != (request.length or 0)):
        changed[b"transfer-encoding"] = b"Content-Length: %d" % len(body)
        changed[b"content-length"] = b": %d" % len(body)
    not_forwarded = _NOT_FORWARDED | drop if drop else _NOT_FORWARDED
    if replaced:
        not_forwarded |= {line.partition(b":")[0].lower() for line in replaced}
    lines = request.without(not_forwarded, changed) + replaced
    if request.is_http_10 and b"host" not in request.fields:
        lines.append(b"Host: " + origin.authority)
    mark = forwarding_loops.mark(request.fields, origin.host)
    if mark is not None:
        lines.append(mark)
    if kept is not None:
        kept.around_length = _around(lines, request.fields.line_of[b"content-length"])
    target = origin.prefix + path
    written = head.write_request(request.method, target, lines)
    return OutgoingRequest(written, body, request.method == b"HEAD", request.method in head.IDEMPOTENT_METHODS)


def _around(lines: Lines, line: bytes) -> tuple[bytes, bytes]:
    """Return what is before and behind one of *lines*."""
    at = lines.index(line)
    before, behind = lines[:at], lines[at + 1 :]
    return b"".join([one + b"\r\n" for one in before]), b"".join([b"\r\n" + one for one in behind])
