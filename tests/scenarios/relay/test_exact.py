"""What goes up and what comes back: byte for byte, line for line."""

import json
import re
import socket
import threading
import zlib
from collections.abc import Callable, Iterator

import pytest

from claude_gatewayd.http1.framing import BodyReader, Chunked, UntilClose
from tests.fakes import shapes
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_steps import Wire
from tests.fakes.shapes import SHAPES, Shape
from tests.fakes.upstream import Upstream, says
from tests.scenarios.relay.conftest import Scene
from tests.scenarios.relay.raw import HOST, JSON, TOKEN, RawClient, RawReply, ask, chunked, messages, request
from tests.support.calls import message
from tests.support.daemon import Daemon

CONFIG = """
[router]
num_retries = 0

[aliases]
quick = "claude-haiku-5-5"
"gr\\u00f6\\u00dfe" = "claude-opus-5-5"
"claude-sonnet-5-5" = "claude-opus-4-8"
"""
TOLD = [b"x-gateway-upstream: anthropic", b"x-gateway-fallback: none"]
NOT_LOCAL = [shape for shape in SHAPES if shape.method != "HEAD"]
WIRES = {
    "plain": Wire(),
    "gzip": Wire(compression="gzip"),
    "deflate": Wire(compression="deflate"),
    "small-chunks": Wire(framing="chunked", chunk_size=7),
    "byte-by-byte": Wire(write_size=3),
    "length": Wire(framing="length"),
    "until-close": Wire(framing="close"),
    "trailers": Wire(framing="chunked", trailers=((b"X-Checksum", b"a  b"), (b"x-checksum", b"c"))),
    "early-hints": Wire(interim=(103, 103)),
    "closes": Wire(keep_alive=False),
}
# The fake numbers its answers; another fake, or another run, has counted differently.
NUMBER = re.compile(rb"(?<=_01Fake)\d{18}")


@pytest.fixture(scope="module")
def direct() -> Iterator[FakeAnthropic]:
    """Return the same Anthropic without a gateway, to compare with."""
    with FakeAnthropic(direct=True) as fake:
        yield fake


def straight(fake: FakeAnthropic, shape: Shape, wire: Wire = WIRES["plain"]) -> RawReply:
    """Ask Anthropic itself."""
    fake.wire_next(wire, path=shape.target.partition("?")[0])
    return unnumbered(ask(fake.port, shape.raw(b"127.0.0.1:%d" % fake.port)))


def unnumbered(reply: RawReply) -> RawReply:
    assert reply.status == 200 or len(reply.body) < 1000
    lines = [NUMBER.sub(b"0" * 18, line) for line in reply.lines]
    body = reply.body
    if encoding := reply.values("content-encoding"):
        body = zlib.decompress(body, 31 if encoding == [b"gzip"] else 15)
        lines = [line for line in lines if not line.lower().startswith(b"content-length:")]
    return reply._replace(lines=lines, body=NUMBER.sub(b"0" * 18, body))


def end_to_end(reply: RawReply) -> list[bytes]:
    return [line for line in reply.lines if not line.lower().startswith((b"connection:", b"keep-alive:"))]


def test_set_cookie_twice_request_id_and_limits_are_in_what_is_compared(direct: FakeAnthropic) -> None:
    reply = straight(direct, shapes.MAIN)
    assert len(reply.values("set-cookie")) == 2
    assert reply.values("request-id")
    assert reply.values("anthropic-ratelimit-unified-status") == [b"allowed"]


@pytest.mark.parametrize("shape", NOT_LOCAL, ids=str)
def test_a_shape_goes_up_as_it_came(scene: Scene, direct: FakeAnthropic, shape: Shape) -> None:
    if b"claude-sonnet-5-5" in shape.body or b"\\u0073onnet" in shape.body:
        shape = without_alias(shape)
    host = b"127.0.0.1:%d" % scene.fake.port
    reply = unnumbered(scene.ask(shape.raw()))
    recorded = scene.fake.wait_for(1)[0]
    assert (recorded.method, recorded.target, recorded.version) == (shape.method, shape.target, "HTTP/1.1")
    assert recorded.headers == shape.upstream_headers(host)
    lines = b"".join(b"%b: %b\r\n" % header for header in shape.upstream_headers(host))
    assert recorded.head == f"{shape.method} {shape.target} HTTP/1.1\r\n".encode() + lines + b"\r\n"
    assert recorded.body == shape.body
    expected = straight(direct, shape)
    assert (reply.status, reply.reason) == (expected.status, expected.reason)
    assert reply.lines == [*end_to_end(expected), *TOLD]
    assert reply.body == expected.body


def without_alias(shape: Shape) -> Shape:
    """Name a model of the same length that no alias is for."""
    body = shape.body.replace(b"onnet-5-5", b"onnet-5-6")
    return Shape(shape.name, shape.method, shape.target, shape.headers, body)


@pytest.mark.parametrize("shape", [shapes.MAIN_MAX, shapes.QUOTA, shapes.MODELS], ids=str)
@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_comes_back_as_it_was_put_on_the_wire(
    scene: Scene, direct: FakeAnthropic, wire: str, shape: Shape
) -> None:
    expected = straight(direct, shape, WIRES[wire])
    scene.fake.wire_next(WIRES[wire], path=shape.target.partition("?")[0])
    reply = unnumbered(scene.ask(shape.raw()))
    lines = [*end_to_end(expected), *TOLD]
    if wire == "until-close":
        # Where the upstream's connection ended its body, ours must not: chunks can say that it was cut. Other
        # answers are passed on as they are.
        own = b"Transfer-Encoding: chunked" if shape is shapes.MAIN_MAX else b"Connection: close"
        assert own in reply.lines
        reply.lines.remove(own)
    assert reply.lines == lines
    assert reply[:2] + reply[3:] == expected[:2] + expected[3:]
    if wire == "early-hints":
        assert reply.interim == [b"HTTP/1.1 103 Early Hints"] * 2
    if wire == "trailers":
        assert reply.trailers == [b"X-Checksum: a  b", b"x-checksum: c"]


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
@pytest.mark.parametrize("stream", [False, True])
def test_compressed_bytes_are_not_touched(upstream: Upstream, port: int, compression: str, stream: bool) -> None:
    squeeze = zlib.compressobj(wbits=31 if compression == "gzip" else 15)
    events = (b'event: message_stop\ndata: {"type":"message_stop"}\n\n', b"event: ping\ndata: {}\n\n")
    squeezed = [squeeze.compress(event) + squeeze.flush(zlib.Z_SYNC_FLUSH) for event in events] + [squeeze.flush()]
    kind = b"text/event-stream" if stream else b"application/json"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Encoding: %b\r\n" % (kind, compression.encode())
    wire = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked([piece for piece in squeezed if piece])
    upstream.will(says(wire))
    reply = ask(port, messages("hi", b"Accept-Encoding: gzip, deflate", stream=stream))
    assert reply.lines == [*head[:-2].split(b"\r\n")[1:], b"Transfer-Encoding: chunked", *TOLD]
    assert reply.body == b"".join(squeezed)


ODD_HEADS = {
    "case-order-and-blanks": b"HTTP/1.1 200 Fine, thank you\r\nzebra:1\r\nX-A:  two  blanks \r\nx-a:\t\r\nx-A: \r\nAa: "
    b'caf\xe9 "q" ,,\r\nContent-Length: 5\r\n\r\nhello',
    "no-reason": b"HTTP/1.1 299 \r\ncontent-length: 2\r\n\r\nok",
    "latin-reason": b"HTTP/1.1 418 Je suis une th\xe9i\xe8re\r\nCONTENT-LENGTH: 0\r\n\r\n",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "not-modified": b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 4711\r\n\r\n',
    "no-content": b"HTTP/1.1 204 No Content\r\nETag: W/y\r\n\r\n",
    "redirect": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://other.example/x?y\r\nContent-Length: 0\r\n\r\n",
    "chunks-and-extensions": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nTrailer: X-Sum\r\n\r\n"
    b"000A;a=b\r\n0123456789\r\n1\r\n!\r\n0;last\r\nX-Sum: 1\r\n\r\n",
    "bytes": b"HTTP/1.1 200 OK\r\nContent-Length: 256\r\n\r\n" + bytes(range(256)),
    "large-head": b"HTTP/1.1 200 OK\r\nX-Large: " + b"y" * 60000 + b"\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", ODD_HEADS)
def test_an_odd_answer_comes_back_as_it_is(upstream: Upstream, port: int, name: str) -> None:
    wire = ODD_HEADS[name]
    upstream.will(says(wire))
    with RawClient(port) as client:
        client.send(request("GET", "/v1/models", b"Connection: close"))
        assert client.to_the_end() == wire.replace(
            b"\r\n\r\n", b"\r\n" + b"\r\n".join(TOLD) + b"\r\nConnection: close\r\n\r\n", 1
        )


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_of_a_message_is_the_clients_to_judge(upstream: Upstream, port: int, status: int) -> None:
    with Upstream() as other:
        location = b"Location: %b/v1/messages" % other.url.encode()
        upstream.will(says(b"HTTP/1.1 %d Elsewhere\r\n%b\r\nContent-Length: 0\r\n\r\n" % (status, location)))
        reply = ask(port, messages("hi", stream=True))
        assert reply.status == status
        assert reply.lines == [location, b"Content-Length: 0", *TOLD]
        assert b"hi" in upstream.request()
        assert upstream.requests.empty()
        assert other.requests.empty()


def test_head_has_the_length_and_no_body(upstream: Upstream, port: int) -> None:
    with RawClient(port) as client:
        for _ in range(2):  # and the connection is good for another
            upstream.will(says(b"HTTP/1.1 200 OK\r\nContent-Length: 4711\r\nX-Y: z\r\n\r\n", close=False))
            client.send(request("HEAD", "/v1/files/x"))
            reply = client.reply("HEAD")
            assert reply.lines == [b"Content-Length: 4711", b"X-Y: z", *TOLD]
            assert upstream.request().startswith(b"HEAD /v1/files/x HTTP/1.1\r\n")


def test_headers_that_connection_names_end_here_both_ways(upstream: Upstream, port: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Hop: 1\r\nConnection: x-hop\r\nX-Stays: 2\r\nKeep-Alive: timeout=5\r\n"
    upstream.will(says(answer + b"Connection: keep-alive, X-OTHER\r\nx-other: 3\r\nContent-Length: 0\r\n\r\n"))
    own = (
        b"X-Secret-Hop: 1",
        b"Connection: keep-alive , x-secret-hop",
        b"X-Stays: 2",
        b"Keep-Alive: 7",
        b"TE: trailers",
    )
    reply = ask(port, request("GET", "/v1/models", *own, b"Connection: X-ALSO,content-length", b"x-also: 3"))
    assert reply.lines == [b"X-Stays: 2", b"Content-Length: 0", *TOLD]
    lines = upstream.request().split(b"\r\n")[1:-2]
    assert lines == [b"Host: 127.0.0.1:%d" % upstream.port, TOKEN, b"X-Stays: 2"]


@pytest.mark.parametrize(
    "credential", [b"Authorization: Basic dTpw", b"x-api-key: anything", b"AUTHORIZATION:Bearer  x "]
)
def test_any_credential_goes_up_as_it_came(upstream: Upstream, port: int, credential: bytes) -> None:
    upstream.will(says(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nx-should-retry: false\r\n\r\n{}"))
    assert ask(port, messages(credential=credential))[:2] == (401, b"Unauthorized")
    assert credential in upstream.request().split(b"\r\n")


def test_the_gateways_own_headers_never_go_up(scene: Scene) -> None:
    keys = (b"X-Gateway-Key: cgw-invented", b"x-litellm-api-key: Bearer sk-gateway", b"x-gateway-key:")
    assert scene.ask(messages("hi", *keys)).status == 200
    recorded = scene.fake.wait_for(1)[0]
    assert b"cgw-invented" not in recorded.head
    assert b"sk-gateway" not in recorded.head
    shape = without_alias(shapes.WITH_GATEWAY_KEY)
    assert scene.ask(shape.raw()).status == 200
    assert scene.fake.wait_for(2)[1].headers == shape.upstream_headers(b"127.0.0.1:%d" % scene.fake.port)


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ("/anthropic/v1/messages?beta=true", "/v1/messages?beta=true"),
        ("/anthropic/v1/messages/count_tokens", "/v1/messages/count_tokens"),
        ("/anthropicals", "/anthropicals"),
        ("http://127.0.0.1:47000/v1/messages?x=http://y/z", "/v1/messages?x=http://y/z"),
        ("http://localhost/anthropic/v1/messages", "/v1/messages"),
        ("/v1/messages?a=%2F%zz&b=[]{}|^;c='\"`<>\\", "/v1/messages?a=%2F%zz&b=[]{}|^;c='\"`<>\\"),
        ("//v1/messages", "//v1/messages"),
        ("/v1/../v1/messages/%2e", "/v1/../v1/messages/%2e"),
        ("/v1/messages?", "/v1/messages?"),
    ],
)
def test_targets(upstream: Upstream, port: int, asked: str, target: str) -> None:
    upstream.will(says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
    assert ask(port, request("POST", asked, JSON, body=message())).status == 200
    assert upstream.request().split(b"\r\n")[0] == f"POST {target} HTTP/1.1".encode()


def test_a_client_of_http_1_0(upstream: Upstream, port: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nX-Y: z\r\n\r\n"
    events = [b"event: message_start\ndata: {}\n\n", b"event: message_stop\ndata: {}\n\n"]
    upstream.will(says(answer + chunked(events)))
    with RawClient(port) as client:
        body = message(stream=True)
        client.send(b"POST /v1/messages HTTP/1.0\r\n%b\r\nContent-Length: %d\r\n\r\n%b" % (TOKEN, len(body), body))
        first, lines = client.head()
        assert first == b"HTTP/1.1 200 OK"
        assert lines == [b"Content-Type: text/event-stream", b"X-Y: z", *TOLD, b"Connection: close"]
        assert client.to_the_end() == b"".join(events)
    head, _, sent = upstream.request().partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /v1/messages HTTP/1.1",
        TOKEN,
        b"Content-Length: %d" % len(body),
        b"Host: 127.0.0.1:%d" % upstream.port,
    ]
    assert sent == body


def test_an_upstream_of_http_1_0(upstream: Upstream, port: int) -> None:
    upstream.will(says(b"HTTP/1.0 200 OK\r\nX-Y: z\r\n\r\nall of it"))
    reply = ask(port, request("GET", "/v1/models"))
    assert (reply.lines, reply.body) == ([b"X-Y: z", *TOLD, b"Connection: close"], b"all of it")


@pytest.mark.parametrize("prefix", ["/some/prefix", "/some/prefix/"])
def test_a_base_url_with_a_path(scene: Scene, prefix: str) -> None:
    with Daemon(upstream=scene.fake.url + prefix) as daemon:
        assert ask(daemon.port, messages()).status == 404
        assert ask(daemon.port, request("GET", "/anthropic/v1/models?limit=1")).status == 404
    targets = [recorded.target for recorded in scene.fake.wait_for(2)]
    assert targets == ["/some/prefix/v1/messages", "/some/prefix/v1/models?limit=1"]


# Unbuffered.


def framed(lines: list[bytes]) -> BodyReader:
    return Chunked() if b"Transfer-Encoding: chunked" in lines else UntilClose()


def plainly(compression: str) -> Callable[[bytes | memoryview], bytes]:
    return zlib.decompressobj(31).decompress if compression else bytes


@pytest.mark.parametrize("compression", ["", "gzip"])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_an_event_is_there_while_the_next_is_held(scene: Scene, framing: str, compression: str) -> None:
    scene.fake.wire = Wire(framing=framing, compression=compression)  # type: ignore[arg-type]
    try:
        hold = scene.fake.hold_next("content_block_delta")
        with scene.client() as client:
            client.send(messages("[[say unbuffered]]", b"Accept-Encoding: gzip", stream=True))
            hold.wait_reached()
            _, lines = client.head()
            chunks, plain = framed(lines), plainly(compression)
            events = plain(chunks.feed(client.seen)[1])
            client.seen = b""
            while b"event: ping" not in events:
                assert client.more()
                events += plain(chunks.feed(client.seen)[1])
                client.seen = b""
            assert b"unbuf" not in events
            hold.release()
            while not chunks.done and client.more():
                events += plain(chunks.feed(client.seen)[1])
                client.seen = b""
            assert b"unbuf" in events
            assert b"event: message_stop" in events
    finally:
        scene.fake.wire = Wire()


def test_the_head_of_an_answer_does_not_wait_for_its_body(scene: Scene) -> None:
    hold = scene.fake.hold_next("body")
    with scene.client() as client:
        client.send(messages())
        hold.wait_reached()
        first, _ = client.head()
        assert first == b"HTTP/1.1 200 OK"
        assert client.seen == b""
        hold.release()


def test_an_early_hint_does_not_wait_for_the_answer(upstream: Upstream, port: int) -> None:
    go = threading.Event()
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nlink: y\r\n\r\n"

    def script(conn: socket.socket) -> None:
        conn.sendall(hint)
        go.wait(10)
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    upstream.will(script)
    with RawClient(port) as client:
        client.send(request("GET", "/v1/models"))
        client.read_to(b"\r\n\r\n")
        assert client.seen == hint
        go.set()
        client.seen = b""
        assert client.reply("GET").status == 200


# All of Anthropic's paths.


def test_files_go_up_and_come_back(scene: Scene) -> None:
    data = bytes(range(256)) * 3000
    mark = b"----mark"
    about = b'Content-Disposition: form-data; name="file"; filename="a.bin"\r\nContent-Type: application/octet-stream'
    form = b"--%b\r\n%b\r\n\r\n%b\r\n--%b--\r\n" % (mark, about, data, mark)
    kind = b"Content-Type: multipart/form-data; boundary=" + mark
    counted = scene.ask(request("POST", "/v1/files", kind, body=form))
    assert counted.status == 200
    pieces = [form[:1], form[1:70000], form[70000:]]
    head = request("POST", "/v1/files", kind, b"Transfer-Encoding: chunked", b"Trailer: X-Sum")
    with scene.client() as client:
        client.send(head + chunked(pieces, [b"X-Sum: 42"]))
        assert client.reply().status == 200
    recorded = scene.fake.wait_for(2)
    assert [r.body for r in recorded] == [form, form]
    assert recorded[1].header("transfer-encoding") == "chunked"
    assert recorded[1].header("content-length") is None
    assert recorded[1].trailers == ((b"X-Sum", b"42"),)
    assert b"multipart/form-data" in recorded[0].head
    name = json.loads(counted.body)["id"]
    assert scene.ask(request("GET", f"/v1/files/{name}/content")).body == data
    length = scene.ask(request("HEAD", f"/v1/files/{name}/content")).values("content-length")
    assert length == [b"%d" % len(data)]
    assert json.loads(scene.ask(request("GET", "/v1/files")).body)["data"]
    assert scene.ask(request("DELETE", f"/v1/files/{name}")).status == 200
    assert scene.ask(request("GET", f"/v1/files/{name}")).status == 404


def test_batches(scene: Scene) -> None:
    params = json.loads(message())
    body = json.dumps({"requests": [{"custom_id": f"n{n}", "params": params} for n in range(3)]}).encode()
    made = scene.ask(request("POST", "/v1/messages/batches?beta=true", JSON, body=body))
    assert made.status == 200
    assert scene.fake.wait_for(1)[0].body == body
    name = json.loads(made.body)["id"]
    assert scene.ask(request("GET", f"/v1/messages/batches/{name}")).status == 200
    results = scene.ask(request("GET", f"/v1/messages/batches/{name}/results"))
    assert results.values("content-type") == [b"application/x-jsonl"]
    assert [json.loads(line)["custom_id"] for line in results.body.splitlines()] == ["n0", "n1", "n2"]
    assert scene.ask(request("POST", f"/v1/messages/batches/{name}/cancel")).status == 200
    assert scene.ask(request("POST", f"/v1/messages/batches/{name}/cancel", body=b"")).status == 200
    heads = [r for r in scene.fake.wait_for(5) if r.path.endswith("cancel")]
    assert [head.header("content-length") for head in heads] == [None, "0"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_any_method_and_path_is_anthropics_to_answer(scene: Scene, method: str) -> None:
    reply = scene.ask(request(method, "/v1/from/next/year?x=1", body=b"not json" if method == "PATCH" else None))
    assert reply.status == 404
    assert b"not found: /v1/from/next/year" in reply.body
    assert scene.fake.wait_for(1)[0].method == method


def test_a_warm_up_is_answered_with_anthropic_down(scene: Scene) -> None:
    scene.fake.refuse_connections()
    scene.fake.close_idle_now()
    try:
        with scene.client() as client:
            for shape in (shapes.WARM_UP, shapes.WARM_UP_197):
                client.send(shape.raw())
                reply = client.reply("HEAD")
                assert (reply.status, reply.body) == (200, b"")
            client.send(request("HEAD", "/anthropic/api/hello?x"))
            assert client.reply("HEAD").status == 200
    finally:
        scene.fake.accept_connections()
    assert scene.fake.requests == []


# Held bodies.


def test_a_chunked_message_gets_a_length(scene: Scene) -> None:
    body = message()
    head = request("POST", "/v1/messages", b"X-Before: 1", b"Transfer-Encoding: chunked", JSON, b"X-After: 2")
    with scene.client() as client:
        client.send(head + chunked([body[:3], body[3:]]))
        assert client.reply().status == 200
    recorded = scene.fake.wait_for(1)[0]
    assert recorded.body == body
    names = [name for name, _ in recorded.headers]
    assert names == [b"Host", b"Authorization", b"X-Before", b"Content-Length", b"Content-Type", b"X-After"]


# A lone surrogate is no JSON to Anthropic either: such a body goes up as it came.
AWKWARD = shapes.AWKWARD.body.replace(b" \\ud800", b"")
ALIASED = {
    "plain": (b'{"model":"quick","messages":[]}', b'{"model":"claude-haiku-5-5","messages":[]}'),
    "long-context": (b'{"model":"quick[1m]","messages":[]}', b'{"model":"claude-haiku-5-5","messages":[]}'),
    "blanks-and-escapes": (
        b'{ "x":"\\"model\\":\\"quick\\"", "model"\t: "qu\\u0069ck" ,"messages":[{"model":"quick"}]}\n',
        b'{ "x":"\\"model\\":\\"quick\\"", "model"\t: "claude-haiku-5-5" ,"messages":[{"model":"quick"}]}\n',
    ),
    "same-length-elsewhere": (
        b'{"messages":[],"a":{"model":"quick"},"model":"gr\xc3\xb6\xc3\x9fe"}',
        b'{"messages":[],"a":{"model":"quick"},"model":"claude-opus-5-5"}',
    ),
    "not-aliased": (b'{"model":"quicker","messages":[ ]}', b'{"model":"quicker","messages":[ ]}'),
    "awkward": (AWKWARD, AWKWARD.replace(b'"claude-\\u0073onnet-5-5"', b'"claude-opus-4-8"')),
}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/anthropic/v1/messages?beta=true"])
@pytest.mark.parametrize("name", ALIASED)
def test_an_alias_replaces_one_string_and_nothing_else(scene: Scene, name: str, path: str) -> None:
    sent, expected = ALIASED[name]
    scene.ask(request("POST", path, JSON, body=sent))
    recorded = scene.fake.wait_for(1)[0]
    assert recorded.body == expected
    assert recorded.header_values("content-length") == [str(len(expected))]


def test_an_alias_leaves_the_length_where_it_stands(scene: Scene) -> None:
    body, expected = ALIASED["plain"]
    head = b"POST /v1/messages HTTP/1.1\r\n%b\r\ncontent-LENGTH: %d\r\n%b\r\nX-Last: 1\r\n\r\n" % (
        HOST,
        len(body),
        TOKEN,
    )
    scene.ask(head + body)
    recorded = scene.fake.wait_for(1)[0]
    assert recorded.body == expected
    names = [name for name, _ in recorded.headers]
    assert names == [b"Host", b"content-LENGTH", b"Authorization", b"X-Last"]


def test_bodies_that_say_nothing_get_anthropics_own_answer(scene: Scene, direct: FakeAnthropic) -> None:
    for body in (b"", b"{", b"not json", b"[]", b'{"messages":[]}', b'{"model":7}', b"\xff\xfe", b'{"model":"a"}{'):
        for kind in (JSON, b"Content-Type: text/plain"):
            data = request("POST", "/v1/messages", kind, body=body)
            reply = unnumbered(scene.ask(data))
            expected = unnumbered(ask(direct.port, data.replace(b":47000", b":%d" % direct.port)))
            assert (reply.status, reply.lines) == (expected.status, [*end_to_end(expected), *TOLD])
            assert reply.body == expected.body
    assert {recorded.status for recorded in scene.fake.wait_for(16)} == {200, 400}
