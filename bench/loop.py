"""All that the worker's Python does for one request, in a loop and without a socket: `python -m bench.loop`.

The whole gateway between a client and an upstream that are not there. It is the least that a request can cost, and it
hardly depends on what else the machine does: so a change of a microsecond can be seen.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import uvloop

from bench import client
from bench.steps import ANSWER, ANSWER_HEAD
from claude_gatewayd.config.loading import load
from claude_gatewayd.http1 import framing
from claude_gatewayd.http1.server.connection import Limits, ServerConnection
from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.http1.upstream.connection import UpstreamConnection
from claude_gatewayd.worker import assembly, inputs
from claude_gatewayd.worker.gateway.introduction import Remembered

_REQUESTS, _WARM_UP = 6000, 500
_KIB = 2
_START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_01BENCH","type":"message","role":'
    b'"assistant","content":[],"model":"claude-sonnet-4-5-20250929","stop_reason":null,"stop_sequence":null,"usage":'
    b'{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":'
    b'"standard"}}}\n\n'
)
_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":'
    b'"Hello from the upstream."}}\n\n'
)
_END = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":'
    b'{"output_tokens":8}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
)


class Microseconds(NamedTuple):
    """What a request takes: until it is sent, from the answer's bytes until the client has them, and all the rest."""

    until_sent: float
    until_answered: float
    rest: float


class _Transport:
    """A socket that is not there. *written_at* is when something was first written since it was 0."""

    def __init__(self) -> None:
        self.written_at = 0.0

    def write(self, data: object) -> None:  # noqa: ARG002 - it is a transport's
        self.written_at = self.written_at or time.perf_counter()

    def writelines(self, data: object) -> None:
        self.write(data)

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else None

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class _Ends:
    """The two ends of a gateway: a client's connection, and one to the upstream."""

    def __init__(self, connection: ServerConnection, upstream: UpstreamConnection) -> None:
        self._connection, self._upstream = connection, upstream
        self._client, self._origin = _Transport(), _Transport()
        connection.connection_made(cast("asyncio.Transport", self._client))
        upstream.connection_made(cast("asyncio.Transport", self._origin))

    async def begin(self, request: bytes, answer: Sequence[bytes]) -> None:
        """Have a first request answered: a task connects for it."""
        await _settle()
        self._connection.data_received(request)
        await _settle()
        for piece in answer:
            self._upstream.data_received(piece)
            await _settle()

    def ask(self, request: bytes, answer: Sequence[bytes]) -> Microseconds:
        """Have one request answered by some pieces."""
        client, origin = self._client, self._origin
        client.written_at = origin.written_at = 0.0
        began = time.perf_counter()
        self._connection.data_received(request)
        comes = time.perf_counter()
        for piece in answer:
            self._upstream.data_received(piece)
        ended = time.perf_counter()
        if not origin.written_at or client.written_at <= comes:
            raise SystemExit("cannot measure: a request did not take the straight path")
        sent, answered = origin.written_at - began, client.written_at - comes
        return Microseconds(1e6 * sent, 1e6 * answered, 1e6 * (ended - began - sent - answered))


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def _ends(environ: Mapping[str, str]) -> _Ends:
    """Assemble a gateway, and put it between two ends."""
    upstream = UpstreamConnection()

    async def connect() -> UpstreamConnection:
        return upstream

    collected = inputs.collect(load(environ), environ)._replace(anthropic=connect)
    gateway = assembly.assemble(collected, lambda: None, succeeds=False).gateway
    path, remembered = gateway.straight_path(), Remembered()
    connection = ServerConnection(
        lambda exchange: gateway.handle(exchange, remembered),
        Connections(gateway.refusal),
        Limits(),
        lambda exchange: path.begin(exchange, remembered),
    )
    return _Ends(connection, upstream)


async def main(environ: Mapping[str, str]) -> None:
    """Measure, and print a table."""
    ends = _ends(environ)
    stream_head = ANSWER_HEAD.replace(b"content-length: %d" % len(ANSWER), b"transfer-encoding: chunked")
    stream_head = stream_head.replace(b"application/json", b"text/event-stream; charset=utf-8")
    first, delta, last = (framing.chunk(event) for event in (_START, _DELTA, _END))
    kinds = (
        ("a small answer", client.body(_KIB), [ANSWER_HEAD + ANSWER]),
        ("a stream of four events", client.body(_KIB, deltas=1), [stream_head + first, delta, last + b"0\r\n\r\n"]),
    )
    print(f"{'microseconds, the quicker quarter of the requests':<52}{'sent':>8}{'answered':>10}{'rest':>8}")
    for name, body, answer in kinds:
        request = client.request(47000, body, {})
        await ends.begin(request, answer)
        found = [ends.ask(request, answer) for _ in range(_WARM_UP + _REQUESTS)][_WARM_UP:]
        sent, answered, rest = (statistics.quantiles(column, n=4)[0] for column in zip(*found, strict=True))
        print(f"{name:<52}{sent:>8.1f}{answered:>10.1f}{rest:>8.1f}")


def _environ(home: Path) -> dict[str, str]:
    """Return the environment of a gateway with a ledger off, and nothing of this machine's."""
    config = home / ".config/claude-gateway/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[anthropic]\nbase_url = "http://127.0.0.1:1"\n[ledger]\nenabled = false\n')
    return {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PATH": "/usr/bin:/bin"}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        uvloop.run(main(_environ(Path(directory))))
