"""ASGI middleware around LiteLLM's application: who may call which routes, and what an error may reveal."""

import asyncio
import hmac
import json
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
SPENDS = b"x-gateway-spends: yes"  # the caller may use our AWS keys and the person's own models
_API_BASE = b"x-litellm-model-api-base"
_MODEL_HEADERS = b"x-litellm-model-"  # names and URLs, which may hold an ARN
_MAX_ERROR = 65536
_ERROR = b"event: error\n"
_NOT_FOUND = b'{"type": "error", "error": {"type": "not_found_error", "message": "there is nothing here"}}'


class AccessMiddleware:
    """Let only the gateway, by *key*, call *app*, on few routes. Cancel the work for a client that is gone."""

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
        is_gateway = hmac.compare_digest(headers.get(b"authorization", b""), self._authorization)
        if not is_gateway or scope["method"] != "POST" or scope["path"] not in (MESSAGES, *OPENAI_ROUTES):
            await send(
                {"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"application/json")]}
            )
            await send({"type": "http.response.body", "body": _NOT_FOUND})
            return
        context = RequestContext(
            ticket=headers.get(b"x-gateway-ticket", b"").decode("latin-1"),
            may_spend=b"x-gateway-spends" in headers,
            model_id=headers.get(b"x-gateway-model-id", b"").decode("latin-1"),
            caller=headers.get(b"x-gateway-caller", b"").decode("latin-1"),
        )
        # Without a ticket the caller is Bedrock's lane, which words errors for the client itself.
        context.for_lane = scope["path"] == MESSAGES and not context.ticket
        current_request.set(context)
        reply = _BedrockReply(send, context) if context.for_lane else _MaskedReply(send, context)
        client = _Client(receive)
        work = asyncio.create_task(self._app(scope, client.receive, reply))
        gone = asyncio.create_task(client.gone())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            work.cancel()  # or Bedrock goes on writing, and charging for, an answer that nobody wants
        await asyncio.gather(work, gone, return_exceptions=True)


class _Client:
    """The gateway's end of a request. LiteLLM notices a disconnect only when it next sends, or never."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._body_read = asyncio.Event()

    async def receive(self) -> Message:
        """Return the next message of the request."""
        if self._body_read.is_set():
            await asyncio.Event().wait()  # the next message is for `gone`, which ends the request
        message = await self._receive()
        if not message.get("more_body", False):
            self._body_read.set()
        return message

    async def gone(self) -> None:
        """Return when the client has disconnected."""
        await self._body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


class _MaskedReply:
    """Send LiteLLM's answer on, with its errors masked, and with the URL of the upstream in a header.

    LiteLLM sets that header for some providers only, and never for Bedrock.
    """

    def __init__(self, send: Send, context: RequestContext) -> None:
        self._send = send
        self._context = context
        self._failed: Message | None = None  # the head of an error
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(n, v) for n, v in message.get("headers", ()) if v or n != _API_BASE]
            if self._context.api_base and _API_BASE not in dict(headers):
                headers.append((_API_BASE, self._context.api_base.encode("latin-1", "replace")))
            headers = [(n, _mask(v) if n.startswith(_MODEL_HEADERS) else v) for n, v in headers]
            message = {**message, "headers": headers}
            if message["status"] < 400:
                await self._send(message)
            else:
                self._failed = message
        elif self._failed is None:
            await self._send({**message, "body": _masked_events(message.get("body", b""))})
        else:
            self._body = (self._body + message.get("body", b""))[:_MAX_ERROR]
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
    """Mask errors among the events of a stream, which LiteLLM sends one by one. The rest stays unchanged."""
    if b'"error"' not in data:
        return data
    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        if line.startswith(b"data: {"):
            try:
                event = json.loads(line[6:])
            except (ValueError, RecursionError):
                continue
            masked_event = _masked_in(event, everywhere=event.get("type") == "error")
            if masked_event != event:
                lines[number] = b"data: " + json.dumps(masked_event).encode()
    return b"\n".join(lines)


def _masked_in(value: Any, *, everywhere: bool) -> Any:
    """Return a JSON value with its texts masked: all of them, or those within an "error"."""
    if isinstance(value, str):
        return masked(value) if everywhere else value
    if isinstance(value, list):
        return [_masked_in(inner, everywhere=everywhere) for inner in value]
    if isinstance(value, dict):
        return {key: _masked_in(inner, everywhere=everywhere or key == "error") for key, inner in value.items()}
    return value


def _mask(text: bytes) -> bytes:
    return masked(text.decode(errors="replace")).encode()


class _BedrockReply:
    """Send Bedrock's answer to its lane, with Bedrock's id of the request, and failures in Bedrock's own words.

    LiteLLM wraps those in its own, and ends an incomplete stream with an error that tells the client of LiteLLM.
    """

    def __init__(self, send: Send, context: RequestContext) -> None:
        self._send = send
        self._context = context
        self._failed = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] >= 400:
                self._failed = True
                self._body = b""
                self._status: int = message["status"]
                return
            headers = [*message.get("headers", ()), *self._request_id()]
            await self._send({**message, "headers": headers})
        elif self._failed:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_failure()
        else:
            body = message.get("body", b"")
            if body.startswith(_ERROR):
                body = b""
            if not message.get("more_body", False):
                body += self._last_event()
            await self._send({**message, "body": body})

    async def _send_failure(self) -> None:
        failure = self._context.failure
        if failure is None or not failure.status:
            failure = _litellm_failure(self._status, self._body)
        body = failure.as_json()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers += self._request_id()
        await self._send({"type": "http.response.start", "status": max(failure.status, 400), "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _last_event(self) -> bytes:
        """Return the error that ends a stream, if the request has failed."""
        failure = self._context.failure
        if failure is None:
            return b""
        failure = failure._replace(status=failure.status or 502)
        return b"\n\nevent: engine_error\ndata: " + failure.as_json() + b"\n\n"

    def _request_id(self) -> list[tuple[bytes, bytes]]:
        """Return the header for Bedrock's id of the request. LiteLLM has one of another name, and for streams only."""
        request_id = self._context.request_id
        return [(b"x-amzn-requestid", request_id.encode("latin-1", "replace"))] if request_id else []


def _litellm_failure(status: int, body: bytes) -> BedrockFailure:
    """Return the failure that LiteLLM describes itself."""
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        message = ""
    return BedrockFailure("", status, str(message)[:2000])
