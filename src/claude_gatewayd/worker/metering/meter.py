"""The meter of one request: which reader an answer needs, and what it has read."""

from collections.abc import Callable
from typing import Final, Protocol

from claude_gatewayd.anthropic import sse
from claude_gatewayd.bedrock import event_stream
from claude_gatewayd.http1 import content_coding
from claude_gatewayd.http1.content_coding import Decoder
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import ResponseHead
from claude_gatewayd.ledger import usage
from claude_gatewayd.ledger.token_counts import TokenCounts
from claude_gatewayd.worker.metering.document import DocumentReader, Found
from claude_gatewayd.worker.metering.invoke_stream import InvokeStreamReader
from claude_gatewayd.worker.metering.stream import StreamReader

_IDENTITY: Final = (b"", b"identity")


class _Reader(Protocol):
    def see(self, payload: Bytes) -> None: ...

    def read(self) -> Found: ...


class Meter:
    """Read what the answer to one request uses, while it passes.

    It is asked once the answer has passed; of one that was broken off it has what came. A request that LiteLLM makes
    for a caller has the meter of the caller's request, which sees that answer before LiteLLM's: the first one counts.
    """

    __slots__ = ("_found", "_readers")

    def __init__(self) -> None:
        self._readers: list[_Reader] = []
        self._found: Found | None = None

    def reader_of(self, answer: ResponseHead) -> Callable[[Bytes], None] | None:
        """Return what is to see the payload of an answer, as it came; None if there is nothing in it to read."""
        see = self.plain_reader_of(answer)
        coding = answer.fields.get(b"content-encoding").strip().lower()
        if see is None or coding in _IDENTITY:
            return see
        decoder = content_coding.decoder(coding)
        return _decoding(decoder, see) if decoder is not None else None

    def plain_reader_of(self, answer: ResponseHead) -> Callable[[Bytes], None] | None:
        """Return what is to see the same, decoded."""
        if answer.status != 200:
            return None
        kind = answer.fields.get(b"content-type").lower()
        reader: _Reader
        if sse.is_stream(kind):
            reader = StreamReader()
        elif kind.startswith(b"application/json"):
            reader = DocumentReader()
        elif event_stream.is_event_stream(kind):
            reader = InvokeStreamReader()
        else:
            return None
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

    @property
    def counts(self) -> TokenCounts | None:
        """What was used; None where no answer says so."""
        found = self._answered.usage
        return usage.counted(found) if isinstance(found, dict) else None

    @property
    def advised(self) -> list[tuple[str, TokenCounts]]:
        """What other models used in the course of it, which is not in `counts`."""
        found = self._answered.usage
        return usage.advised(found) if isinstance(found, dict) else []

    @property
    def model(self) -> str:
        """The model that served, as the answer names it; "" where it does not."""
        return usage.name(self._answered.model)

    @property
    def message_id(self) -> str:
        """The id of the message; "" where there is none."""
        return usage.name(self._answered.id)

    @property
    def _answered(self) -> Found:
        if self._found is None:
            found = [reader.read() for reader in self._readers]
            self._found = next((one for one in found if isinstance(one.usage, dict)), found[0] if found else Found())
        return self._found


def _decoding(decoder: Decoder, see: Callable[[Bytes], None]) -> Callable[[Bytes], None]:
    def decode(payload: Bytes) -> None:
        if decoded := decoder.feed(payload):
            see(decoded)

    return decode
