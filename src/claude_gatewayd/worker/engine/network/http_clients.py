"""What LiteLLM's HTTP clients may do: no redirect is followed, and of an error no more is read than anybody reads.

LiteLLM reaches its upstreams by httpx (its own handlers, also where aiohttp is the transport below, and the SDKs of
OpenAI and Anthropic), and in few places by aiohttp or requests themselves. So it is held where all of them pass, in
those libraries, and not in LiteLLM's handlers, of which there are dozens.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
from httpx import Request, Response

from claude_gatewayd.anthropic import sse
from claude_gatewayd.http1 import content_coding
from claude_gatewayd.worker.engine.request_context import RequestContext, current_request

MOST = 64 * 1024  # bytes of an error, decoded
READ_WITHIN = 5.0  # seconds: for a body that comes drop by drop
_MOST_REDACTED = 16 * 1024  # LiteLLM's expressions take 0.5 ms for a KiB, and hold the interpreter meanwhile
# OpenAI's mark, and the word of Gemini's, whose chunks without it LiteLLM takes for the last, each of them.
_DONE = re.compile(rb'(?:\A|[\r\n])data: ?\[DONE\]|[{,\s]"finishReason"\s*:')
_TAIL = 64
_PLAIN = re.compile(r"[\w.:\[\]-]{1,255}\Z", re.ASCII)


def restrain() -> None:
    """Hold every client of this process, made already or later, to it."""
    _restrain_httpx()
    _restrain_others()


def restrain_redaction() -> None:
    """Let LiteLLM look for secrets in the beginning of a text only, and drop the rest: errors in streams are texts."""
    from litellm.litellm_core_utils import secret_redaction

    whole = secret_redaction.python_redact_string
    secret_redaction.python_redact_string = lambda value: whole(value[:_MOST_REDACTED])


def _restrain_httpx() -> None:
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
        if not _is_answer(response):
            return await _aread_in_part(response)
        context = current_request.get()
        if stream:
            if context is not None and sse.is_stream(
                response.headers.get("content-type", "").encode("latin-1", "replace")
            ):
                response.stream = _Ending(response, context)
        else:
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


def _restrain_others() -> None:
    import aiohttp
    import requests

    ask, send = aiohttp.ClientSession._request, requests.Session.send

    async def without_redirects(self: aiohttp.ClientSession, *args: Any, **options: Any) -> Any:
        return await ask(self, *args, **options | {"allow_redirects": False})

    def send_without_redirects(self: requests.Session, *args: Any, **options: Any) -> Any:
        return send(self, *args, **options | {"allow_redirects": False})

    aiohttp.ClientSession._request = without_redirects  # type: ignore[method-assign]
    requests.Session.send = send_without_redirects  # type: ignore[method-assign]


def _is_answer(response: Response) -> bool:
    """Say whether a request was answered: not with a failure, nor with a page, as the login of a network does."""
    page = response.request.method == "POST" and response.headers.get("content-type", "").startswith("text/html")
    return response.is_success and not page


def _decoder_of(response: Response) -> content_coding.Decoder | None:
    return content_coding.decoder(response.headers.get("content-encoding", "").encode("latin-1", "replace"))


class _Part:
    """The beginning of a body, decoded in bounded pieces; one in a coding that we do not know stays empty."""

    def __init__(self, response: Response) -> None:
        self._decoder = _decoder_of(response)
        self._body = bytearray()

    def takes(self, raw: bytes) -> bool:
        """Take the next of it, and say whether more is wanted."""
        if self._decoder is None:
            return False
        self._body += self._decoder.feed(raw)[: MOST - len(self._body)]
        return len(self._body) < MOST and not self._decoder.blind

    @property
    def body(self) -> bytes:
        return bytes(self._body)


class _Ending(httpx.AsyncByteStream):
    """A stream of events as it is, and a note where it says itself that it is over, as OpenAI's and Gemini's do."""

    def __init__(self, response: Response, context: RequestContext) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream = response.stream
        self._context = context
        self._decoder = _decoder_of(response)
        self._tail = b""
        context.ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for raw in self._stream:
            self._look(raw)
            yield raw

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _look(self, raw: bytes) -> None:
        if self._decoder is None or self._decoder.blind:
            self._context.ended = True
            return
        decoded = self._decoder.feed(raw)
        if self._context.recorder is not None:
            self._context.recorder.feed(decoded)
        seen = self._tail + decoded
        self._context.ended = self._context.ended or _DONE.search(seen) is not None
        self._tail = seen[-_TAIL:]


def _read_in_part(response: Response) -> Response:
    part = _Part(response)
    until = time.monotonic() + READ_WITHIN
    try:
        for raw in response.iter_raw():
            if not part.takes(raw) or time.monotonic() > until:
                break
    except httpx.HTTPError:
        pass  # what has come is enough: the status says the rest
    finally:
        response.close()
    return _as_error(response, part.body)


async def _aread_in_part(response: Response) -> Response:
    part = _Part(response)
    try:
        async with asyncio.timeout(READ_WITHIN):
            async for raw in response.aiter_raw():
                if not part.takes(raw):
                    break
    except (httpx.HTTPError, TimeoutError):
        pass  # what has come is enough: the status says the rest
    finally:
        await response.aclose()
    return _as_error(response, part.body)


def _as_error(response: Response, body: bytes) -> Response:
    """Return an answer that is no success anew, with *body*; a redirect or a page as a gateway's failure that says so.

    Not every handler of LiteLLM's takes a 3xx for a failure, and each line of a page for an event without content.
    """
    dropped = (b"content-encoding", b"content-length", b"transfer-encoding", b"location")
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in dropped]
    status = response.status_code
    if status < 400:
        message = f"it answered {status}{_whither(response)}, and no redirect is followed"
        if response.is_success:
            message = f"it answered {status} with a page (text/html), as the login of a network or a proxy does"
        told = Response(502, json={"message": message, "error": {"type": "api_error", "message": message}})
        headers = [(name, value) for name, value in headers if name.lower() != b"content-type"]
        headers.append((b"content-type", b"application/json"))
        status, body = 502, told.content
    error = Response(status, headers=headers, content=body, request=response.request, extensions=response.extensions)
    error.elapsed = response.elapsed
    return error


def _whither(response: Response) -> str:
    """Say which host an answer leads to; nothing of the rest of the URL, which may be a secret."""
    try:
        host = urlsplit(urljoin(str(response.url), response.headers.get("location", ""))).netloc.rpartition("@")[2]
    except ValueError:
        return ""
    return f", a redirect to {host}" if "location" in response.headers and _PLAIN.match(host) else ""
