"""A request to an upstream: the client's header lines, without those that are for the gateway."""

from dataclasses import dataclass

import msgspec

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


class OutgoingRequest(msgspec.Struct, frozen=True):
    """A request to an upstream. *body* is None if it is streamed from the client.

    *repeatable*: sending it twice does no harm, and costs nothing.
    """

    head: bytes
    body: Bytes | None
    no_response_body: bool
    repeatable: bool = False


@dataclass(slots=True)
class KeptLines:
    """The lines of a request that was sent on, before and behind its length: for others that are like it.

    Only the body's length may be another; the origin and what is dropped are the same.
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
    length = request.length
    if replaced or body is None or length is None or length != len(body) or request.likeness is None:
        kept = None
    elif kept is not None and kept.around_length is not None:
        before, behind = kept.around_length
        written = b"%b%d%b" % (before, length, behind)
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
    target = origin.prefix + path
    written = head.write_request(request.method, target, lines)
    if kept is not None:
        kept.around_length = _around(written, request.fields.line_of[b"content-length"], request.length or 0)
    return OutgoingRequest(written, body, request.method == b"HEAD", request.method in head.IDEMPOTENT_METHODS)


def _around(written: bytes, line: bytes, length: int) -> tuple[bytes, bytes]:
    """Return what is before and behind the length, with which *line* ends."""
    at = written.index(b"\r\n" + line + b"\r\n") + 2 + len(line)
    return written[: at - len(b"%d" % length)], written[at:]
