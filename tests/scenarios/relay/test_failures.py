"""When Anthropic fails: what is tried again, what is told, and that nothing broken looks whole."""

import json
import re
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import get_args

import pytest
import trustme

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_http import How
from tests.fakes.anthropic_steps import Coding, Cut, Wire
from tests.fakes.upstream import Script, Upstream, says
from tests.scenarios.relay.conftest import Scene
from tests.scenarios.relay.raw import JSON, RawClient, RawReply, ask, chunked, messages, request
from tests.support.calls import message
from tests.support.daemon import Daemon
from tests.support.stopwatch import Stopwatch

CONFIG = """
[router]
num_retries = 2
retry_after = 0.05
timeout = 4

[anthropic]
first_byte_timeout = 0.5
response_timeout = 1
connect_timeout = 1
"""
TRIES = 3
GZIP = b"Accept-Encoding: gzip"
STREAM = messages("[[say some words]]", stream=True)
WHOLE = messages("[[say some words]]")


# A connection that had been idle.


@pytest.mark.parametrize("how", get_args(How))
def test_a_reused_connection_that_dies_gets_one_fresh_try_uncounted(scene: Scene, how: How) -> None:
    """One only, on a new connection though there are others, and also where nothing may be tried again."""
    with Daemon(upstream=scene.fake.url, config="[router]\nnum_retries=0\n") as daemon:
        for data in (WHOLE, STREAM, request("GET", "/v1/models"), request("DELETE", "/v1/files/x")):
            holds = [scene.fake.hold_next("head") for _ in range(4)]
            with ThreadPoolExecutor() as pool:
                replies = [pool.submit(ask, daemon.port, WHOLE) for _ in holds]
                for hold in holds:
                    hold.wait_reached()
                for hold in holds:
                    hold.release()
                assert [reply.result().status for reply in replies] == [200] * 4
            deaths = scene.fake.deaths
            scene.fake.die_on_reuse_next(how, times=4)
            assert ask(daemon.port, data).status in (200, 404)
            assert scene.fake.deaths == deaths + 1
            scene.fake.clear_faults()
        assert daemon.status()["retries"] == 0
        assert len(scene.fake.wait_for(4 * 5)) == 4 * 5


def test_idle_connections_that_were_closed_are_not_used(scene: Scene) -> None:
    for how in get_args(How):
        assert scene.ask(WHOLE).status == 200
        assert scene.fake.close_idle_now(how) >= 1
        assert scene.ask(WHOLE).status == 200


def test_an_upload_never_goes_out_on_an_old_connection(scene: Scene) -> None:
    assert scene.ask(WHOLE).status == 200
    scene.fake.die_on_reuse_next(times=9)
    for target in ("/v1/files", "/v1/messages/batches"):
        assert scene.ask(request("POST", target, JSON, body=b"{}")).status == 400
    assert [r.path for r in scene.fake.wait_for(3)[1:]] == ["/v1/files", "/v1/messages/batches"]
    scene.fake.clear_faults()
    scene.fake.close_idle_now()


# What is tried again.


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520, 522, 524, 527, 529, 530])
@pytest.mark.parametrize("stream", [True, False])
def test_a_failure_is_tried_again(scene: Scene, status: int, stream: bool) -> None:
    scene.fake.fail_next(status, times=TRIES - 1)
    reply = scene.ask(STREAM if stream else WHOLE)
    assert reply.status == 200
    assert b"words" in reply.body.replace(b"some words", b"words")
    first, *others = scene.fake.wait_for(TRIES)
    assert [(r.head, r.body) for r in others] == [(first.head, first.body)] * (TRIES - 1)
    assert [r.status for r in scene.fake.requests] == [status] * (TRIES - 1) + [200]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_after_the_last_try_the_answer_goes_on_as_it_is(scene: Scene, status: int) -> None:
    for n in range(TRIES):
        scene.fake.fail_next(
            status, headers=[("X-Try", str(n)), ("Set-Cookie", "a=1"), ("retry-after", "0")], message=f"try {n}"
        )
    reply = scene.ask(WHOLE)
    assert reply.status == status
    assert reply.values("x-try") == [b"2"]
    assert reply.values("x-should-retry") == [b"true"]
    assert reply.values("request-id")
    assert json.loads(reply.body)["error"]["message"] == "try 2"
    assert len(scene.fake.wait_for(TRIES)) == TRIES


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 413, 418, 422, 429, 499, 501, 505, 528])
def test_any_other_status_is_passed_on_at_once(scene: Scene, status: int) -> None:
    scene.fake.fail_next(status, headers={"retry-after": "0", "x-should-retry": "true"}, message="as it is")
    reply = scene.ask(STREAM)
    assert reply.status == status
    assert json.loads(reply.body)["error"]["message"] == "as it is"
    assert reply.values("retry-after") == [b"0"]
    assert len(scene.fake.requests) == 1


def test_a_used_up_limit_is_passed_on_with_its_headers(scene: Scene) -> None:
    scene.fake.limit_next(retry_after=0)
    reply = scene.ask(STREAM)
    assert reply.status == 429
    assert reply.values("anthropic-ratelimit-unified-status") == [b"rejected"]
    assert len(scene.fake.requests) == 1


def test_not_after_should_retry_false(scene: Scene) -> None:
    scene.fake.fail_next(529, headers={"x-should-retry": "false"})
    assert scene.ask(WHOLE).status == 529
    assert len(scene.fake.requests) == 1


@pytest.mark.parametrize("wait", ["4", "3600", "1e9", "Sun, 22 Nov 2026 20:00:00 GMT"])
def test_not_after_a_retry_after_that_is_longer_than_what_is_left(scene: Scene, wait: str) -> None:
    scene.fake.fail_next(503, headers={"Retry-After": wait})
    with Stopwatch() as watch:
        reply = scene.ask(WHOLE)
    assert (reply.status, reply.values("retry-after")) == (503, [wait.encode()])
    assert watch.elapsed < watch.pace, watch
    assert len(scene.fake.requests) == 1


def test_a_short_retry_after_is_waited_for(scene: Scene) -> None:
    scene.fake.fail_next(503, headers={"retry-after": "0.7"})
    assert scene.ask(WHOLE).status == 200
    first, second = scene.fake.wait_for(2)
    assert 0.65 < second.at - first.at < 2


@pytest.mark.parametrize(
    ("method", "target", "tries"),
    [
        ("GET", "/v1/models", TRIES),
        ("HEAD", "/v1/models", TRIES),
        ("DELETE", "/v1/files/x", TRIES),
        ("PUT", "/v1/next/year", TRIES),
        ("OPTIONS", "/v1/models", TRIES),
        ("POST", "/v1/messages/batches", 1),
        ("POST", "/v1/messages/batches/x/cancel", 1),
        ("POST", "/v1/messages/count_tokens", 1),
        ("POST", "/v1/files", 1),
        ("PATCH", "/v1/next/year", 1),
    ],
)
@pytest.mark.parametrize("broken", [False, True])
def test_only_what_may_be_done_twice_is_tried_again(
    scene: Scene, method: str, target: str, tries: int, broken: bool
) -> None:
    scene.fake.close_idle_now()  # an old connection that breaks would have a try more
    if broken:
        scene.fake.cut_next("before-head", path=target, times=tries)
    else:
        scene.fake.fail_next(529, path=target, times=tries)
    body = b'{"model":"x"}' if method == "POST" and not target.endswith("cancel") else None
    reply = scene.ask(request(method, target, *([JSON] if body else []), body=body))
    assert reply.status == (502 if broken else 529)
    assert len(scene.fake.requests) == tries


@pytest.mark.parametrize("how", get_args(How))
@pytest.mark.parametrize("after", ["nothing", "before-head", "half-head"])
def test_a_connection_that_breaks_before_the_answer_is_tried_again(scene: Scene, after: Cut, how: How) -> None:
    scene.fake.cut_next(after, how, times=TRIES - 1)
    assert scene.ask(STREAM).status == 200
    assert len(scene.fake.requests) == TRIES


def test_the_original_answer_is_kept_while_worse_comes(scene: Scene) -> None:
    scene.fake.close_idle_now()
    scene.fake.fail_next(529, headers=[("X-Mark", "kept"), ("set-cookie", "a=1")], message="the original")
    scene.fake.cut_next("before-head")  # on the connection of that answer: uncounted
    scene.fake.cut_next("before-head", times=TRIES - 1)
    reply = scene.ask(WHOLE)
    assert len(scene.fake.requests) == TRIES + 1
    assert reply.status == 529
    assert json.loads(reply.body)["error"]["message"] == "the original"
    names = [line.partition(b":")[0] for line in reply.lines]
    scene.fake.fail_next(529, headers=[("X-Mark", "kept"), ("set-cookie", "a=1"), ("x-should-retry", "false")])
    at_once = scene.ask(WHOLE)
    assert sorted(names) == sorted(line.partition(b":")[0] for line in at_once.lines)
    assert names[-3:] == [b"Content-Length", b"x-gateway-upstream", b"x-gateway-fallback"]


def test_timeout_bounds_all_tries_together(scene: Scene) -> None:
    with Daemon(upstream=scene.fake.url, config="[router]\nnum_retries=100\nretry_after=0.3\ntimeout=1\n") as daemon:
        scene.fake.fail_next(529, times=20)
        with Stopwatch() as watch:
            assert ask(daemon.port, WHOLE).status == 529
        scene.fake.clear_faults()
        # the last one comes when no other would within the second: the fourth, where each takes no time
        assert 0.7 < watch.elapsed < 1 + 0.2 * watch.pace, watch
        times = [recorded.at for recorded in scene.fake.requests]
        assert 2 <= len(times) <= 4
        pauses = [later - earlier for earlier, later in pairwise(times)]
        assert all(0.28 < pause < 0.3 + 0.1 * watch.pace for pause in pauses), (pauses, str(watch))


# Nothing there.


def test_refused(scene: Scene) -> None:
    scene.fake.refuse_connections()
    scene.fake.close_idle_now()
    try:
        for data in (WHOLE, STREAM, request("GET", "/v1/models"), request("POST", "/v1/files", body=b"x")):
            reply = scene.ask(data)
            assert reply.status == 502
            assert re.match("cannot reach Anthropic: 127.0.0.1 could not be reached: .*refused", reply.error())
        anthropic = scene.daemon.status()["anthropic"]
        assert "refused" in anthropic["failure"]
        assert anthropic["state"] == "failing"
    finally:
        scene.fake.accept_connections()
    assert scene.ask(WHOLE).status == 200


def test_no_such_name_is_offline() -> None:
    config = "[router]\nnum_retries=1\nretry_after=0\n"
    with Daemon(upstream="https://nowhere.invalid", config=config) as daemon:
        reply = ask(daemon.port, WHOLE)
        assert reply.status == 502
        assert "offline" in reply.error()
        assert "nowhere.invalid" in reply.error()


def test_nobody_accepts() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        where = listener.getsockname()
        waiting = []
        for _ in range(4):  # the kernel keeps one more than it is asked to, and drops the rest
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(where)
            waiting.append(sock)
        config = "[router]\nnum_retries=0\n[anthropic]\nconnect_timeout=0.4\n"
        with Daemon(upstream=f"http://127.0.0.1:{where[1]}", config=config) as daemon:
            begun = time.monotonic()
            reply = ask(daemon.port, WHOLE)
            assert (reply.status, reply.error()) == (
                504,
                "cannot reach Anthropic: 127.0.0.1 could not be reached within 0.4 s",
            )
            assert 0.3 < time.monotonic() - begun < 1.5
        for sock in waiting:
            sock.close()


# Silence.


@pytest.mark.parametrize("data", [STREAM, WHOLE])
def test_no_first_byte(scene: Scene, data: bytes) -> None:
    """Where nobody can step in no try is given up to begin another, and `first_byte_timeout` is not asked."""
    scene.fake.hold_next("head")
    begun = time.monotonic()
    reply = scene.ask(data)
    assert reply.status == 504
    assert "no byte of an answer came in time" in reply.error()
    assert 1.0 <= time.monotonic() - begun < 2.5
    assert len(scene.fake.wait_for_aborts(1)) == len(scene.fake.requests) == 1


def test_a_client_that_waits_longer_is_waited_with(scene: Scene) -> None:
    scene.fake.delay_next(2.0, "head")
    assert scene.ask(messages("hi", b"x-stainless-timeout: 600", stream=True)).status == 200
    assert len(scene.fake.requests) == 1


def test_a_body_on_its_way_has_its_time(scene: Scene) -> None:
    """The time for an answer runs from the end of an upload, not from its beginning."""
    with scene.client() as client:
        client.send(request("POST", "/v1/files", b"Content-Length: 4"))
        for _ in range(4):
            time.sleep(0.4)
            client.send(b"x")
        assert client.reply().status == 400


def test_silence_in_mid_stream_ends_in_an_error_event(scene: Scene) -> None:
    scene.fake.stall_next("content_block_delta")
    with scene.client() as client:
        client.send(STREAM)
        client.read_to(b"content_block_delta")
        begun = time.monotonic()
        assert "no byte of its answer came in time" in broken_off(client.reply(), "timeout_error")
        assert 0.8 < time.monotonic() - begun < 2


def test_silence_in_a_whole_answer_ends_in_a_reset(scene: Scene) -> None:
    scene.fake.stall_next("head")
    assert is_reset(scene, WHOLE)


@pytest.mark.parametrize("after", ["message_start", "content_block_delta"])
def test_pings_alone_are_heard_for_three_times_the_silence(scene: Scene, after: str) -> None:
    scene.fake.stall_next(after, ping_every=0.3)
    with scene.client() as client:
        client.send(STREAM)
        client.more()
        begun = time.monotonic()
        reply = client.reply()
        said = broken_off(reply, "timeout_error")
        assert said == "Anthropic's answer broke off: nothing of its answer but pings came in time"
        assert reply.body.count(b"event: ping") >= 5
        assert 2.2 < time.monotonic() - begun < 4.5


# Broken off.


def broken_off(reply: RawReply, kind: str = "api_error") -> str:
    """Return what the last event of a stream says, which is an error of ours; the stream itself ends in order."""
    assert reply.status == 200
    *_, last, nothing = reply.body.split(b"\n\n")
    assert nothing == b""
    name, data = last.split(b"\n")
    assert name == b"event: error"
    said = json.loads(data.removeprefix(b"data: "))
    assert (said["type"], said["error"]["type"]) == ("error", kind)
    assert b"event: message_stop" not in reply.body
    text: str = said["error"]["message"]
    assert text.startswith("Anthropic's answer broke off: ")
    return text


def is_reset(scene: Scene, data: bytes) -> bool:
    with scene.client() as client:
        client.send(data)
        try:
            ended = client.to_the_end()
        except ConnectionResetError:
            assert client.seen.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"event: error" not in client.seen
            assert b"\r\n0\r\n\r\n" not in client.seen
            return True
        raise AssertionError(f"not reset: {ended[-300:]!r}")


WHAT_COMES = {
    "plain": {
        **dict.fromkeys(("nothing", "before-head", "half-head"), "502"),
        **dict.fromkeys(("head", "first-event"), "error event"),
        **dict.fromkeys(("mid-event", "mid-chunk"), "reset"),
        "last-event": "whole",  # all but the framing's own end
    },
    "gzip": {
        **dict.fromkeys(("nothing", "before-head", "half-head"), "502"),
        **dict.fromkeys(("head", "first-event", "mid-event", "mid-chunk", "last-event"), "reset"),
    },
    "not streamed": {
        **dict.fromkeys(("nothing", "before-head", "half-head"), "502"),
        **dict.fromkeys(("head", "mid-event", "mid-chunk"), "reset"),
        **dict.fromkeys(("first-event", "last-event"), "whole"),
    },
    "not streamed, chunked": {
        **dict.fromkeys(("nothing", "before-head", "half-head"), "502"),
        **dict.fromkeys(("head", "first-event", "mid-event", "mid-chunk", "last-event"), "reset"),
    },
}


@pytest.mark.parametrize("how", get_args(How))
@pytest.mark.parametrize("after", get_args(Cut))
@pytest.mark.parametrize("kind", WHAT_COMES)
def test_an_upstream_that_breaks_off_in_each_phase(scene: Scene, kind: str, after: Cut, how: How) -> None:
    scene.fake.cut_next(after, how, times=TRIES)
    data = STREAM if kind == "plain" else messages("hi", GZIP, stream=True) if kind == "gzip" else WHOLE
    scene.fake.wire = Wire(
        compression="gzip" if kind == "gzip" else "", framing="chunked" if "chunked" in kind else "auto"
    )
    try:
        match WHAT_COMES[kind][after]:
            case "502":
                reply = scene.ask(data)
                assert reply.status == 502
                assert re.match(
                    "cannot reach Anthropic: it closed the connection (without|in the middle of)", reply.error()
                )
            case "error event":
                assert "it closed the connection in the middle of its answer" in broken_off(scene.ask(data))
            case "reset":
                assert is_reset(scene, data)
            case _:
                reply = scene.ask(data)
                assert reply.status == 200
                assert reply.body.endswith(b'{"type":"message_stop" }\n\n' if kind == "plain" else b"}")
    finally:
        scene.fake.wire = Wire()
        scene.fake.clear_faults()


@pytest.mark.parametrize("after", ["first-event", "mid-event", "last-event"])
def test_a_body_without_a_length_that_is_reset_is_reset(scene: Scene, after: Cut) -> None:
    """Where only the end of a connection ends a body, an orderly end would say that it is whole."""
    for framing in ("close", "chunked"):
        scene.fake.wire = Wire(framing=framing)
        scene.fake.cut_next(after, "reset", path="/v1/models")
        with scene.client() as client:
            client.send(b"GET /v1/models HTTP/1.0\r\nx-api-key: invented\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                client.to_the_end()
    scene.fake.wire = Wire()


def test_a_stream_to_http_1_0_that_breaks_is_reset(scene: Scene) -> None:
    scene.fake.cut_next("mid-event")
    body = message(stream=True)
    with scene.client() as client:
        client.send(b"POST /v1/messages HTTP/1.0\r\nx-api-key: y\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        with pytest.raises(ConnectionResetError):
            client.to_the_end()


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("after", ["head", "message_start", "ping", "content_block_delta", "message_delta"])
def test_a_clean_end_without_message_stop_is_none(scene: Scene, after: str, framing: str) -> None:
    scene.fake.wire = Wire(framing=framing)  # type: ignore[arg-type]
    try:
        scene.fake.end_without_message_stop_next(after)
        assert "its stream ended without message_stop" in broken_off(scene.ask(STREAM))
    finally:
        scene.fake.wire = Wire()


@pytest.mark.parametrize("compression", ["", "gzip", "br", "zstd"])
@pytest.mark.parametrize("after", ["message_start", "content_block_delta", "message_delta"])
def test_a_stream_with_a_length_is_not_whole_by_that(scene: Scene, after: str, compression: Coding) -> None:
    """A proxy that keeps answers until they are whole gives a length to what it has got."""
    scene.fake.wire = Wire(framing="length", compression=compression)
    data = messages("hi", b"Accept-Encoding: gzip, br, zstd", stream=True)
    assert scene.ask(data).values("content-length") != []
    scene.fake.end_without_message_stop_next(after)
    assert is_reset(scene, data)
    scene.fake.event_error_next(after=after)
    assert scene.ask(data).status == 200
    scene.fake.cut_next("mid-event")
    assert is_reset(scene, data)


def test_the_connection_is_good_for_more_after_an_error_event(scene: Scene) -> None:
    with scene.client() as client:
        for _ in range(3):
            scene.fake.cut_next("first-event")
            client.send(STREAM)
            assert broken_off(client.reply())
        client.send(STREAM)
        assert client.reply().body.endswith(b'{"type":"message_stop" }\n\n')


@pytest.mark.parametrize("after", ["head", "message_start", "content_block_delta", "message_delta"])
def test_an_error_event_of_anthropic_passes_as_it_is(scene: Scene, after: str) -> None:
    scene.fake.event_error_next(after=after, message="Overloaded, says Anthropic")
    reply = scene.ask(STREAM)
    assert reply.body.count(b"event: error\n") == 1
    assert b"Overloaded, says Anthropic" in reply.body.split(b"\n\n")[-2]
    assert len(scene.fake.requests) == 1


# What is no answer of Anthropic's.


@pytest.mark.parametrize("status", [200, 302, 403, 511])
def test_a_web_page_comes_back_as_it_is(scene: Scene, status: int) -> None:
    scene.fake.html_next(status)
    reply = scene.ask(STREAM)
    assert (reply.status, reply.values("content-type")) == (status, [b"text/html"])
    assert reply.body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("status", [502, 503])
def test_a_web_page_of_a_server_in_trouble_is_tried_again(scene: Scene, status: int) -> None:
    scene.fake.html_next(status, times=TRIES - 1)
    assert scene.ask(STREAM).status == 200
    scene.fake.html_next(status, times=TRIES)
    reply = scene.ask(STREAM)
    assert (reply.status, reply.body[:15]) == (status, b"<!DOCTYPE html>")


OK = b"HTTP/1.1 200 OK\r\n"
NO_HTTP = {
    "tls": b"\x15\x03\x01\x00\x02\x02\x46",
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "smtp": b"220 mail.example ESMTP\r\n\r\n",
    "html": b"<html><body>Bad Gateway</body></html>\n",
    "h2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18),
    "nul": bytes(100),
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "lf-before": b"\n" + OK + b"Content-Length: 0\r\n\r\n",
    "nul-in-reason": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
    "no-colon": OK + b"no header\r\n\r\n",
    "folded": OK + b"X-A: 1\r\n  2\r\nContent-Length: 0\r\n\r\n",
    "blank-before-colon": OK + b"Content-Length : 0\r\n\r\n",
    "two-lengths": OK + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
    "length-and-chunked": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative": OK + b"Content-Length: -1\r\n\r\n",
    "other-coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "cr": OK + b"X-A: b\rContent-Length: 9\r\nContent-Length: 0\r\n\r\n",
    "status": b"HTTP/1.1 abc OK\r\n\r\n",
    "version": b"HTTP/2.0 200 OK\r\n\r\n",
    "tunnel": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "only-interim": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "endless": OK + b"X-Long: " + b"y" * 70000,
    "large": OK + b"X-Long: " + b"y" * 70000 + b"\r\n\r\n",
    "half": OK + b"Content-Len",
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_is_502(upstream: Upstream, port: int, name: str) -> None:
    for _ in range(TRIES):
        upstream.will(says(NO_HTTP[name]))
    reply = ask(port, STREAM)
    assert reply.status == 502
    assert reply.error().startswith("cannot reach Anthropic: it")
    upstream.will(says(OK + b"Content-Length: 0\r\n\r\n"))
    assert ask(port, WHOLE).status == 200


def test_an_answer_that_nobody_asked_for_is_given_to_nobody(upstream: Upstream, port: int) -> None:
    one = OK + b"Content-Length: 3\r\n\r\none"
    upstream.will(says(one + OK + b"Content-Length: 6\r\n\r\npoison", close=False))
    assert ask(port, WHOLE).body == b"one"
    upstream.will(says(OK + b"Content-Length: 3\r\n\r\ntwo"))
    assert ask(port, WHOLE).body == b"two"


@pytest.mark.parametrize(
    "rubbish", [b"xyz\r\n", b"-5\r\n", b"5\r\nhello!!!\r\n", b"5;\x00\r\n", b"fffffffffffffffff\r\n"]
)
def test_chunks_that_are_none(upstream: Upstream, port: int, rubbish: bytes) -> None:
    head = OK + b"Content-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
    event = b"event: message_start\ndata: {}\n\n"
    begun = chunked([event])[:-5]
    begun_is_seen = threading.Event()

    def script(kind: bytes) -> Script:
        def run(conn: socket.socket) -> None:
            conn.sendall(head % kind + begun)
            assert begun_is_seen.wait(10)
            begun_is_seen.clear()
            conn.sendall(rubbish)

        return run

    upstream.will(script(b"application/json"))
    with RawClient(port) as client:
        client.send(WHOLE)
        client.read_to(event)
        begun_is_seen.set()
        with pytest.raises(ConnectionResetError):
            client.to_the_end()
    upstream.will(script(b"text/event-stream"))
    with RawClient(port) as client:
        client.send(STREAM)
        client.read_to(event)
        begun_is_seen.set()
        assert "its answer is not HTTP/1.1" in broken_off(client.reply())


@pytest.mark.parametrize("kind", ["counted", "chunked"])
def test_an_answer_before_the_end_of_the_upload(scene: Scene, kind: str) -> None:
    scene.fake.fail_next(413, before_body=True, path="/v1/files", message="too large, says Anthropic")
    data = b"x" * 3_000_000
    head = request(
        "POST", "/v1/files", b"Transfer-Encoding: chunked" if kind == "chunked" else b"Content-Length: 3000000"
    )
    with scene.client() as client:
        client.send(head)
        reply = client.reply()
        assert reply.status == 413
        assert b"too large, says Anthropic" in reply.body
        assert b"Connection: close" in reply.lines
        client.send(chunked([data]) if kind == "chunked" else data)


def test_a_certificate_that_nobody_trusts_is_told_at_once() -> None:
    """Only a person can mend it: neither we nor the client may keep trying."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with FakeAnthropic(tls=context) as fake:
        url = f"https://localhost:{fake.port}"
        with Daemon(upstream=url, environ={"CLAUDE_GATEWAY_ROUTER_RETRY_AFTER": "20"}) as daemon:
            reply = ask(daemon.port, WHOLE)
            assert reply.status == 502
            assert "not trusted" in reply.error()
            assert "signed by trustme" in reply.error()
            assert "[network] ca_file" in reply.error()
            assert reply.values("x-should-retry") == [b"false"]
        assert fake.requests == []


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("compression", ["gzip", "deflate", "br", "zstd"])
def test_a_compressed_stream_that_ends_too_early_is_reset(scene: Scene, framing: str, compression: Coding) -> None:
    scene.fake.wire = Wire(framing=framing, compression=compression)  # type: ignore[arg-type]
    scene.fake.end_without_message_stop_next("content_block_delta")
    with scene.client() as client:
        client.send(messages("[[say some words]]", b"Accept-Encoding: gzip, deflate, br, zstd", stream=True))
        with pytest.raises(ConnectionResetError):
            client.to_the_end()
        assert [request.coding for request in scene.fake.requests] == [compression]


def test_retries_end_with_their_time_though_anthropic_is_silent(scene: Scene) -> None:
    """The time for retries is for all of them: the wait between two and the wait for an answer count too."""
    scene.fake.fail_next(503)
    hold = scene.fake.hold_next("head")
    environ = {"CLAUDE_GATEWAY_ROUTER_TIMEOUT": "2", "CLAUDE_GATEWAY_ROUTER_RETRY_AFTER": "1.5"}
    with Daemon(upstream=scene.fake.url, environ=environ) as daemon:
        begun = time.monotonic()
        reply = ask(daemon.port, WHOLE)
        took = time.monotonic() - begun
    hold.release()
    assert reply.status == 503  # Anthropic's own, which was kept
    assert 1.5 < took < 3.5


def test_a_client_that_goes_while_a_failure_is_kept_leaves_nothing_open(upstream: Upstream, port: int) -> None:
    """The failure's body never ends: it is being read, to be kept, when the client goes."""
    told, ended = threading.Event(), threading.Event()

    def fails_slowly(conn: socket.socket) -> None:
        conn.sendall(b"HTTP/1.1 529 Overloaded\r\nContent-Length: 100\r\n\r\nsome")
        told.set()
        conn.settimeout(4)  # less than the time in which a failure has to be read
        try:
            if not conn.recv(1):
                ended.set()
        except ConnectionResetError:
            ended.set()

    upstream.will(fails_slowly)
    with RawClient(port) as client:
        client.send(WHOLE)
        assert told.wait(10)
        client.reset()
        assert ended.wait(3)
