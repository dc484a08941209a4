"""The meter of one request: which reader an answer needs, and what it has read."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from claude_gatewayd.anthropic import sse
from claude_gatewayd.bedrock import event_stream
from claude_gatewayd.http1 import content_coding
from claude_gatewayd.http1.content_coding import Decoder
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import ResponseHead
from claude_gatewayd.ledger import usage
from claude_gatewayd.ledger.token_counts import TokenCounts
from claude_gatewayd.worker.metering.document import DocumentReader, Found, PlainFound
from claude_gatewayd.worker.metering.invoke_stream import InvokeStreamReader
from claude_gatewayd.worker.metering.stream import StreamReader

_HELD: Final = 64 * 1024


class _Reader(Protocol):
    def see(self, payload: Bytes) -> None: ...

    def read_plain(self) -> PlainFound | None: ...

    def read(self) -> Found: ...


class _DecodingReader:
    """Decode what another reader is to see: late, for the client gets its bytes first."""

    __slots__ = ("_decoder", "_held", "_reader", "_size")

    def __init__(self, decoder: Decoder, reader: _Reader) -> None:
        self._decoder = decoder
        self._reader = reader
        self._held: list[bytes] = []
        self._size = 0

    def see(self, payload: Bytes) -> None:
        self._held.append(bytes(payload))
        self._size += len(payload)
        if self._size > _HELD:
            self._decode()

    def read_plain(self) -> PlainFound | None:
        self._decode()
        return self._reader.read_plain()

    def read(self) -> Found:
        self._decode()
        return self._reader.read()

    def _decode(self) -> None:
        for piece in self._held:
            if decoded := self._decoder.feed(piece):
                self._reader.see(decoded)
        self._held.clear()
        self._size = 0


class Reading(NamedTuple):
    """What an answer says of itself: *counts* is None where it names no tokens, the names are "" where it has none.

    *advised* is what other models used in the course of it, which is not in *counts*.
    """

    counts: TokenCounts | None = None
    model: str = ""
    message_id: str = ""
    advised: Sequence[tuple[str, TokenCounts]] = ()


NOTHING: Final = Reading()


class Meter:
    """Read what the answer to one request uses, while it passes.

    It is asked once the answer has passed; of one that was broken off it has what came. A request that LiteLLM makes
    for a caller has the meter of the caller's request, which sees that answer before LiteLLM's: the first one counts.
    """

    __slots__ = ("_readers",)

    def __init__(self) -> None:
        self._readers: list[_Reader] = []

    def reader_of(self, answer: ResponseHead) -> Callable[[Bytes], None] | None:
        """Return what is to see the payload of an answer, as it came; None if there is nothing in it to read."""
        see = self.plain_reader_of(answer)
        coding = answer.fields.get(b"content-encoding")
        if see is None or not coding:
            return see
        decoder = content_coding.decoder(coding)
        if decoder is None:
            return None
        self._readers[-1] = reader = _DecodingReader(decoder, self._readers[-1])
        return reader.see

    def plain_reader_of(self, answer: ResponseHead) -> Callable[[Bytes], None] | None:
        """Return what is to see the same, decoded."""
        kind = _reader_for(answer.fields.get(b"content-type")) if answer.status == 200 else None
        if kind is None:
            return None
        reader = kind()
        self._readers.append(reader)
        return reader.see

    def reader_of_events(self) -> Callable[[Bytes], None]:
        """Return what is to see a stream of server-sent events that the gateway writes."""
        reader = StreamReader()
        self._readers.append(reader)
        return reader.see

    def see_whole(self, document: bytes) -> None:
        """Look at an answer that is here as a whole."""
        reader = DocumentReader()
        reader.see(document)
        self._readers.append(reader)

    def read(self) -> Reading:
        """Return what was read."""
        first: Found | None = None
        for reader in self._readers:
            if (plain := reader.read_plain()) is not None:
                return Reading(plain.usage.counts(), usage.name(plain.model), usage.name(plain.id))
            found = reader.read()
            if isinstance(found.usage, dict):
                advised = usage.advised(found.usage) if "iterations" in found.usage else ()
                return Reading(usage.counted(found.usage), usage.name(found.model), usage.name(found.id), advised)
            first = first or found
        return Reading(None, usage.name(first.model), usage.name(first.id)) if first is not None else NOTHING


@lru_cache(8)
def _reader_for(content_type: bytes) -> type[_Reader] | None:
    if sse.is_stream(content_type):
        return StreamReader
    if event_stream.is_event_stream(content_type):
        return InvokeStreamReader
    return DocumentReader if content_type.lower().startswith(b"application/json") else None
