"""What an upstream of LiteLLM's answers, when it is no success: large, compressed, slow, leading elsewhere.

On every way to one: Bedrock's lane, the routes in OpenAI's format, models of the person's own.
"""

import gzip
import json
import socket
import threading
import time

import pytest

from tests.fakes.bedrock_frames import EVENT_STREAM, exception_piece
from tests.fakes.upstream import Script, Upstream, says
from tests.scenarios.fallback.elsewhere import Elsewhere
from tests.support.stage import MODEL, Reply, Stage

pytestmark = pytest.mark.slow

BEDROCK, DIRECT = f"{MODEL}-bedrock", f"{MODEL}-bedrock, directly"
MODELS = [BEDROCK, DIRECT, "own-openai", "own-anthropic", "own-invoke", "own-converse", "own-azure", "own-gemini"]
HTML = b"<p>The service is unavailable, master_key: abc.</p>\n"
FRAMED = b"HTTP/1.1 %d Said\r\nContent-Type: text/html\r\n%bContent-Length: %d\r\n\r\n"

on_every_way = pytest.mark.parametrize(
    ("path", "model", "stream"),
    [(path, model, stream) for path in ("/v1/messages", "/v1/chat/completions") for model in MODELS
     for stream in (True, False) if (path, model) != ("/v1/chat/completions", DIRECT)],
)  # fmt: skip


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, model: str) -> Elsewhere:
    """Return the stage for one test: that whose Bedrock is asked as the model says."""
    found: Elsewhere = request.getfixturevalue("elsewhere_direct" if model == DIRECT else "elsewhere_loaded")
    return found.emptied()


def ask(stage: Stage, path: str, model: str, stream: bool) -> Reply:
    messages = [{"role": "user", "content": "the prompt"}]
    return stage.ask(
        json.dumps(
            {"model": BEDROCK if model == DIRECT else model, "messages": messages, "max_tokens": 99, "stream": stream}
        ).encode(),
        path=path,
    )


def failed(reply: Reply) -> bool:
    return reply.status >= 400 or b"event: error\n" in reply.body  # an adapter of LiteLLM's begins a stream by itself


class Lag:
    """How long the daemon took at most to answer what it answers by itself, while something else went on."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._measure)
        self.most = 0.0

    def _measure(self) -> None:
        while not self._done.wait(0.02):
            began = time.monotonic()
            assert self._stage.ask(b"", path="/", method="HEAD").status == 200
            self.most = max(self.most, time.monotonic() - began)

    def __enter__(self) -> "Lag":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def page(status: int, body: bytes, *lines: bytes) -> Script:
    return says(FRAMED % (status, b"".join(line + b"\r\n" for line in lines), len(body)) + body)


@on_every_way
def test_a_large_page(elsewhere: Elsewhere, path: str, model: str, stream: bool) -> None:
    elsewhere.upstream.will(page(503, HTML * 100_000))
    with Lag(elsewhere.stage) as lag:
        reply = ask(elsewhere.stage, path, model, stream)
    assert failed(reply), reply
    assert len(reply.body) < 70_000
    assert lag.most < 1.5
    elsewhere.upstream.request()


BOMB = gzip.compress(HTML[:1] * 512 * 1024 * 1024, 1)


@on_every_way
def test_a_bomb(elsewhere: Elsewhere, path: str, model: str, stream: bool) -> None:
    elsewhere.upstream.will(page(503, BOMB, b"Content-Encoding: gzip"))
    with Lag(elsewhere.stage) as lag:
        reply = ask(elsewhere.stage, path, model, stream)
    assert failed(reply), reply
    assert lag.most < 1.5
    elsewhere.upstream.request()


@on_every_way
def test_a_redirect(elsewhere: Elsewhere, path: str, model: str, stream: bool) -> None:
    with Upstream() as other:
        elsewhere.upstream.will(page(307, b"", b"Location: %b/there" % other.url.encode()))
        reply = ask(elsewhere.stage, path, model, stream)
        assert other.requests.empty()
    assert failed(reply), reply
    assert b"answered 307, a redirect to " in reply.body
    assert b"the prompt" in elsewhere.upstream.request()
    assert elsewhere.upstream.requests.empty()


@pytest.mark.parametrize("model", MODELS)
def test_a_page_that_comes_drop_by_drop(elsewhere: Elsewhere, model: str) -> None:
    done = threading.Event()

    def drips(conn: socket.socket) -> None:
        conn.sendall(FRAMED % (503, b"", 99_999))
        while not done.wait(0.05):
            conn.sendall(b"<p>")

    elsewhere.upstream.will(drips)
    began = time.monotonic()
    try:
        reply = ask(elsewhere.stage, "/v1/messages", model, True)
    finally:
        done.set()
    assert failed(reply), reply
    assert time.monotonic() - began < 10
    elsewhere.upstream.request()


@on_every_way
def test_a_large_page_that_calls_itself_a_success(elsewhere: Elsewhere, path: str, model: str, stream: bool) -> None:
    """As the login page of a network does."""
    elsewhere.upstream.will(page(200, HTML * 100_000))
    with Lag(elsewhere.stage) as lag:
        reply = ask(elsewhere.stage, path, model, stream)
    assert failed(reply), reply
    assert len(reply.body) < 70_000
    assert b"with a page (text/html)" in reply.body
    assert lag.most < 1.5


LARGE = "x master_key: abc\n" * 50_000
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"


def streamed(content_type: bytes, *events: bytes) -> Script:
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    return says(CHUNKED % content_type, *chunks, b"0\r\n\r\n")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
@pytest.mark.parametrize("model", [BEDROCK, DIRECT, "own-invoke", "own-converse", "own-anthropic", "own-openai"])
def test_a_large_error_in_the_middle_of_a_stream(elsewhere: Elsewhere, path: str, model: str) -> None:
    error = exception_piece("modelStreamErrorException", {"message": LARGE}).data
    said = json.dumps({"type": "error", "error": {"type": "api_error", "message": LARGE}}).encode()
    script = streamed(EVENT_STREAM, error)
    if model == "own-anthropic":
        script = streamed(b"text/event-stream", b"event: error\ndata: " + said + b"\n\n")
    elif model == "own-openai":
        script = streamed(b"text/event-stream", b"data: " + said + b"\n\n")
    elsewhere.upstream.will(script)
    with Lag(elsewhere.stage) as lag:
        reply = ask(elsewhere.stage, path, model, True)
    assert failed(reply), reply
    assert len(reply.body) < 70_000
    assert lag.most < 1.5
