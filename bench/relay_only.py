"""Our relay and nothing above it: HTTP/1.1 on both sides, the pool, and the sinks. No guard, no lane, no record.

`python relay_only.py PORT UPSTREAM_PORT`
"""

import asyncio
import socket
import sys
from functools import partial

import uvloop

from claude_gatewayd.http1.flow import Budget
from claude_gatewayd.http1.head import Malformed
from claude_gatewayd.http1.server.accept import Acceptor
from claude_gatewayd.http1.server.connection import Limits, ServerConnection
from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.http1.upstream.connection import UpstreamConnection
from claude_gatewayd.http1.upstream.pool import Pool
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.worker.metering.meter import Meter
from claude_gatewayd.worker.relay.outgoing import KeptLines, outgoing_request
from claude_gatewayd.worker.relay.relay import Relay

_LARGEST = 32 * 1024 * 1024
_SECONDS = 600.0


async def serve(port: int, upstream_port: int) -> None:
    """Serve for ever."""
    loop = asyncio.get_running_loop()

    async def connect() -> UpstreamConnection:
        _, connection = await loop.create_connection(UpstreamConnection, "127.0.0.1", upstream_port)
        return connection

    relay, budget = Relay(Pool(connect)), Budget(_LARGEST)
    origin = Origin.of(f"http://127.0.0.1:{upstream_port}")

    async def handle(kept: KeptLines, exchange: Exchange) -> None:
        request = exchange.head
        body = await exchange.hold(_LARGEST, budget)
        outgoing = outgoing_request(request, request.target, body, origin, kept=kept)
        answer = await relay.ask(exchange, outgoing, seconds=_SECONDS, fresh=False)
        await answer.pass_on(exchange, [], meter=Meter(), silence=_SECONDS, watched=False)

    connections = Connections(_refusal)
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    acceptor = Acceptor(
        listener, lambda: ServerConnection(partial(handle, KeptLines()), connections, Limits()), lambda: True
    )
    acceptor.start()
    await loop.create_future()


def _refusal(problem: Malformed) -> bytes:
    return b"HTTP/1.1 %d Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % problem.status


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
