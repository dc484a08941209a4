"""What stands before LiteLLM's own application: few routes, one key, and failures in the upstream's own words."""

import asyncio
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from claude_gatewayd.bedrock.errors import BedrockFailure, masked
from claude_gatewayd.worker.engine.request_context import RequestContext, current_request

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
SPENDS = b"x-gateway-spends: yes"  # the gateway's word that this caller may
_API_BASE = b"x-litellm-model-api-base"
_OF_A_MODEL = b"x-litellm-model-"  # names and URLs: an ARN may be among them
_LONGEST = 65536  # of an error
_DATA = re.compile(rb"^data: (.*)$", re.MULTILINE)
_NOT_FOUND = b'{"type": "error", "error": {"type": "not_found_error", "message": "there is nothing here"}}'


class AccessMiddleware:
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
        context = RequestContext(
            ticket=headers.get(b"x-gateway-ticket", b"").decode("latin-1"),
            spends=b"x-gateway-spends" in headers,
            model_id=headers.get(b"x-gateway-model-id", b"").decode("latin-1"),
            caller=headers.get(b"x-gateway-caller", b"").decode("latin-1"),
        )
        current_request.set(context)
        # Without a ticket it is Bedrock's lane that asks, and tells the client itself what went wrong.
        told = _Bedrock(send, context) if scope["path"] == MESSAGES and not context.ticket else _Masked(send, context)
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


class _Masked:
    """Pass on what LiteLLM says to the client, less what its errors tell of an account, and where it has asked.

    That it tells of some providers only, and never of Bedrock.
    """

    def __init__(self, send: Send, context: RequestContext) -> None:
        self._send = send
        self._context = context
        self._failed: Message | None = None  # the beginning of an error
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(n, v) for n, v in message.get("headers", ()) if v or n != _API_BASE]
            if self._context.api_base and _API_BASE not in dict(headers):
                headers.append((_API_BASE, self._context.api_base.encode("latin-1", "replace")))
            headers = [(n, _mask(v) if n.startswith(_OF_A_MODEL) else v) for n, v in headers]
            message = {**message, "headers": headers}
            if message["status"] < 400:
                await self._send(message)
            else:
                self._failed = message
        elif self._failed is None:
            await self._send({**message, "body": _masked_events(message.get("body", b""))})
        else:
            self._body = (self._body + message.get("body", b""))[:_LONGEST]
            if not message.get("more_body", False):
                body = _masked_body(self._body)
                headers = [(n, v) for n, v in self._failed["headers"] if n != b"content-length"]
                headers.append((b"content-length", b"%d" % len(body)))
                await self._send({**self._failed, "headers": headers})
                await self._send({"type": "http.response.body", "body": body})


def _masked_body(body: bytes) -> bytes:
    try:
        return json.dumps(_masked_in(json.loads(body), everywhere=True)).encode()
    except (ValueError, RecursionError):
        return _mask(body)


def _masked_events(data: bytes) -> bytes:
    """Mask the errors among the events of a stream; LiteLLM sends each in one piece. All else stays as it is."""
    if b'"error"' not in data:
        return data
    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        if line.startswith(b"data: {"):
            try:
                said = json.loads(line[6:])
            except (ValueError, RecursionError):
                continue
            told = _masked_in(said, everywhere=said.get("type") == "error")
            if told != said:
                lines[number] = b"data: " + json.dumps(told).encode()
    return b"\n".join(lines)


def _masked_in(said: Any, *, everywhere: bool) -> Any:
    """Return *said* with its texts masked: all, or those of an "error" in it."""
    if isinstance(said, str):
        return masked(said) if everywhere else said
    if isinstance(said, list):
        return [_masked_in(inner, everywhere=everywhere) for inner in said]
    if isinstance(said, dict):
        return {key: _masked_in(inner, everywhere=everywhere or key == "error") for key, inner in said.items()}
    return said


def _mask(text: bytes) -> bytes:
    return masked(text.decode(errors="replace")).encode()


class _Bedrock:
    """Tell of failures at Bedrock in the words of Bedrock, which LiteLLM wraps up in its own."""

    def __init__(self, send: Send, context: RequestContext) -> None:
        self._send = send
        self._context = context
        self._failed = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._failed = True
            self._body = b""
            self._status: int = message["status"]
        elif self._failed and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_failure()
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._end(message)
        else:
            if message["type"] == "http.response.body":
                message = {**message, "body": _as_named(message.get("body", b""))}
            await self._send(message)

    async def _send_failure(self) -> None:
        failure = self._context.failure
        if failure is None or not failure.status:
            failure = _own_words(self._status, self._body)
        body = failure.as_json()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": failure.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def _end(self, message: Message) -> None:
        """End a stream: with what went wrong, where something did."""
        failure = self._context.failure
        if failure is None:
            await self._send({**message, "body": _as_named(message.get("body", b""))})
            return
        status = failure.status
        if not status or (status == 400 and failure.kind.lower() != "validationexception"):
            status = 502  # the answer has begun: what the request asked for has been understood
        failure = BedrockFailure(failure.kind, status, failure.message)
        event = b"\n\nevent: engine_error\ndata: " + failure.as_json() + b"\n\n"
        await self._send({"type": "http.response.body", "body": message.get("body", b"") + event})


def _as_named(piece: bytes) -> bytes:
    """Return the next of a stream, or that it is broken: LiteLLM writes an event's type as a line, whatever is in it.

    It sends each event in one piece. A type with a line's end in it would make lines, and events, of its own.
    """
    if not piece.startswith(b"event: ") or (piece.count(b"\n") == 3 and b"\r" not in piece):
        return piece
    for event in piece.split(b"\n\n"):
        name = event.partition(b"\n")[0].removeprefix(b"event: ")
        for data in _DATA.findall(event):
            try:
                said = json.loads(data)
            except (ValueError, RecursionError):
                continue  # it is seen by whoever reads the stream
            if isinstance(said, dict) and (b"\r" in name or said.get("type") != name.decode(errors="replace")):
                return b"event: engine_error\ndata: " + BedrockFailure("Broken", 502, "").as_json() + b"\n\n"
    return piece


def _own_words(status: int, body: bytes) -> BedrockFailure:
    """Read what LiteLLM says of itself."""
    try:
        said = json.loads(body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        said = ""
    return BedrockFailure("", status, str(said)[:2000])
