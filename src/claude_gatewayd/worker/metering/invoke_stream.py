"""The usage in AWS's event stream, as Bedrock's InvokeModel answers a client that speaks its API. Pure."""

from typing import Final

from claude_gatewayd.bedrock import event_stream
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.worker.metering.document import Found
from claude_gatewayd.worker.metering.stream import StreamReader

_PRELUDE: Final = 12  # bytes at the beginning of a message: with them its length is known
_DELTA: Final = b'"eyJ0eXBlIjoiY29udGVudF9ibG9ja19kZWx0'  # {"type":"content_block_delt, in base64: nearly all messages
_MOST: Final = 1024 * 1024


class InvokeStreamReader:
    """Read a stream, however its bytes come."""

    __slots__ = ("_blind", "_events", "_rest", "_skip")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._events = StreamReader()
        self._blind = False
        self._skip = 0  # bytes, of a message that is too long

    def see(self, payload: Bytes) -> None:
        """Look at the next bytes."""
        if self._blind:
            return
        if self._skip:
            skipped = min(self._skip, len(payload))
            self._skip -= skipped
            payload = payload[skipped:]
        rest = self._rest
        rest += payload
        at = 0
        while len(rest) - at >= _PRELUDE:
            length = event_stream.length_of(rest, at)
            if length == 0:
                self._blind = True
                break
            if len(rest) - at < length:
                if length > _MOST:
                    self._skip = length - (len(rest) - at)
                    at = len(rest)
                break
            if rest.find(_DELTA, at, at + length) < 0:
                self._events.see_data(event_stream.chunk_of(bytes(rest[at : at + length])))
            at += length
        if self._blind:
            rest.clear()
        else:
            del rest[:at]

    def read_plain(self) -> None:
        """Return None: its events are read as they come."""

    def read(self) -> Found:
        """Return what was found."""
        return self._events.read()
