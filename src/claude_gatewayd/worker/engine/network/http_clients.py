"""Limits for LiteLLM's HTTP clients: redirects are not followed, and only the beginning of an error is read.

LiteLLM uses httpx (its own handlers, with aiohttp as a transport too, and the SDKs of OpenAI and Anthropic), and in few
places aiohttp or requests directly. The limits are set in these libraries, because LiteLLM has dozens of handlers.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
from httpx import Request, Response

from claude_gatewayd.anthropic import sse
from claude_gatewayd.http1 import content_coding
from claude_gatewayd.http1.upstream import no_answer
from claude_gatewayd.worker.engine.network import bedrock_answers
from claude_gatewayd.worker.engine.request_context import RequestContext, current_request

MAX_ERROR = 64 * 1024  # bytes of an error, decoded
READ_TIMEOUT = 5.0  # seconds, for a body that trickles in
_MAX_REDACTED = 16 * 1024  # LiteLLM's expressions take 0.5 ms per KiB, and hold the interpreter meanwhile
# OpenAI's end mark, and Gemini's finishReason: LiteLLM takes each of Gemini's chunks for the last.
_END_MARK = re.compile(rb'(?:\A|[\r\n])data: ?\[DONE\]|[{,\s]"finishReason"\s*:')
_TAIL = 64


def install_limits() -> None:
    """Apply the limits to every client of this process, existing or new."""
    _limit_httpx()
    _limit_others()


def look_less_often() -> None:
    """Have aiohttp look once a minute, not every two seconds, for connections whose TLS was not closed properly.

    Each client looks, used or not. Python 3.12.7 and later need none of it (aiohttp's NEEDS_CLEANUP_CLOSED).
    """
    from aiohttp import BaseConnector

    BaseConnector._cleanup_closed_period = 60.0


def limit_redaction() -> None:
    """Let LiteLLM search only the beginning of a text for secrets, and drop the rest. Errors in streams are texts."""
    from litellm.litellm_core_utils import secret_redaction

    whole = secret_redaction.python_redact_string
    secret_redaction.python_redact_string = lambda value: whole(value[:_MAX_REDACTED])


def _limit_httpx() -> None:
    sync_send, async_send = httpx.Client.send, httpx.AsyncClient.send

    def send(self: httpx.Client, request: Request, *, stream: bool = False, **options: Any) -> Response:
        response = sync_send(self, request, **options | {"stream": True, "follow_redirects": False})
        if not _is_answer(response):
            return _read_in_part(response)
        if not stream:
            try:
                response.read()
            except BaseException:
                response.close()
                raise
        return response

    async def asend(self: httpx.AsyncClient, request: Request, *, stream: bool = False, **options: Any) -> Response:
        response = await async_send(self, request, **options | {"stream": True, "follow_redirects": False})
        context = current_request.get()
        if not _is_answer(response):
            error = await _aread_in_part(response)
            if context is not None and context.for_lane:
                bedrock_answers.note_error(error, context)
            return error
        if context is not None and context.for_lane:
            bedrock_answers.note(response, context, stream=stream)
        elif stream and context is not None and _is_stream(response):
            response.stream = _WatchedStream(response, context)
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
            if context is not None and context.recorder is not None:
                context.recorder.whole(response.content)
        return response

    httpx.Client.send = send  # type: ignore[method-assign]
    httpx.AsyncClient.send = asend  # type: ignore[method-assign]


def _limit_others() -> None:
    import aiohttp
    import requests

    request, send = aiohttp.ClientSession._request, requests.Session.send

    async def without_redirects(self: aiohttp.ClientSession, *args: Any, **options: Any) -> Any:
        return await request(self, *args, **options | {"allow_redirects": False})

    def send_without_redirects(self: requests.Session, *args: Any, **options: Any) -> Any:
        return send(self, *args, **options | {"allow_redirects": False})

    aiohttp.ClientSession._request = without_redirects  # type: ignore[method-assign]
    requests.Session.send = send_without_redirects  # type: ignore[method-assign]


def _is_answer(response: Response) -> bool:
    """Whether a response is an answer: neither an error, nor a web page, as captive portals send it."""
    page = response.request.method == "POST" and no_answer.is_page(response.headers.get("content-type", ""))
    return response.is_success and not page


def _is_stream(response: Response) -> bool:
    return sse.is_stream(response.headers.get("content-type", "").encode("latin-1", "replace"))


def _decoder_of(response: Response) -> content_coding.Decoder | None:
    return content_coding.decoder(response.headers.get("content-encoding", "").encode("latin-1", "replace"))


class _BodyStart:
    """The beginning of a body, decoded piece by piece; empty for an unknown content coding."""

    def __init__(self, response: Response) -> None:
        self._decoder = _decoder_of(response)
        self._body = bytearray()

    def take(self, raw: bytes) -> bool:
        """Take the next bytes. Return whether more are wanted."""
        if self._decoder is None:
            return False
        self._body += self._decoder.feed(raw)[: MAX_ERROR - len(self._body)]
        return len(self._body) < MAX_ERROR and not self._decoder.blind

    @property
    def body(self) -> bytes:
        return bytes(self._body)


class _WatchedStream(httpx.AsyncByteStream):
    """An event stream, unchanged, that notes in the request context whether the stream has marked its end."""

    def __init__(self, response: Response, context: RequestContext) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream = response.stream
        self._context = context
        self._decoder = _decoder_of(response)
        self._tail = b""
        context.ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for raw in self._stream:
            self._watch(raw)
            yield raw

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _watch(self, raw: bytes) -> None:
        if self._decoder is None or self._decoder.blind:
            self._context.ended = True
            return
        decoded = self._decoder.feed(raw)
        if self._context.recorder is not None:
            self._context.recorder.feed(decoded)
        seen = self._tail + decoded
        self._context.ended = self._context.ended or _END_MARK.search(seen) is not None
        self._tail = seen[-_TAIL:]


def _read_in_part(response: Response) -> Response:
    part = _BodyStart(response)
    until = time.monotonic() + READ_TIMEOUT
    try:
        for raw in response.iter_raw():
            if not part.take(raw) or time.monotonic() > until:
                break
    except httpx.HTTPError:
        pass  # what has arrived is enough: the status tells the rest
    finally:
        response.close()
    return _as_error(response, part.body)


async def _aread_in_part(response: Response) -> Response:
    part = _BodyStart(response)
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            async for raw in response.aiter_raw():
                if not part.take(raw):
                    break
    except (httpx.HTTPError, TimeoutError):
        pass  # what has arrived is enough: the status tells the rest
    finally:
        await response.aclose()
    return _as_error(response, part.body)


def _as_error(response: Response, body: bytes) -> Response:
    """Return an error response with *body*. A redirect, or a web page, becomes a 502 that says what it was.

    Some of LiteLLM's handlers do not take a 3xx for an error, and take each line of a page for an event.
    """
    dropped = (b"content-encoding", b"content-length", b"transfer-encoding", b"location")
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in dropped]
    status = response.status_code
    if status < 400:
        kind, location = response.headers.get("content-type", ""), response.headers.get("location")
        message = no_answer.why_no_answer(status, kind, location, str(response.url))
        explained = Response(502, json={"message": message, "error": {"type": "api_error", "message": message}})
        headers = [(name, value) for name, value in headers if name.lower() != b"content-type"]
        headers.append((b"content-type", b"application/json"))
        status, body = 502, explained.content
    error = Response(status, headers=headers, content=body, request=response.request, extensions=response.extensions)
    error.elapsed = response.elapsed
    return error
