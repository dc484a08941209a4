"""The fake Bedrock fails in every way that a test asks for."""

import http.client
import json
import socket
import struct
import time
from typing import Any

import pytest

from tests.fakes.bedrock import STREAM, FakeBedrock
from tests.fakes.bedrock_frames import Part
from tests.fakes.bedrock_model import ERRORS, EXCEPTIONS, PRIVATE
from tests.fakes.test_bedrock.calls import (
    HAIKU_45,
    OPUS,
    ask,
    calling,
    events_in,
    messages_in,
    post,
    refusal,
    signed_headers,
    stream,
    target_of,
)
from tests.support.threads import NewThreads


class TestFaults:
    @pytest.mark.parametrize("kind", sorted(ERRORS))
    @pytest.mark.parametrize("private", [False, True])
    def test_every_error(self, fake: FakeBedrock, kind: str, *, private: bool) -> None:
        fake.fail_next(kind=kind, private=private, headers={"retry-after": "3"})
        answer, data = post(fake, ask(), operation=STREAM)
        assert answer.status == ERRORS[kind].status
        assert (answer.getheader("x-amzn-errortype") or "").partition(":")[0] == kind
        assert answer.getheader("retry-after") == "3"
        assert answer.getheader("x-amzn-requestid")
        assert not private or all(word.encode() in data for word in PRIVATE)
        assert post(fake, ask(), operation=STREAM)[0].status == 200
        assert fake.refusals == []

    @pytest.mark.parametrize(
        ("status", "kind"), [(None, "ThrottlingException"), (408, "ModelTimeoutException"), (503, "ServiceUnav")]
    )
    def test_errors_by_status(self, fake: FakeBedrock, status: int | None, kind: str) -> None:
        fake.fail_next(status, message="Own words.")
        found = refusal(fake, ask())
        assert found[0] == (status or 429)
        assert found[1].startswith(kind)
        assert found[2] == "Own words."

    def test_errors_that_aws_does_not_name(self, fake: FakeBedrock) -> None:
        fake.fail_next(502, body=b"<html>", headers={"Content-Type": "text/html"})
        answer, data = post(fake, ask())
        assert (answer.status, data) == (502, b"<html>")
        fake.fail_next(413, before_body=True)
        assert post(fake, ask())[0].status == 413

    def test_faults_wait_for_their_operation(self, fake: FakeBedrock) -> None:
        fake.fail_next(500, path=STREAM)
        fake.fail_next(503, path=target_of(HAIKU_45))
        fake.fail_next(424)
        assert post(fake, ask(), model=HAIKU_45)[0].status == 503
        assert post(fake, ask())[0].status == 424
        assert post(fake, ask())[0].status == 200
        assert post(fake, ask(), operation=STREAM)[0].status == 500

    @pytest.mark.parametrize("kind", sorted(EXCEPTIONS))
    @pytest.mark.parametrize(("after", "before"), [("head", 0), ("message_start", 1), ("content_block_delta", 3)])
    def test_exceptions_in_a_stream(self, fake: FakeBedrock, kind: str, after: str, before: int) -> None:
        fake.exception_next(kind, after=after, private=True, original_status=529)
        answer, data = post(fake, ask(), operation=STREAM)
        assert answer.status == 200
        *chunks, (headers, payload) = messages_in(data)
        assert len(chunks) == before
        assert headers == {
            ":exception-type": kind,
            ":content-type": "application/json",
            ":message-type": "exception",
        }
        assert json.loads(payload)["originalStatusCode"] == 529
        assert all(word in json.loads(payload)["message"] for word in PRIVATE)

    def test_other_errors_in_a_stream(self, fake: FakeBedrock) -> None:
        fake.unmodeled_error_next("internalFailure", message="no")
        *_, (headers, payload) = messages_in(post(fake, ask(), operation=STREAM)[1])
        assert headers == {":error-code": "internalFailure", ":error-message": "no", ":message-type": "error"}
        assert payload == b""
        fake.first_event_error_next()
        assert [event["type"] for event in stream(fake, ask())] == ["error"]
        with pytest.raises(NotImplementedError):
            fake.limit_next()

    @pytest.mark.parametrize("part", ["prelude", "length", "payload", "message"])
    def test_corrupts_one_message(self, fake: FakeBedrock, part: Part) -> None:
        fake.corrupt_next(part, after="content_block_start")
        read = messages_in(post(fake, ask(), operation=STREAM)[1])
        assert len([next(read) for _ in range(2)]) == 2
        with pytest.raises((AssertionError, struct.error)):
            next(read)

    def test_truncates(self, fake: FakeBedrock) -> None:
        fake.truncate_next()
        read = messages_in(post(fake, ask(), operation=STREAM)[1])
        assert len([next(read) for _ in range(3)]) == 3
        with pytest.raises(struct.error):
            next(read)

    @pytest.mark.parametrize("how", ["close", "reset"])
    def test_cuts(self, fake: FakeBedrock, how: Any) -> None:
        fake.cut_next("mid-event", how)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            post(fake, ask(), operation=STREAM)
        fake.cut_next("before-head", how)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            post(fake, ask(), operation=STREAM)

    def test_refuses_connections(self, fake: FakeBedrock) -> None:
        fake.refuse_connections()
        with pytest.raises(ConnectionRefusedError):
            post(fake, ask())
        fake.accept_connections()
        assert post(fake, ask())[0].status == 200

    def test_holds_and_delays(self, fake: FakeBedrock) -> None:
        hold = fake.hold_next("content_block_delta")
        fake.delay_next(0.2, "message_stop")
        with calling(fake) as connection:
            data = json.dumps(ask()).encode()
            target = target_of(OPUS, STREAM)
            connection.request("POST", target, data, signed_headers(fake, target, data))
            answer = connection.getresponse()
            hold.wait_reached()
            first = answer.read1(100000)
            hold.release()
            rest = answer.read()
        assert len(events_in(first + rest)) == 7
        start = time.monotonic()
        stream(fake, ask())
        assert time.monotonic() - start > 0.19

    def test_stalls_till_the_client_leaves(self, fake: FakeBedrock) -> None:
        fake.stall_next("content_block_delta")
        with calling(fake) as connection:
            data = json.dumps(ask()).encode()
            target = target_of(OPUS, STREAM)
            connection.request("POST", target, data, signed_headers(fake, target, data))
            answer = connection.getresponse()
            assert len(list(messages_in(answer.read1(100000)))) >= 1
            answer.close()
        assert fake.wait_for_aborts(1)[0].status == 200

    def test_a_refusal_takes_the_place_of_a_fault_in_mid_stream(self, fake: FakeBedrock) -> None:
        for verb in (fake.exception_next, fake.corrupt_next, fake.truncate_next):
            verb()
            assert refusal(fake, ask(stream=True), operation=STREAM)[0] == 400
        assert fake.violations == []

    def test_ends_everything(self) -> None:
        new = NewThreads()
        with FakeBedrock() as fake:
            fake.stall_next("message_start")
            sock = socket.create_connection(("127.0.0.1", fake.port))
            target, data = target_of(OPUS, STREAM), json.dumps(ask()).encode()
            head = "".join(f"{name}: {value}\r\n" for name, value in signed_headers(fake, target, data).items())
            sock.sendall(f"POST {target} HTTP/1.1\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            assert sock.recv(20).startswith(b"HTTP/1.1 200 OK")
            assert new.names() == ["fake-bedrock"]
        with sock:
            sock.settimeout(5)
            try:
                while sock.recv(65536):
                    pass
            except ConnectionResetError:
                pass
        assert new.names() == []
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", fake.port))
