"""LiteLLM's HTTP clients: no redirect is followed by any, and of an error each reads a part, for a while."""

import asyncio
import gzip
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator

import aiohttp
import httpx
import pytest
import requests

from claude_gatewayd.worker.engine.network import http_clients
from claude_gatewayd.worker.engine.request_context import RequestContext, current_request
from tests.fakes.upstream import Upstream, says
from tests.support.effort import effort

HTML = b"<p>The service is unavailable.</p>\n"
LARGE = HTML * 150_000  # 5 MB


def answer(status: int, *lines: bytes, body: bytes = b"") -> bytes:
    head = [b"HTTP/1.1 %d Said" % status, b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


@pytest.fixture(autouse=True)
def _restrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restrain the clients for one test."""
    for where, name in (
        (httpx.Client, "send"),
        (httpx.AsyncClient, "send"),
        (aiohttp.ClientSession, "_request"),
        (requests.Session, "send"),
    ):
        monkeypatch.setattr(where, name, getattr(where, name))  # to be put back
    http_clients.install_limits()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as it:
        yield it


def ask_httpx(url: str, stream: bool) -> httpx.Response:
    with httpx.Client(follow_redirects=True) as client:
        request = client.build_request("POST", url, content=b"the prompt", headers={"x-amz-security-token": "secret"})
        return client.send(request, stream=stream)


def ask_httpx_async(url: str, stream: bool) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(follow_redirects=True) as client:
            request = client.build_request(
                "POST", url, content=b"the prompt", headers={"x-amz-security-token": "secret"}
            )
            return await client.send(request, stream=stream)

    return asyncio.run(ask())


WAYS = pytest.mark.parametrize("ask", [ask_httpx, ask_httpx_async])
STREAM = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
Ask = Callable[[str, bool], httpx.Response]


@WAYS
@STREAM
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(upstream: Upstream, ask: Ask, stream: bool, status: int) -> None:
    with Upstream() as other:
        upstream.will(says(answer(status, b"Location: %b/there?token=secret" % other.url.encode())))
        reply = ask(upstream.url, stream)
        assert other.requests.empty()
    assert reply.status_code == 502
    host = other.url.removeprefix("http://")
    assert reply.json()["message"] == f"it answered {status}, a redirect to {host}, and no redirect is followed"
    with pytest.raises(httpx.HTTPStatusError):
        reply.raise_for_status()


@pytest.mark.parametrize("location", ["http://user:secret@host.example/", "//\u00e4/", ""])
def test_a_location_that_is_none(upstream: Upstream, location: str) -> None:
    upstream.will(says(answer(307, b"Location: " + location.encode())))
    message = ask_httpx(upstream.url, False).json()["message"]
    assert "secret" not in message
    assert "\u00e4" not in message


@WAYS
@STREAM
@pytest.mark.parametrize("coding", ["", "gzip", "deflate", "br", "zstd"])
def test_a_large_error_is_read_in_part(upstream: Upstream, ask: Ask, stream: bool, coding: str) -> None:
    upstream.will(says(answer(503, b"Content-Encoding: " + coding.encode(), body=coded(LARGE, coding))))
    reply = ask(upstream.url, stream)
    assert reply.status_code == 503
    assert LARGE.startswith(reply.content)
    assert http_clients.MAX_ERROR - len(HTML) < len(reply.content) <= http_clients.MAX_ERROR


def coded(body: bytes, coding: str) -> bytes:
    import brotli
    import zstandard

    encoders: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.compress,
    }
    return encoders[coding](body)


@WAYS
@pytest.mark.parametrize("coding", [b"gzip", b"gzip, gzip", b"of nobody"])
def test_a_bomb(upstream: Upstream, ask: Ask, coding: bytes) -> None:
    bomb = gzip.compress(b"\0" * 128 * 1024 * 1024, 1)
    if b"," in coding:
        bomb = gzip.compress(bomb)
    upstream.will(says(answer(500, b"Content-Encoding: " + coding, body=bomb)))
    with effort() as spent:
        reply = ask(upstream.url, False)
    assert reply.status_code == 500
    assert len(reply.content) <= http_clients.MAX_ERROR
    assert spent.amount < 100


@WAYS
def test_a_small_error_is_whole(upstream: Upstream, ask: Ask) -> None:
    body = json.dumps({"message": "no"}).encode()
    upstream.will(says(answer(400, b"Content-Encoding: gzip", b"x-amzn-errortype: Kind", body=gzip.compress(body))))
    reply = ask(upstream.url, True)
    assert reply.content == body
    assert reply.headers["x-amzn-errortype"] == "Kind"
    assert reply.request.headers["x-amz-security-token"] == "secret"
    assert reply.elapsed.total_seconds() >= 0


@WAYS
def test_an_error_that_breaks_off(upstream: Upstream, ask: Ask) -> None:
    upstream.will(says(b"HTTP/1.1 503 Said\r\nContent-Length: 99\r\n\r\nso far"))
    reply = ask(upstream.url, False)
    assert (reply.status_code, reply.content) == (503, b"so far")


@WAYS
def test_an_error_that_comes_drop_by_drop(upstream: Upstream, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_clients, "READ_TIMEOUT", 0.3)
    done = threading.Event()

    def drips(conn: socket.socket) -> None:
        conn.sendall(b"HTTP/1.1 503 Said\r\nContent-Length: 99999\r\n\r\n")
        while not done.wait(0.02):
            conn.sendall(b"x")

    upstream.will(drips)
    try:
        reply = ask(upstream.url, False)
    finally:
        done.set()
    assert reply.status_code == 503
    assert 0 < len(reply.content) < 1000


@WAYS
@STREAM
def test_a_page_is_no_success(upstream: Upstream, ask: Ask, stream: bool) -> None:
    upstream.will(says(answer(200, b"Content-Type: text/html; charset=utf-8", body=LARGE)))
    reply = ask(upstream.url, stream)
    assert reply.status_code == 502
    assert "with a page (text/html)" in reply.json()["message"]


@WAYS
@STREAM
def test_a_success_is_as_it_was(upstream: Upstream, ask: Ask, stream: bool) -> None:
    upstream.will(says(answer(200, b"Content-Encoding: gzip", body=gzip.compress(HTML))))
    reply = ask(upstream.url, stream)
    assert reply.is_stream_consumed != stream
    if not stream:
        assert reply.content == HTML


def test_the_others_follow_no_redirect_either(upstream: Upstream) -> None:
    async def ask(url: str) -> int:
        async with aiohttp.ClientSession() as session, session.post(url, data=b"the prompt") as reply:
            return reply.status

    ways: list[Callable[[str], int]] = [
        lambda url: asyncio.run(ask(url)),
        lambda url: requests.post(url, data=b"the prompt", timeout=5).status_code,
    ]
    with Upstream() as other:
        for way in ways:
            upstream.will(says(answer(307, b"Location: " + other.url.encode())))
            assert way(upstream.url) == 307
        assert other.requests.empty()


@pytest.mark.parametrize("coding", ["", "gzip", "of nobody"])
@pytest.mark.parametrize(("body", "ended"), [(b"data: x\n\ndata: [DONE]\n\n", True), (b'data: "[DONE]"\n\n', False)])
def test_a_stream_that_says_that_it_is_over(upstream: Upstream, coding: str, body: bytes, ended: bool) -> None:
    context = RequestContext()

    async def ask() -> bytes:
        current_request.set(context)
        async with httpx.AsyncClient() as client, client.stream("POST", upstream.url) as reply:
            return b"".join([raw async for raw in reply.aiter_raw()])

    sent = coded(body, coding) if coding in ("", "gzip") else body
    lines = [b"Content-Type: text/event-stream"] + ([b"Content-Encoding: " + coding.encode()] if coding else [])
    upstream.will(says(answer(200, *lines, body=sent)))
    assert asyncio.run(ask()) == sent
    assert context.ended is (ended or coding == "of nobody"), "of what we cannot read we do not say that it is cut"
