"""A request as it goes upstream; and through a whole gateway in memory, what framing may do to a body."""

import asyncio
import socket
from functools import partial
from pathlib import Path

import pytest

from claude_gatewayd.aws.profiles.source import KeySource
from claude_gatewayd.config.model import Anthropic, Bedrock, Config, Listen, Router
from claude_gatewayd.http1.repeated import RepeatedHead
from claude_gatewayd.http1.server.connection import Limits, ServerConnection
from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.http1.upstream.connection import UpstreamConnection
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.worker.assembly import assemble
from claude_gatewayd.worker.gateway.introduction import Remembered
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials
from claude_gatewayd.worker.inputs import BedrockAccess, WorkerInputs
from claude_gatewayd.worker.relay.outgoing import KeptLines, outgoing_request
from tests.fakes.transport import Wire, settle

ORIGIN = Origin.of("http://upstream.test:8080/base")
HOST = b"Host: upstream.test:8080"


def written(*lines: bytes, body: bytes | None, first: bytes = b"POST /x HTTP/1.1") -> list[bytes]:
    """Return the lines of what goes up for a request."""
    request = RepeatedHead().parse(b"\r\n".join([first, *lines]) + b"\r\n\r\n")
    way = outgoing_request(request, request.target, body, ORIGIN)
    kept = KeptLines()
    for _ in range(2):  # what is kept of the first is what the second is made of
        assert outgoing_request(request, request.target, body, ORIGIN, kept=kept) == way
    assert way.body == body
    assert way.head.endswith(b"\r\n\r\n")
    return way.head[:-4].split(b"\r\n")


@pytest.mark.parametrize(
    ("lines", "body", "up"),
    [
        ([b"Host: a"], b"", [HOST]),
        ([b"X: 1", b"hOST:a", b"Y:2"], b"", [b"X: 1", b"hOST: upstream.test:8080", b"Y:2"]),
        ([b"Host: a", b"content-length:3"], b"abc", [HOST, b"content-length:3"]),
        ([b"Host: a", b"content-LENGTH: 3", b"X: 1"], b"abcd", [HOST, b"content-LENGTH: 4", b"X: 1"]),
        ([b"Host: a", b"Content-Length: 3"], b"", [HOST, b"Content-Length: 0"]),
        ([b"Host: a", b"Content-Length: 3"], None, [HOST, b"Content-Length: 3"]),
        ([b"Host: a", b"Transfer-Encoding: chunked"], b"abc", [HOST, b"Content-Length: 3"]),
        ([b"Host: a", b"Transfer-Encoding: chunked"], b"", [HOST, b"Content-Length: 0"]),
        ([b"Host: a", b"Transfer-Encoding: chunked"], None, [HOST, b"Transfer-Encoding: chunked"]),
        ([b"Host: a", b"Expect: 100-continue", b"TE: trailers", b"Connection: X", b"X: 1"], b"", [HOST]),
        ([b"Host: a", b"x-gateway-key: k", b"X-LiteLLM-Api-Key: k"], b"", [HOST]),
        ([b"Host: a", b"Authorization: t", b"x-api-key: k"], b"", [HOST, b"Authorization: t", b"x-api-key: k"]),
    ],
)  # fmt: skip
def test_lines(lines: list[bytes], body: bytes | None, up: list[bytes]) -> None:
    assert written(*lines, body=body) == [b"POST /base/x HTTP/1.1", *up]


def test_http_10_becomes_11() -> None:
    assert written(b"X: 1", body=b"", first=b"GET / HTTP/1.0") == [
        b"GET /base/ HTTP/1.1",
        b"X: 1",
        HOST,
    ]


def test_kept_lines_are_for_any_length() -> None:
    kept, heads = KeptLines(), RepeatedHead()

    def way(body: bytes, length: bytes, kept: KeptLines | None) -> bytes:
        lines = [b"POST /x HTTP/1.1", b"Host: a", b"x-gateway-key: k", b"content-length: " + length, b"X: 1", b"", b""]
        request = heads.parse(b"\r\n".join(lines))
        return outgoing_request(request, request.target, body, ORIGIN, kept=kept).head

    first = b"POST /base/x HTTP/1.1\r\n" + HOST + b"\r\ncontent-length: "
    assert way(b"abc", b"3", kept) == first + b"3\r\nX: 1\r\n\r\n"
    assert kept.around_length == (first, b"\r\nX: 1\r\n\r\n")
    for body, length in ((b"abcd", b"4"), (b"a" * 1000, b"1000"), (b"", b"0"), (b"an alias is longer", b"3")):
        assert way(body, length, kept) == way(body, length, None)
    assert kept.around_length == (first, b"\r\nX: 1\r\n\r\n")


class Whole:
    """A gateway between two ends in memory."""

    def __init__(self) -> None:
        self.ups: list[Wire] = []
        settings = Config(
            Listen(max_body=1000),
            Anthropic(base_url="http://upstream.test:8080/base"),
            Router(num_retries=0),
            aliases={"old": "new"},
            bedrock=Bedrock(runtime_endpoint="http://127.0.0.1:9", control_endpoint="http://127.0.0.1:9"),
        )
        nowhere = Path("/dev/null/nowhere")  # where not even root can make a directory
        with socket.socket() as loopback:
            inputs = WorkerInputs(
                config=settings,
                environ={"HOME": "/nonexistent"},
                gateway_key="cgw-key",
                known_credentials=KnownCredentials(nowhere / "proven.json", "key"),
                anthropic=self._connect,
                bedrock=BedrockAccess(False, KeySource("none"), Egress({})),
                loopback=loopback,
            )
            self.gateway = assemble(inputs, lambda: None, succeeds=False).gateway
        handle = partial(self.gateway.handle, remembered=Remembered())
        self.client = Wire(ServerConnection(handle, Connections(self.gateway.refusal), Limits()))

    async def _connect(self) -> UpstreamConnection:
        connection = UpstreamConnection()
        self.ups.append(Wire(connection))
        return connection

    async def heard(self, *said: bytes) -> bytes:
        """Say something as a client; return what the upstream hears."""
        await self.client.say(said)
        await settle()
        return self.ups[-1].heard if self.ups else b""

    async def end(self) -> None:
        await self.client.vanish()
        for up in self.ups:
            await up.vanish()


def test_interim_answers_wait_for_a_client_that_does_not_read() -> None:
    """And the connection that they held up is good for the answer, and for the next request."""

    async def talk() -> None:
        whole = Whole()
        await whole.heard(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nx-api-key: k\r\n\r\n")
        up = whole.ups[0]
        whole.client.slow = True
        whole.client._high = 16 * 1024
        await up.say([b"HTTP/1.1 103 Early Hints\r\nLink: %b\r\n\r\n" % (b"x" * 6000) * 3])
        assert not up.is_reading()
        await up.say([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])
        assert whole.client.unsent.count(b"103 Early") == 3
        whole.client.read_on()
        whole.client.slow = False
        await settle()
        assert whole.client.heard.endswith(b"\r\n\r\nok")
        assert whole.client.heard.count(b"HTTP/1.1 ") == 4
        assert up.is_reading()
        await whole.client.say([b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nx-api-key: k\r\n\r\n"])
        await up.say([b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"])
        assert whole.client.heard.endswith(b"\r\n\r\nyes")
        await whole.end()

    asyncio.run(talk())


def test_the_end_of_an_answer_that_is_too_much_for_its_client_does_not_hold_up_the_next() -> None:
    async def talk() -> None:
        whole = Whole()
        asked = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nx-api-key: k\r\n\r\n"
        await whole.heard(asked)
        up = whole.ups[0]
        whole.client.slow = True
        await up.say([b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000, b"x" * 99000])
        assert up.is_reading()  # in the pool: it would not even notice that it is closed
        await whole.end()

    asyncio.run(talk())


HEAD = b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nx-api-key: k\r\n"
CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize("place", [0, len(CHUNKS), 5, len(CHUNKS) - 1])
def test_a_chunked_upload_arrives_whole_however_it_comes(place: int) -> None:
    """Above all where it all comes in one piece with its head: no body then is still to come."""

    async def talk() -> None:
        whole = Whole()
        head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        pieces = [head + CHUNKS[:place], CHUNKS[place:]]
        assert (await whole.heard(*pieces)).endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS)
        await whole.end()

    asyncio.run(talk())


@pytest.mark.parametrize(
    ("sent", "framing", "body"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"Content-Length: 0", b""),
        (b'Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n', b"Content-Length: 2", b"{}"),
        (b'Content-Length: 15\r\n\r\n{"model":"old"}', b"Content-Length: 15", b'{"model":"new"}'),
        (b"Content-Length: 0\r\n\r\n", b"Content-Length: 0", b""),
    ],
)  # fmt: skip
def test_a_held_body_has_the_length_that_is_said(sent: bytes, framing: bytes, body: bytes) -> None:
    async def talk() -> None:
        whole = Whole()
        head = HEAD.replace(b"/v1/files", b"/v1/messages")
        up = await whole.heard(head + sent)
        assert up.partition(b"\r\n\r\n")[2] == body
        assert framing in up.partition(b"\r\n\r\n")[0].split(b"\r\n")
        await whole.end()

    asyncio.run(talk())


@pytest.mark.parametrize("method", [b"GET", b"DELETE"])
def test_a_chunked_body_where_none_is_expected(method: bytes) -> None:
    async def talk() -> None:
        whole = Whole()
        head = HEAD.replace(b"POST", method) + b"Transfer-Encoding: chunked\r\n\r\n"
        assert (await whole.heard(head + b"0\r\n\r\n")).endswith(b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        await whole.end()

    asyncio.run(talk())


def test_a_client_that_is_gone_ends_the_request_upstream() -> None:
    async def talk() -> None:
        whole = Whole()
        await whole.heard(HEAD + b"Content-Length: 0\r\n\r\n")
        await whole.client.vanish()
        assert whole.ups[0].closed

    asyncio.run(talk())
