"""The fake is strict where Anthropic is, says what it says, and every fault is the fault it is named for."""

import http.client
import json
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import brotli
import pytest
import trustme
import zstandard

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_model import read_script
from tests.fakes.anthropic_steps import Cut, Wire
from tests.fakes.shapes import MAIN, SHAPES, Shape
from tests.support.threads import NewThreads

BEARER = {"authorization": "Bearer sk-ant-oat01-invented"}


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as fake:
        yield fake


@contextmanager
def calling(fake: FakeAnthropic) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def dialing(fake: FakeAnthropic) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", fake.port), timeout=10) as sock:
        yield sock


def ask(prompt: str = "hi", **fields: Any) -> bytes:
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({"model": "claude-opus-5-5", "max_tokens": 99, "messages": messages, **fields}).encode()


def post(
    fake: FakeAnthropic, body: bytes, target: str = "/v1/messages", headers: dict[str, str] = BEARER
) -> tuple[http.client.HTTPResponse, bytes]:
    with calling(fake) as connection:
        connection.request("POST", target, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()


def get(fake: FakeAnthropic, target: str, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    with calling(fake) as connection:
        connection.request(method, target, headers=BEARER)
        answer = connection.getresponse()
        return answer, answer.read()


def events(data: bytes) -> list[tuple[str, Any]]:
    """Parse SSE in the one form that Anthropic uses."""
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        name, _, value = block.partition("\n")
        found.append((name.removeprefix("event: "), json.loads(value.removeprefix("data: "))))
    return found


def raw(fake: FakeAnthropic, body: bytes, *lines: bytes, start: bytes = b"POST /v1/messages HTTP/1.1") -> bytes:
    """Return a request as bytes, with the headers it needs but framing."""
    host = b"Host: 127.0.0.1:%d" % fake.port
    return b"\r\n".join((start, host, b"x-api-key: sk-ant-api03-invented", *lines, b"", b"")) + body


def to_the_end(sock: socket.socket) -> tuple[bytes, bool]:
    """Read until the peer ends the connection; tell whether it was reset."""
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
    except ConnectionResetError:
        return data, True
    return data, False


def until_silence(sock: socket.socket) -> bytes:
    """Read what is there."""
    sock.settimeout(0.2)
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
    except TimeoutError:
        pass
    return data


class TestStrictness:
    @pytest.mark.parametrize(
        ("request_bytes", "violation"),
        [
            (b"GET / HTTP/1.1\nHost: h\n\n", "bare LF|not a head"),
            (b"GET / HTTP/1.1\r\nHost: {host}\nx: y\r\n\r\n", "not a head"),
            (b"GET / HTTP/1.1\r\nHost: {host}\r\nx: a\rb\r\n\r\n", "bare CR"),
            (b"GET / HTTP/1.1\r\nHost: {host}\r\nx : y\r\n\r\n", "not a header line"),
            (b"GET / HTTP/1.1\r\nHost: {host}\r\n folded: y\r\n\r\n", "not a header line"),
            (b"GET / HTTP/1.1\r\nHost: {host}\r\nx: \x00\r\n\r\n", "not a header line"),
            (b"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n", "not a request line"),
            (b"\r\nGET / HTTP/1.1\r\nHost: {host}\r\n\r\n", "not a re"),
            (b"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n", "origin-form"),
            (b"GET / HTTP/1.1\r\n\r\n", "0 Host"),
            (b"GET / HTTP/1.1\r\nHost: {host}\r\nhost: {host}\r\n\r\n", "2 Host"),
            (b"GET / HTTP/1.1\r\nHost: 127.0.0.1:47000\r\n\r\n", "not this server's"),
            (b"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n", "hop-by-hop"),
            (b"GET / HTTP/1.1\r\nHost: {host}\r\nKeep-Alive: 5\r\n\r\n", "hop-by-hop"),
            (b"GET / HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: x\r\n\r\n", "hop-by-hop"),
            (b"GET / HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\n\r\n", "hop-by-hop"),
            (b"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: h2c\r\n\r\n", "hop-by-hop"),
            (b"GET / HTTP/1.1\r\nHost: {host}\r\nX-Gateway-Key: x\r\n\r\n", "header of the gateway"),
            (b"GET / HTTP/1.1\r\nHost: {host}\r\nx-litellm-api-key: x\r\n\r\n", "header of the gateway"),
            (b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "Length"),
            (b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: +1\r\n\r\nx", "Length"),
            (
                b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "both",
            ),
            (b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding"),
            (b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk size"),
            (b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n", "chunk size"),
            (b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n1\nx", "bare LF"),
            (b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n", "longer"),
            (b'GET /v1/models HTTP/1.1\r\nHost: {host}\r\nx-api-key: k\r\n\r\n{"a":1}', "not a head"),
        ],
    )
    def test_refuses_and_notes(self, fake: FakeAnthropic, request_bytes: bytes, violation: str) -> None:
        with dialing(fake) as sock:
            sock.sendall(request_bytes.replace(b"{host}", b"127.0.0.1:%d" % fake.port))
            data, _ = to_the_end(sock)
        assert b"HTTP/1.1 400 Bad Request\r\n" in data
        assert any(word in fake.violations[0] for word in violation.split("|")), fake.violations

    def test_allows_a_client_its_own_hop(self) -> None:
        with FakeAnthropic(direct=True) as fake:
            post(fake, ask(), headers={**BEARER, "Connection": "keep-alive"})
            assert fake.violations == []

    def test_takes_every_shape_byte_for_byte(self) -> None:
        with FakeAnthropic(direct=True) as fake, dialing(fake) as sock:
            host = b"127.0.0.1:%d" % fake.port
            for n, shape in enumerate(SHAPES, 1):
                sock.sendall(shape.raw(host))
                recorded = fake.wait_for_answers(n)[-1]
                assert recorded.head + recorded.body == shape.raw(host)
                assert recorded.status == 200, shape
            sock.shutdown(socket.SHUT_WR)
            to_the_end(sock)
            assert fake.violations == []
            assert fake.connections == 1

    def test_asks_for_a_credential(self, fake: FakeAnthropic) -> None:
        answer, data = post(fake, ask(), headers={})
        assert answer.status == 401
        assert json.loads(data)["error"]["type"] == "authentication_error"
        assert answer.getheader("anthropic-organization-id") is None
        assert post(fake, ask(), headers={"x-api-key": "sk-ant-api03-invented"})[0].status == 200


class TestMessages:
    def test_streams(self, fake: FakeAnthropic) -> None:
        answer, data = post(fake, ask("good morning", stream=True), "/v1/messages?beta=true")
        assert answer.getheader("content-type") == "text/event-stream; charset=utf-8"
        assert answer.getheader("transfer-encoding") == "chunked"
        assert len(answer.headers.get_all("set-cookie") or ()) == 2
        names = [name for name, _ in events(data)]
        assert names == [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
        text = "".join(value["delta"]["text"] for name, value in events(data) if name == "content_block_delta")
        assert text == "Hello from the fake. You said: good morning"

    def test_answers_whole(self, fake: FakeAnthropic) -> None:
        answer, data = post(fake, ask("good morning"))
        assert answer.getheader("content-length") == str(len(data))
        assert json.loads(data)["content"][0]["text"] == "Hello from the fake. You said: good morning"
        assert answer.getheader("request-id") == "req_01Fake000000000000000001"

    def test_calls_tools_one_after_the_other_and_quotes_the_result(self, fake: FakeAnthropic) -> None:
        prompt = '[[think]] [[tool Bash {"command":"echo ]]"}]] then [[tool Task {"prompt":"[[say deep]]"}]]'
        tools = [{"name": "Bash"}, {"name": "Agent"}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": prompt}]}]
        used = []
        for result in ("one", "two"):
            message = json.loads(post(fake, ask(messages=messages, tools=tools))[1])
            assert message["stop_reason"] == "tool_use"
            assert message["content"][0]["type"] == "thinking"
            call = message["content"][-1]
            used.append((call["name"], call["input"]))
            back = {"type": "tool_result", "tool_use_id": call["id"], "content": result}
            messages += [
                {"role": "assistant", "content": message["content"]},
                {"role": "user", "content": [back, {"type": "text", "text": "a reminder"}]},
                {"role": "system", "content": "more [[say nothing]]"},
            ]
        last = json.loads(post(fake, ask(messages=messages, tools=tools))[1])
        assert used == [("Bash", {"command": "echo ]]"}), ("Agent", {"prompt": "[[say deep]]"})]
        assert last["content"][-1]["text"] == "Hello from the fake. The tool said: two"

    def test_streams_the_input_of_a_tool_in_parts(self, fake: FakeAnthropic) -> None:
        body = ask('[[tool Bash {"command":"ls"}]]', stream=True, tools=[{"name": "Bash"}])
        parts = [
            value["delta"]["partial_json"]
            for name, value in events(post(fake, body)[1])
            if name == "content_block_delta" and value["delta"]["type"] == "input_json_delta"
        ]
        assert json.loads("".join(parts)) == {"command": "ls"}

    def test_does_not_use_a_tool_it_was_not_offered(self, fake: FakeAnthropic) -> None:
        message = json.loads(post(fake, ask('[[tool Bash {"command":"ls"}]]'))[1])
        assert message["stop_reason"] == "end_turn"

    def test_answers_side_requests(self, fake: FakeAnthropic) -> None:
        schema = {"type": "object", "properties": {"title": {"type": "string"}}}
        form = {"format": {"type": "json_schema", "schema": schema}}
        title = json.loads(post(fake, ask("a long story", output_config=form, tools=[]))[1])
        assert json.loads(title["content"][0]["text"]) == {"title": "fake"}
        assert post(fake, ask("quota", max_tokens=1))[0].status == 200
        assert get(fake, "/api/hello", "HEAD")[0].status == 200
        assert json.loads(post(fake, ask(), "/v1/messages/count_tokens?beta=true")[1])["input_tokens"] > 0

    def test_scripts(self) -> None:
        assert read_script("[[slow 60 0.25]]").slow == (60, 0.25)
        assert read_script("x [[say it, then]] y").say == "it, then"
        assert len(read_script("[[big 100000]]").say or "") == 100000
        assert read_script("[[tool Bash]] [[tool Bash {bad]]").tools == ()

    def test_refuses_nonsense(self, fake: FakeAnthropic) -> None:
        assert post(fake, b"{")[0].status == 400
        assert post(fake, b"[]")[0].status == 400
        assert get(fake, "/v1/messages")[0].status == 405
        assert get(fake, "/v1/nothing")[0].status == 404
        assert fake.violations == []


class TestOtherEndpoints:
    def test_models(self, fake: FakeAnthropic) -> None:
        listed = json.loads(get(fake, "/v1/models?limit=1000")[1])["data"]
        assert get(fake, f"/v1/models/{listed[0]['id']}")[0].status == 200
        assert get(fake, "/v1/models/gone")[0].status == 404

    @pytest.mark.parametrize("chunked", [False, True])
    def test_files(self, fake: FakeAnthropic, *, chunked: bool) -> None:
        content = bytes(range(256)) * 3000 + b"\r\n--hedge\r\n"
        form = (
            b'--edge\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nx'
            b'\r\n--edge\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
            b"Content-Type: image/png\r\n\r\n" + content + b"\r\n--edge--\r\n"
        )
        with calling(fake) as connection:
            headers = {**BEARER, "Content-Type": "multipart/form-data; boundary=edge"}
            body = (form[n : n + 7000] for n in range(0, len(form), 7000)) if chunked else form
            connection.request("POST", "/v1/files?beta=true", body, headers, encode_chunked=chunked)
            about = json.loads(connection.getresponse().read())
        assert about["size_bytes"] == len(content)
        answer, data = get(fake, f"/v1/files/{about['id']}/content")
        assert data == content
        assert answer.getheader("content-type") == "image/png"
        assert get(fake, f"/v1/files/{about['id']}", "DELETE")[0].status == 200
        assert get(fake, f"/v1/files/{about['id']}")[0].status == 404

    def test_batches(self, fake: FakeAnthropic) -> None:
        params = json.loads(ask("in a batch"))
        requests = [{"custom_id": name, "params": params} for name in ("a", "b")]
        about = json.loads(post(fake, json.dumps({"requests": requests}).encode(), "/v1/messages/batches")[1])
        lines = get(fake, f"/v1/messages/batches/{about['id']}/results")[1].splitlines()
        assert [json.loads(line)["custom_id"] for line in lines] == ["a", "b"]
        assert json.loads(get(fake, "/v1/messages/batches")[1])["data"][0]["id"] == about["id"]


class TestWire:
    @pytest.mark.parametrize("compression", ["gzip", "deflate", "br", "zstd"])
    def test_compresses_event_by_event(self, fake: FakeAnthropic, compression: Any) -> None:
        fake.wire = Wire(compression=compression)
        hold = fake.hold_next("end")
        with calling(fake) as connection:
            headers = {**BEARER, "Accept-Encoding": "gzip, deflate, br, zstd"}
            connection.request("POST", "/v1/messages", ask(stream=True), headers)
            answer = connection.getresponse()
            assert answer.getheader("content-encoding") == compression
            decode: Callable[[bytes], bytes] = {
                "gzip": zlib.decompressobj(31).decompress,
                "deflate": zlib.decompressobj(15).decompress,
                "br": brotli.Decompressor().process,
                "zstd": zstandard.ZstdDecompressor().decompressobj().decompress,
            }[compression]
            coded = answer.read1(100000)
            first = decode(coded)
            assert first.startswith(b"event: message_start")
            hold.release()
            end = answer.read()
            rest = decode(end)
            assert (fake.requests[0].coding, fake.requests[0].coded) == (compression, coded + end)
        assert events(first + rest)[-1][0] == "message_stop"
        assert post(fake, ask(stream=True))[0].getheader("content-encoding") is None

    def test_slices(self, fake: FakeAnthropic) -> None:
        usual = events(post(fake, ask(stream=True))[1])
        fake.wire = Wire(chunk_size=3, write_size=1)
        data = post(fake, ask(stream=True))[1]
        assert [name for name, _ in events(data)] == [name for name, _ in usual]

    def test_trailers_and_interim_answers(self, fake: FakeAnthropic) -> None:
        fake.wire_next(Wire(framing="chunked", trailers=((b"x-sum", b"7"),), interim=(103, 102)))
        body = ask()
        with dialing(fake) as sock:
            sock.sendall(raw(fake, body, b"Content-Length: %d" % len(body)))
            fake.wait_for_answers(1)
            data = sock.recv(65536)
        assert data.startswith(b"HTTP/1.1 103 Early Hints\r\n")
        assert b"HTTP/1.1 102 Processing\r\n" in data
        assert data.endswith(b"\r\n0\r\nx-sum: 7\r\n\r\n")

    def test_ends_with_the_connection(self, fake: FakeAnthropic) -> None:
        fake.wire_next(Wire(framing="close"))
        answer, data = post(fake, ask(stream=True))
        assert answer.getheader("content-length") is None
        assert answer.getheader("transfer-encoding") is None
        assert answer.will_close
        assert events(data)[-1][0] == "message_stop"

    @pytest.mark.parametrize("status", [204, 304])
    def test_answers_without_a_body(self, fake: FakeAnthropic, status: int) -> None:
        fake.answer_next(status, headers={"etag": '"x"'}, path="/v1/models")
        with calling(fake) as connection:
            for expected in (status, 200):
                connection.request("GET", "/v1/models", headers=BEARER)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == expected
        assert fake.connections == 1

    def test_head_has_the_length_of_get(self, fake: FakeAnthropic) -> None:
        _, whole = get(fake, "/v1/models")
        answer, none = get(fake, "/v1/models", "HEAD")
        assert answer.getheader("content-length") == str(len(whole))
        assert none == b""

    def test_says_continue(self, fake: FakeAnthropic) -> None:
        body = ask()
        with dialing(fake) as sock:
            sock.sendall(raw(fake, b"", b"Content-Length: %d" % len(body), b"Expect: 100-continue"))
            assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(body)
            assert sock.recv(15) == b"HTTP/1.1 200 OK"

    def test_pipelines(self, fake: FakeAnthropic) -> None:
        body = ask()
        one = raw(fake, body, b"Content-Length: %d" % len(body))
        with dialing(fake) as sock:
            sock.sendall(one * 3)
            fake.wait_for_answers(3)
        assert fake.connections == 1

    def test_speaks_tls(self, tmp_path: Path) -> None:
        authority = trustme.CA()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(server)
        client = ssl.create_default_context()
        authority.configure_trust(client)
        with FakeAnthropic(tls=server) as fake:
            assert fake.url == f"https://127.0.0.1:{fake.port}"
            fake.cut_next("head", "close")
            fake.cut_next("head", "reset")
            connection = http.client.HTTPSConnection("127.0.0.1", fake.port, timeout=10, context=client)
            for _ in range(2):
                connection.request("POST", "/v1/messages", ask(), BEARER)
                with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                    connection.getresponse().read()
                connection.close()
            connection.request("POST", "/v1/messages", ask(), BEARER)
            assert connection.getresponse().status == 200
            connection.close()


def cut(fake: FakeAnthropic, after: Cut, how: Any = "close", body: bytes = b"") -> tuple[bytes, bool]:
    fake.cut_next(after, how)
    body = body or ask(stream=True)
    with dialing(fake) as sock:
        sock.sendall(raw(fake, body, b"Content-Length: %d" % len(body)))
        return to_the_end(sock)


class TestFaults:
    def test_fails_in_the_envelope(self, fake: FakeAnthropic) -> None:
        fake.fail_next(529, headers={"retry-after": "3"}, times=2)
        for _ in range(2):
            answer, data = post(fake, ask(stream=True))
            assert (answer.status, answer.reason) == (529, "Overloaded")
            assert answer.getheader("retry-after") == "3"
            assert answer.getheader("anthropic-ratelimit-unified-status") is None
            assert json.loads(data)["error"]["type"] == "overloaded_error"
        assert post(fake, ask())[0].status == 200

    def test_faults_queue_by_path_and_can_be_forgotten(self, fake: FakeAnthropic) -> None:
        fake.fail_next(500, path="/v1/messages/count_tokens")
        fake.pass_next()
        fake.fail_next(503, body=b"upstream connect error", headers={"Content-Type": "text/plain"})
        fake.fail_next(418)
        assert post(fake, ask())[0].status == 200
        answer, data = post(fake, ask())
        assert (answer.status, data) == (503, b"upstream connect error")
        assert answer.getheader("content-type") == "text/plain"
        fake.clear_faults()
        assert post(fake, ask(), "/v1/messages/count_tokens")[0].status == 200

    def test_a_limit_used_up(self, fake: FakeAnthropic) -> None:
        fake.limit_next(resets_at=1900000123, retry_after=60)
        answer, data = post(fake, ask())
        assert answer.status == 429
        assert answer.getheader("anthropic-ratelimit-unified-status") == "rejected"
        assert answer.getheader("anthropic-ratelimit-unified-reset") == "1900000123"
        assert json.loads(data)["error"]["type"] == "rate_limit_error"

    @pytest.mark.parametrize("how", ["close", "reset"])
    @pytest.mark.parametrize(
        ("after", "start", "end"),
        [
            ("nothing", b"", b""),
            ("before-head", b"", b""),
            ("half-head", b"HTTP/1.1 200 OK\r\n", None),
            ("head", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\n"),
            ("first-event", b"HTTP/1.1 200 OK\r\n", b"\n\n\r\n"),
            ("mid-event", b"HTTP/1.1 200 OK\r\n", b'"content_block_start\r\n'),
            ("mid-chunk", b"HTTP/1.1 200 OK\r\n", b'"content_block_star'),
            ("last-event", b"HTTP/1.1 200 OK\r\n", b'"message_stop" }\n\n\r\n'),
        ],
    )
    def test_cuts(self, fake: FakeAnthropic, after: Cut, start: bytes, end: bytes | None, how: str) -> None:
        data, reset = cut(fake, after, how)
        assert data.startswith(start)
        assert data.endswith(end) if end is not None else b"\r\n\r\n" not in data
        assert bool(data) == bool(start)
        if after != "nothing":  # a close with a body unread is a reset too
            assert reset == (how == "reset")
        assert fake.wait_for_heads(1)[0].answered is None
        assert fake.requests[0].aborted is None

    @pytest.mark.parametrize("after", ["mid-event", "mid-chunk"])
    def test_cuts_an_answer_of_one_piece_in_two(self, fake: FakeAnthropic, after: Cut) -> None:
        data, _ = cut(fake, after, body=ask())
        head, _, part = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert 0 < len(part) < length

    def test_holds_until_released(self, fake: FakeAnthropic) -> None:
        hold = fake.hold_next("first-event")
        with calling(fake) as connection:
            connection.request("POST", "/v1/messages", ask(stream=True), BEARER)
            answer = connection.getresponse()
            hold.wait_reached()
            assert fake.requests[0].answered is None
            fake.release()
            assert events(answer.read())[-1][0] == "message_stop"

    @pytest.mark.parametrize("before", ["head", "first-event", "ping", "message_stop", "end"])
    def test_holds_at_every_place(self, fake: FakeAnthropic, before: str) -> None:
        hold = fake.hold_next(before)
        body = ask(stream=True)
        request = raw(fake, body, b"Content-Length: %d" % len(body))
        with dialing(fake) as sock:
            sock.sendall(request)
            hold.wait_reached()
            data = until_silence(sock)
            hold.release()
            fake.wait_for_answers(1)
        seen = {
            "head": b"",
            "first-event": b"\r\n\r\n",
            "ping": b"\n\n\r\n",
            "message_stop": b"\n\n\r\n",
            "end": b'"message_stop" }\n\n\r\n',
        }
        assert data.endswith(seen[before])
        assert (b"event: ping" in data) == (before in ("message_stop", "end"))

    def test_holds_before_it_reads_a_body_and_then_backs_up(self, fake: FakeAnthropic) -> None:
        hold = fake.hold_next("body-read")
        body = ask("x" * 30_000_000)
        sent = threading.Event()
        with dialing(fake) as sock:

            def send() -> None:
                sock.sendall(raw(fake, body, b"Content-Length: %d" % len(body)))
                sent.set()

            thread = threading.Thread(target=send)
            thread.start()
            hold.wait_reached()
            assert not sent.wait(0.3)
            hold.release()
            assert fake.wait_for(1)[0].body == body
            thread.join()

    def test_delays(self, fake: FakeAnthropic) -> None:
        fake.delay_next(0.2, before="head")
        started = time.monotonic()
        post(fake, ask())
        assert time.monotonic() - started >= 0.2

    def test_stalls_and_pings(self, fake: FakeAnthropic) -> None:
        fake.stall_next("message_start", ping_every=0.01)
        with calling(fake) as connection:
            connection.request("POST", "/v1/messages", ask(stream=True), BEARER)
            answer = connection.getresponse()
            data = b""
            while data.count(b"event: ping") < 3:
                data += answer.read1(65536)
            assert b"content_block_start" not in data
        assert fake.wait_for_aborts(1)[0].aborted

    def test_an_error_as_first_event_and_in_mid_stream(self, fake: FakeAnthropic) -> None:
        fake.first_event_error_next("api_error")
        fake.event_error_next("overloaded_error", after="content_block_start")
        answer, data = post(fake, ask(stream=True))
        assert answer.status == 200
        assert [(name, value["error"]["type"]) for name, value in events(data)] == [("error", "api_error")]
        names = [name for name, _ in events(post(fake, ask(stream=True))[1])]
        assert names == ["message_start", "content_block_start", "error"]

    def test_ends_early_in_good_order(self, fake: FakeAnthropic) -> None:
        fake.end_without_message_stop_next()
        names = [name for name, _ in events(post(fake, ask(stream=True))[1])]
        assert names[-1] == "content_block_delta"

    def test_html_and_garbage(self, fake: FakeAnthropic) -> None:
        fake.html_next()
        fake.garbage_next()
        answer, data = post(fake, ask(stream=True))
        assert (answer.status, answer.getheader("content-type")) == (200, "text/html")
        assert data.startswith(b"<!DOCTYPE html>")
        with pytest.raises(http.client.BadStatusLine):
            post(fake, ask())

    def test_answers_before_the_body_is_there(self, fake: FakeAnthropic) -> None:
        fake.fail_next(413, before_body=True)
        with dialing(fake) as sock:
            sock.sendall(raw(fake, b"", b"Content-Length: 30000000"))
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            assert (answer.status, len(answer.read())) == (413, 142)
            sock.sendall(bytes(30_000_000))
            assert to_the_end(sock) == (b"", False)

    def test_a_reused_connection_dies(self, fake: FakeAnthropic) -> None:
        fake.die_on_reuse_next()
        with calling(fake) as connection:
            for n in range(3):
                connection.request("POST", "/v1/messages", ask(), BEARER)
                if n == 1:
                    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
                        connection.getresponse()
                    connection.close()
                else:
                    connection.getresponse().read()
        assert (fake.deaths, len(fake.requests), fake.connections) == (1, 2, 2)

    def test_closes_idle_connections_only(self, fake: FakeAnthropic) -> None:
        hold = fake.hold_next()
        with dialing(fake) as idle, dialing(fake) as busy:
            body = ask()
            busy.sendall(raw(fake, body, b"Content-Length: %d" % len(body)))
            hold.wait_reached()
            fake.wait_until(lambda: fake.open_connections == 2)
            assert fake.close_idle_now() == 1
            assert to_the_end(idle) == (b"", False)
            assert fake.open_connections == 1
            hold.release()
            assert busy.recv(15) == b"HTTP/1.1 200 OK"

    def test_refuses_connections_and_takes_them_again(self, fake: FakeAnthropic) -> None:
        with calling(fake) as connection:
            connection.request("POST", "/v1/messages", ask(), BEARER)
            connection.getresponse().read()
            fake.refuse_connections()
            with pytest.raises(ConnectionRefusedError), dialing(fake):
                pass
            connection.request("POST", "/v1/messages", ask(), BEARER)
            assert connection.getresponse().status == 200
        fake.accept_connections()
        assert post(fake, ask())[0].status == 200

    def test_a_fault_that_cannot_be_is_a_violation(self, fake: FakeAnthropic) -> None:
        fake.stall_next("message_start")
        with pytest.raises(http.client.RemoteDisconnected):
            post(fake, ask())
        assert "the fake itself failed" in fake.violations[0]


class TestRecords:
    def test_keeps_bytes_in_order_and_case(self, fake: FakeAnthropic) -> None:
        body = b"5\r\n[1,2]\r\n0\r\nX-Sum: 1\r\n\r\n"
        with dialing(fake) as sock:
            sock.sendall(raw(fake, body, b"X-Two: a", b"x-two: b", b"Transfer-Encoding: chunked"))
            recorded = fake.wait_for(1)[0]
        names = [name for name, _ in recorded.headers]
        assert names == [b"Host", b"x-api-key", b"X-Two", b"x-two", b"Transfer-Encoding"]
        assert recorded.header_values("X-TWO") == ["a", "b"]
        assert (recorded.body, recorded.json(), recorded.trailers) == (b"[1,2]", [1, 2], ((b"X-Sum", b"1"),))
        assert (recorded.method, recorded.path, recorded.connection) == ("POST", "/v1/messages", 1)

    @pytest.mark.parametrize("how", ["close", "reset"])
    def test_sees_a_client_leave_in_mid_answer(self, fake: FakeAnthropic, how: str) -> None:
        body = ask("[[slow 1000 0.01]]", stream=True)
        with dialing(fake) as sock:
            sock.sendall(raw(fake, body, b"Content-Length: %d" % len(body)))
            sock.recv(1000)
            if how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        recorded = fake.wait_for_aborts(1)[0]
        assert recorded.aborted is not None
        assert recorded.aborted >= recorded.at
        assert recorded.answered is None
        fake.wait_until(lambda: fake.open_connections == 0)

    def test_sees_a_client_leave_in_mid_body(self, fake: FakeAnthropic) -> None:
        with dialing(fake) as sock:
            sock.sendall(raw(fake, b"half", b"Content-Length: 8"))
            fake.wait_until(lambda: bool(fake.requests) and fake.requests[0].received == 4)
        recorded = fake.wait_for_aborts(1)[0]
        assert (recorded.body, recorded.complete) == (b"half", False)

    def test_waits_and_tells_what_it_saw(self, fake: FakeAnthropic) -> None:
        post(fake, ask())
        with pytest.raises(AssertionError, match=r"waited 0\.01 s for 2 requests; saw \['POST /v1/messages"):
            fake.wait_for(2, 0.01)

    def test_closing_ends_whatever_is_under_way(self) -> None:
        new = NewThreads()
        with FakeAnthropic() as fake, dialing(fake) as idle, dialing(fake) as held:
            hold = fake.hold_next()
            body = ask()
            held.sendall(raw(fake, body, b"Content-Length: %d" % len(body)))
            hold.wait_reached()
            assert new.names() == ["fake-anthropic"]
            fake.close()
            assert to_the_end(held)[0] == b""
            assert to_the_end(idle)[0] == b""
            hold.release()
        assert new.names() == []

    def test_may_be_closed_unstarted(self) -> None:
        FakeAnthropic().close()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_are_well_formed(shape: Shape) -> None:
    assert shape.header("content-length") in (None, str(len(shape.body)))
    assert shape.header("host") == "127.0.0.1:47000"
    if shape.body:
        assert shape.json()["model"].startswith("claude-")


def test_shapes_have_names_of_their_own_and_sizes_of_the_clients() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
    assert 40_000 < len(MAIN.body) < 60_000
    assert (b"Host", b"api.example") in MAIN.upstream_headers(b"api.example")
    assert b"Connection" not in dict(MAIN.upstream_headers(b"api.example"))
