"""What stands before LiteLLM's application: who gets through, and how failures are told."""

import asyncio
import json
from typing import Any

import pytest

from claude_gatewayd.engine.doorman import Doorman
from claude_gatewayd.engine.record import Trouble, record

KEY = "invented"
GOOD = [(b"authorization", b"Bearer invented"), (b"x-gateway-ticket", b"t-1"), (b"x-gateway-model-id", b"arn:x")]


class App:
    """An application that answers as it is told, and notes what it was asked."""

    def __init__(self, *said: dict[str, Any], trouble: Trouble | None = None, holds: bool = False) -> None:
        self.said = said
        self.trouble = trouble
        self.holds = holds
        self.asked: list[tuple[str, str]] = []
        self.cancelled = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        here = record.get()
        assert here is not None
        self.asked.append((here.ticket, here.model_id))
        await receive()
        here.trouble = self.trouble
        for message in self.said:
            await send(message)
        try:
            if self.holds:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def head(status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": []}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def ask(
    app: App, method: str = "POST", path: str = "/v1/messages", headers: Any = GOOD, *, leaves: bool = False
) -> Any:
    """Return status and body of the answer."""

    async def talk() -> tuple[int, bytes]:
        sent: list[dict[str, Any]] = []
        coming = [{"type": "http.request", "body": b"{}", "more_body": False}]

        async def receive() -> Any:
            if coming:
                return coming.pop()
            if not leaves:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        async with asyncio.timeout(5):
            await Doorman(app, KEY)(scope, receive, send)
        starts = [message["status"] for message in sent if message["type"] == "http.response.start"]
        return starts[0] if starts else 0, b"".join(message.get("body", b"") for message in sent)

    return asyncio.run(talk())


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
    status, said = ask(app, method, path, headers)
    assert status == 404
    assert json.loads(said)["error"]["type"] == "not_found_error"
    assert app.asked == []


@pytest.mark.parametrize("path", ["/v1/messages", "/chat/completions", "/v1/chat/completions", "/v1/embeddings"])
def test_who_gets_through(path: str) -> None:
    app = App(head(), body(b"in", more=True), body(b"side"))
    assert ask(app, path=path) == (200, b"inside")
    assert app.asked == [("t-1", "arn:x")]


def test_a_failure_is_told_in_bedrocks_words() -> None:
    app = App(head(500), body(b"LiteLLM says"), trouble=Trouble("ThrottlingException", 429, "Too many"))
    status, said = ask(app)
    assert (status, json.loads(said)) == (429, {"kind": "ThrottlingException", "status": 429, "message": "Too many"})


def test_a_failure_of_litellms_own() -> None:
    status, said = ask(App(head(400), body(json.dumps({"error": {"message": "no such model"}}).encode())))
    assert (status, json.loads(said)) == (400, {"kind": "", "status": 400, "message": "no such model"})


def test_a_failure_on_other_routes_is_as_it_is() -> None:
    app = App(head(429), body(b"as OpenAI says it"), trouble=Trouble("ThrottlingException", 429, "Too many"))
    assert ask(app, path="/chat/completions") == (429, b"as OpenAI says it")


def test_a_stream_that_fails_ends_with_why() -> None:
    app = App(head(), body(b"event: x\n\n", more=True), body(b""), trouble=Trouble("throttlingException", 429, "m"))
    status, said = ask(app)
    assert status == 200
    assert said.startswith(b"event: x\n\n")
    name, data = said.decode().strip().split("\n\n")[-1].split("\n")
    assert name == "event: engine_error"
    assert json.loads(data.removeprefix("data: "))["kind"] == "throttlingException"


def test_whoever_leaves_wants_no_more() -> None:
    app = App(head(), body(b"x", more=True), holds=True)
    ask(app, leaves=True)
    assert app.cancelled
