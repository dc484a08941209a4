"""What Bedrock answers to its lane's requests, noted before LiteLLM sees it: the lane reads both transports' the same.

LiteLLM words failures itself, and goes on after some; so it gets a stream up to where it fails, and no more.
"""

from collections.abc import AsyncIterator
from typing import Final

import httpx

from claude_gatewayd.anthropic import sse
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock.errors import BROKEN, TIMEOUT, BedrockFailure
from claude_gatewayd.bedrock.event_stream import EventStreamDecoder
from claude_gatewayd.worker.engine.request_context import RequestContext

_PRELUDE: Final = 12  # bytes of a message, its length in the first four
_FAILURES: Final = (b"error", b"engine_error")


def note_error(response: httpx.Response, context: RequestContext) -> None:
    """Note an error of Bedrock's, whose body has been read."""
    kind = response.headers.get("x-amzn-errortype", "").encode("latin-1", "replace")
    context.request_id = response.headers.get("x-amzn-requestid", "")
    context.failure = bedrock_errors.of_answer(response.status_code, kind, response.content)


def note(response: httpx.Response, context: RequestContext, *, stream: bool) -> None:
    """Note an answer of Bedrock's, and how its stream fails, if it does."""
    context.request_id = response.headers.get("x-amzn-requestid", "")
    context.streaming = stream
    if stream and response.headers.get("content-encoding", "identity") == "identity":
        response.stream = _CheckedStream(response, context)


class _CheckedStream(httpx.AsyncByteStream):
    """An event stream up to its failure, which the request's context gets."""

    def __init__(self, response: httpx.Response, context: RequestContext) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream = response.stream
        self._context = context
        self._messages = GoodMessages()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        messages = self._messages
        try:
            async for raw in self._stream:
                if good := messages.feed(raw):
                    yield good
                if messages.failure is not None:
                    break
        except httpx.TimeoutException:
            messages.failure = TIMEOUT
        except httpx.HTTPError:
            messages.failure = BROKEN
        if (failure := messages.failure or (BROKEN if messages.is_cut else None)) is not None:
            self._context.failure = failure

    async def aclose(self) -> None:
        await self._stream.aclose()


class GoodMessages:
    """Split an event stream into the messages that carry an event, however its bytes come; *failure* is why it ends."""

    def __init__(self) -> None:
        self.failure: BedrockFailure | None = None
        self._decoder = EventStreamDecoder()
        self._rest = bytearray()
        self._decoded = 0  # bytes of the first message in it

    @property
    def is_cut(self) -> bool:
        """Whether it has ended in the middle of a message, if it ends here."""
        return bool(self._rest)

    def feed(self, data: bytes) -> bytes:
        """Return the messages that are complete with *data*, as they came."""
        good: list[bytes] = []
        rest = self._rest
        rest += data
        while len(rest) >= _PRELUDE and self.failure is None:
            length = max(int.from_bytes(rest[:4]), _PRELUDE)
            message = bytes(rest[:length])
            event = self._decoder.feed(message[self._decoded :])
            self._decoded = len(message)
            if sse.name_of(event) in _FAILURES:
                self.failure = bedrock_errors.read_event(sse.data_of(event))
            elif len(message) < length:
                break
            else:
                if event:
                    good.append(message)
                del rest[:length]
                self._decoded = 0
        return b"".join(good)
