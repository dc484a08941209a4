"""What stands before LiteLLM's application: who gets through, and how failures are told."""

import asyncio
import json
from typing import Any

import pytest

from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.worker.engine.middleware import SPENDS, AccessMiddleware
from claude_gatewayd.worker.engine.request_context import current_request

KEY = "invented"
OF_BEDROCK = [(b"authorization", b"Bearer invented"), (b"x-gateway-model-id", b"arn:x")]
GOOD = [*OF_BEDROCK, (b"x-gateway-ticket", b"t-1")]
BASE = b"x-litellm-model-api-base"
ARN = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/mine"


class App:
    """An application that answers as it is told, and notes what it was asked."""

    def __init__(self, *messages: dict[str, Any], failure: BedrockFailure | None = None, holds: bool = False) -> None:
        self.messages = messages
        self.failure = failure
        self.holds = holds
        self.asked: list[tuple[str, str]] = []
        self.spends = False
        self.cancelled = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        context = current_request.get()
        assert context is not None
        self.asked.append((context.ticket, context.model_id))
        self.spends = context.may_spend
        await receive()
        context.failure = self.failure
        for message in self.messages:
            await send(message)
        try:
            if self.holds:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def head(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sent(
    app: App, method: str = "POST", path: str = "/v1/messages", headers: Any = OF_BEDROCK, *, leaves: bool = False
) -> list[dict[str, Any]]:
    """Return the messages of the answer."""

    async def talk() -> list[dict[str, Any]]:
        sent_messages: list[dict[str, Any]] = []
        coming = [{"type": "http.request", "body": b"{}", "more_body": False}]

        async def receive() -> Any:
            if coming:
                return coming.pop()
            if not leaves:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent_messages.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        async with asyncio.timeout(5):
            await AccessMiddleware(app, KEY)(scope, receive, send)
        return sent_messages

    return asyncio.run(talk())


def ask(app: App, *asked: Any, leaves: bool = False, **more: Any) -> tuple[int, bytes]:
    """Return status and body of the answer."""
    messages = sent(app, *asked, leaves=leaves, **more)
    starts = [message["status"] for message in messages if message["type"] == "http.response.start"]
    return starts[0] if starts else 0, b"".join(message.get("body", b"") for message in messages)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/v1/messages", []),
        ("POST", "/v1/messages", [(b"authorization", b"Bearer inventef")]),
        ("GET", "/v1/messages", GOOD),
        *(("POST", path, GOOD) for path in ("/key/generate", "/model/new", "/config/update", "/v1/messages/", "/ui/")),
        *(("GET", path, GOOD) for path in ("/openapi.json", "/health", "/model/info", "/")),
    ],
)
def test_who_does_not_get_through(method: str, path: str, headers: Any) -> None:
    app = App(head(), body(b"in"))
    status, reply = ask(app, method, path, headers)
    assert status == 404
    assert json.loads(reply)["error"]["type"] == "not_found_error"
    assert app.asked == []


@pytest.mark.parametrize("path", ["/v1/messages", "/chat/completions", "/v1/chat/completions", "/v1/embeddings"])
def test_who_gets_through(path: str) -> None:
    app = App(head(), body(b"in", more=True), body(b"side"))
    assert ask(app, path=path, headers=GOOD) == (200, b"inside")
    assert app.asked == [("t-1", "arn:x")]


@pytest.mark.parametrize("path", ["/v1/messages", "/chat/completions"])
def test_money_is_spent_by_the_gateways_word_alone(path: str) -> None:
    app = App(head(), body(b"in"))
    for headers in (OF_BEDROCK, GOOD):
        ask(app, path=path, headers=headers)
        assert not app.spends
        ask(app, path=path, headers=[*headers, tuple(SPENDS.split(b": "))])
        assert app.spends


def test_a_failure_is_told_in_bedrocks_words() -> None:
    app = App(head(500), body(b"LiteLLM says"), failure=BedrockFailure("ThrottlingException", 429, "Too many"))
    status, reply = ask(app)
    assert (status, json.loads(reply)) == (429, {"kind": "ThrottlingException", "status": 429, "message": "Too many"})


def test_a_failure_of_litellms_own() -> None:
    status, reply = ask(App(head(400), body(json.dumps({"error": {"message": "no such model"}}).encode())))
    assert (status, json.loads(reply)) == (400, {"kind": "", "status": 400, "message": "no such model"})


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/messages"])
def test_a_failure_for_the_client_is_as_litellm_says_it(path: str) -> None:
    app = App(
        head(429), body(b"as OpenAI "), body(b"says it"), failure=BedrockFailure("ThrottlingException", 429, "Too many")
    )
    app.messages[1]["more_body"] = True
    assert ask(app, path=path, headers=GOOD) == (429, b"as OpenAI says it")


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/messages"])
def test_a_failure_for_the_client_tells_nothing_of_an_account(path: str) -> None:
    error = {"error": {"message": f"not for {ARN}, 123456789012", "code": "403", "more": [{"of": ARN}], "param": None}}
    text = json.dumps(error).encode()
    length = (b"content-length", b"%d" % len(text))
    messages = sent(App(head(403, length), body(text)), path=path, headers=GOOD)
    assert json.loads(messages[1]["body"]) == {
        "error": {"message": "not for ***, ***", "code": "403", "more": [{"of": "***"}], "param": None}
    }
    assert messages[0]["headers"] == [(b"content-length", b"%d" % len(messages[1]["body"]))]


def test_a_failure_that_is_no_json_tells_nothing_either() -> None:
    assert ask(App(head(500), body(f"at {ARN}".encode())), path="/completions", headers=GOOD) == (500, b"at ***")
    long = b"x" * 200_000 + ARN.encode()
    assert ARN.encode() not in ask(App(head(500), body(long)), path="/completions", headers=GOOD)[1]


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [([], b"https://here"), ([(BASE, b"")], b"https://here"), ([(BASE, b"https://there")], b"https://there")],
)
def test_where_litellm_has_asked(theirs: Any, expected: bytes) -> None:
    class Asks(App):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            context = current_request.get()
            assert context is not None
            context.api_base = "https://here"
            await super().__call__(scope, receive, send)

    for status in (200, 500):
        start = sent(Asks(head(status, *theirs), body(b"{}")), path="/completions", headers=GOOD)[0]
        assert [value for name, value in start["headers"] if name == BASE] == [expected]


def test_names_of_models_in_headers_tell_nothing_either() -> None:
    url = (b"x-litellm-model-api-base", b"https://aws.test/model/" + ARN.replace(":", "%3A").encode() + b"/invoke")
    start = sent(App(head(200, url, (b"x-other", b"123456789012")), body(b"")), path="/completions", headers=GOOD)[0]
    assert b"123456789012" not in start["headers"][0][1]
    assert start["headers"][1] == (b"x-other", b"123456789012")


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (f'data: {{"error": {{"message": "at {ARN}"}}}}\n\n', 'data: {"error": {"message": "at ***"}}\n\n'),
        (
            f'event: error\ndata: {{"type": "error", "error": {{"message": "{ARN}"}}, "of": "{ARN}"}}\n\n',
            'event: error\ndata: {"type": "error", "error": {"message": "***"}, "of": "***"}\n\n',
        ),
        (f'data: {{"text": "{ARN}", "error":null}}\n\n', None),  # what a model says is for the client as it is
        (f'data: {{"delta": "{{\\"error\\": \\"{ARN}\\"}}"}}\n\n', None),
        ('data: {"error"\n\n', None),
        ("data: [DONE]\n\n", None),
    ],
)
def test_an_error_in_a_stream_tells_nothing_either(frame: str, expected: str | None) -> None:
    app = App(head(), body(b"data: {}\n\n", more=True), body(frame.encode(), more=True), body(b""))
    messages = sent(app, path="/chat/completions", headers=GOOD)
    assert [message.get("body") for message in messages] == [None, b"data: {}\n\n", (expected or frame).encode(), b""]


def test_a_stream_that_fails_ends_with_why() -> None:
    app = App(
        head(), body(b"event: x\n\n", more=True), body(b""), failure=BedrockFailure("throttlingException", 429, "m")
    )
    status, reply = ask(app)
    assert status == 200
    assert reply.startswith(b"event: x\n\n")
    name, data = reply.decode().strip().split("\n\n")[-1].split("\n")
    assert name == "event: engine_error"
    assert json.loads(data.removeprefix("data: "))["kind"] == "throttlingException"


def test_a_stream_that_fails_for_no_known_reason_is_no_fault_of_the_request() -> None:
    reply = ask(App(head(), body(b"event: x\n\n", more=True), body(b""), failure=BedrockFailure("", 0, "")))[1]
    assert json.loads(reply.rpartition(b"data: ")[2])["status"] == 502


@pytest.mark.parametrize("last", [True, False])
def test_litellms_own_words_for_an_incomplete_stream_are_dropped(last: bool) -> None:
    """What Bedrock has said of it is in the context; without that, the lane knows by the missing end."""
    error = body(
        b'event: error\ndata: {"type": "error", "error": {"message": "Provider stream ended"}}\n\n', more=not last
    )
    assert ask(App(head(), body(CHUNK, more=True), error, body(b""))) == (200, CHUNK)


@pytest.mark.parametrize("status", [200, 429])
def test_bedrocks_id_of_the_request(status: int) -> None:
    class Noted(App):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            context = current_request.get()
            assert context is not None
            context.request_id = "0-1"
            await super().__call__(scope, receive, send)

    start = sent(Noted(head(status), body(b"{}")))[0]
    assert (b"x-amzn-requestid", b"0-1") in start["headers"]


def test_whoever_leaves_wants_no_more() -> None:
    app = App(head(), body(b"x", more=True), holds=True)
    ask(app, leaves=True)
    assert app.cancelled


CHUNK = b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {}}\n\n'


def test_several_events_in_one_piece_are_left_alone() -> None:
    piece = CHUNK + b'event: ping\ndata: {"type": "ping"}\n\n' + CHUNK
    assert ask(App(head(), body(piece, more=True), body(b""))) == (200, piece)
