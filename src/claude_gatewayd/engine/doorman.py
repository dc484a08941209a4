"""What stands before LiteLLM's own application: few routes, one key, and failures in the upstream's own words."""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from claude_gatewayd.engine.record import Record, Trouble, record

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]

MESSAGES = "/v1/messages"
OPENAI_ROUTES = frozenset(
    f"{version}/{name}"
    for version in ("", "/v1")
    for name in ("chat/completions", "completions", "embeddings", "responses")
)
_NOT_FOUND = b'{"type": "error", "error": {"type": "not_found_error", "message": "there is nothing here"}}'


class Doorman:
    """Let the gateway through to *app*, by *key*, on the routes that are open; refuse all else."""

    def __init__(self, app: Asgi, key: str) -> None:
        self._app = app
        self._authorization = b"Bearer " + key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, by ASGI 3."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        known = hmac.compare_digest(headers.get(b"authorization", b""), self._authorization)
        if not known or scope["method"] != "POST" or scope["path"] not in (MESSAGES, *OPENAI_ROUTES):
            await send(
                {"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"application/json")]}
            )
            await send({"type": "http.response.body", "body": _NOT_FOUND})
            return
        here = Record(
            ticket=headers.get(b"x-gateway-ticket", b"").decode("latin-1"),
            model_id=headers.get(b"x-gateway-model-id", b"").decode("latin-1"),
        )
        record.set(here)
        told = _Bedrock(send, here) if scope["path"] == MESSAGES else send
        client = _Client(receive)
        work = asyncio.create_task(self._app(scope, client.receive, told))
        gone = asyncio.create_task(client.gone())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            work.cancel()  # nobody wants the answer any more: Bedrock shall not write it, nor be paid for it
        await asyncio.gather(work, gone, return_exceptions=True)


class _Client:
    """The gateway's end of a request. LiteLLM notices that it has gone with the next event that it sends, or never."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._body_read = asyncio.Event()

    async def receive(self) -> Message:
        """Return the next of the request."""
        if self._body_read.is_set():
            await asyncio.Event().wait()  # what comes now is for `gone`, which ends all of it
        message = await self._receive()
        if not message.get("more_body", False):
            self._body_read.set()
        return message

    async def gone(self) -> None:
        """Return when it has gone."""
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


class _Bedrock:
    """Tell of failures at Bedrock in the words of Bedrock, which LiteLLM wraps up in its own."""

    def __init__(self, send: Send, here: Record) -> None:
        self._send = send
        self._here = here
        self._failed = False
        self._tail = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._failed = True
            self._body = b""
            self._status: int = message["status"]
        elif self._failed and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._tell_trouble()
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._end(message)
        else:
            if message["type"] == "http.response.body":
                self._tail = (self._tail + message.get("body", b""))[-256:]
            await self._send(message)

    async def _tell_trouble(self) -> None:
        trouble = self._here.trouble
        if trouble is None or not trouble.status:
            trouble = _own_words(self._status, self._body)
        body = trouble.as_json()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": trouble.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def _end(self, message: Message) -> None:
        """End a stream: with what went wrong, where something did."""
        trouble = self._here.trouble
        if trouble is None:
            await self._send(message)
            return
        trouble = trouble if trouble.status else Trouble(trouble.kind, 502, trouble.message)
        event = b"\n\nevent: engine_error\ndata: " + trouble.as_json() + b"\n\n"
        await self._send({"type": "http.response.body", "body": message.get("body", b"") + event})


def _own_words(status: int, body: bytes) -> Trouble:
    """Read what LiteLLM says of itself."""
    try:
        said = json.loads(body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        said = ""
    return Trouble("", status, str(said)[:2000])
