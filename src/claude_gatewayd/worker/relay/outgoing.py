"""A request as it goes to an upstream: its lines as they came, less those that end at a gateway."""

from typing import NamedTuple

from claude_gatewayd.http1 import head
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import HOP_BY_HOP, Lines, RequestHead
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.worker.relay import forwarding_loops

GATEWAY_KEY_HEADER = b"x-gateway-key"
# Headers that are for a gateway. They go to no upstream.
FOR_THE_GATEWAY = frozenset((GATEWAY_KEY_HEADER, b"x-litellm-api-key"))

# The gateway itself has said 100 Continue.
_ENDS_HERE = HOP_BY_HOP | FOR_THE_GATEWAY | {b"expect", forwarding_loops.HEADER}
_NO_HEADERS: frozenset[bytes] = frozenset()
_NO_LINES: Lines = []


class OutgoingRequest(NamedTuple):
    """A request as it goes upstream. *body* is None where it streams from the client as it comes.

    *repeatable*: to do it twice does no harm, and costs nothing.
    """

    head: bytes
    body: Bytes | None
    no_response_body: bool
    repeatable: bool = False


def outgoing_request(
    request: RequestHead,
    path: bytes,
    body: Bytes | None,
    origin: Origin,
    drop: frozenset[bytes] = _NO_HEADERS,
    replaced: Lines = _NO_LINES,
) -> OutgoingRequest:
    """Write a request for *origin*: its header lines in their order as they came, less those that end at a gateway.

    The Host is the upstream's, in the place of the client's. A held body has a Content-Length, whatever it came with.
    *drop* are headers that go no further either; the lines of *replaced* stand in for those of the same names.
    """
    put = {b"host": b": " + origin.authority}
    if body is not None and (request.chunked or len(body) != (request.length or 0)):
        put[b"transfer-encoding"] = b"Content-Length: %d" % len(body)
        put[b"content-length"] = b": %d" % len(body)
    ends_here = _ENDS_HERE | drop if drop else _ENDS_HERE
    if replaced:
        ends_here |= {line.partition(b":")[0].lower() for line in replaced}
    lines = request.without(ends_here, put) + replaced
    if request.is_http_10 and b"host" not in request.fields:
        lines.append(b"Host: " + origin.authority)
    mark = forwarding_loops.mark(request.fields, origin.host)
    if mark is not None:
        lines.append(mark)
    target = origin.prefix + path
    written = head.write_request(request.method, target, lines)
    return OutgoingRequest(written, body, request.method == b"HEAD", request.method in head.IDEMPOTENT_METHODS)
