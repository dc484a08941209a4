"""The usage in one JSON object: an answer that is no stream, or the data of an event. Pure."""

import json
from typing import Any, Final, TypeVar

import msgspec

from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.ledger.usage import PlainUsage, Usage

_WHOLE: Final = 64 * 1024  # bytes: up to here an answer is kept and parsed as a whole
_BEGINNING: Final = 16 * 1024  # of a larger one
_END: Final = 32 * 1024  # at least
_MOST_TRIED: Final = 8  # places that may be the usage: each is parsed from there to the end
_USAGE: Final = b'"usage"'


class Found(msgspec.Struct, gc=False):
    """What is read of an answer: whoever's it is, and whatever its fields hold."""

    id: Any = None
    model: Any = None
    usage: Any = None


class PlainFound(msgspec.Struct, gc=False):
    """The same of nearly all answers."""

    usage: PlainUsage
    id: Any = None
    model: Any = None


_Shape = TypeVar("_Shape")
_decoder: Final = msgspec.json.Decoder(Found)
_plain_decoder: Final = msgspec.json.Decoder(PlainFound)
_scanner: Final = json.JSONDecoder()


class DocumentReader:
    """Read a JSON object of any size, however its bytes come.

    Of a large one not all is kept: its usage is found at its beginning or at its end, where all have it.
    """

    __slots__ = ("_end", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._end: bytearray | None = None

    def see(self, payload: Bytes) -> None:
        """Look at the next bytes."""
        self._size += len(payload)
        if self._end is not None:
            self._end += payload
            if len(self._end) > _WHOLE:
                del self._end[:-_END]
            return
        self._pieces.append(payload if type(payload) is bytes else bytes(payload))
        if self._size > _WHOLE:
            whole = b"".join(self._pieces)
            self._pieces = [whole[:_BEGINNING]]
            self._end = bytearray(whole[-_END:])

    def read_plain(self) -> PlainFound | None:
        """Return what was found in an answer that is kept as a whole; None where it is no plain one, for `read`."""
        if self._end is not None:
            return None
        pieces = self._pieces
        try:
            found = _plain_decoder.decode(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return found if found.usage.is_plain else None

    def read(self) -> Found:
        """Return what was found."""
        beginning = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        if self._end is None:
            return decode(_decoder, beginning) or _read_beginning(beginning)
        found = _read_beginning(beginning)
        if not isinstance(found.usage, dict):
            found.usage = _read_end(self._end)
        return found


def decode(decoder: msgspec.json.Decoder[_Shape], document: bytes) -> _Shape | None:
    """Read a whole JSON object; None where it is none.

    What msgspec does not take, half of a surrogate pair above all, the standard library does.
    """
    try:
        return decoder.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return msgspec.convert(json.loads(document), decoder.type)
    except (msgspec.ValidationError, ValueError, RecursionError):
        return None


def _read_beginning(cut: bytes) -> Found:
    """Read the fields of an object of which only the beginning is there."""
    text = cut.decode(errors="replace")
    found: dict[str, Any] = {}
    at = _after(text, 0, "{")
    try:
        while at:
            name, at = _scanner.raw_decode(text, at)
            found[name], at = _scanner.raw_decode(text, _after(text, at, ":"))
            at = _after(text, at, ",")
    except (ValueError, RecursionError, TypeError):
        pass  # cut, or no JSON
    return Found(found.get("id"), found.get("model"), found.get("usage"))


def _after(text: str, at: int, sign: str) -> int:
    """Return where the next token begins behind *sign*; 0 if that does not come next."""
    rest = text[at : at + 64]
    behind = rest.lstrip(" \t\r\n")
    if not behind.startswith(sign):
        return 0
    behind = behind[1:]
    return at + len(rest) - len(behind.lstrip(" \t\r\n"))


def _read_end(cut: bytearray) -> Usage | None:
    """Return the usage that is among the last fields of an object of which only the end is there.

    Only a field of the outermost object has the end of that, and nothing more, behind it. Nor can it be in a text:
    there, a quotation mark is escaped.
    """
    at = len(cut)
    for _ in range(_MOST_TRIED):
        if (at := cut.rfind(_USAGE, 0, at)) < 0:
            break
        try:
            found = _decoder.decode(b"{" + cut[at:])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(found.usage, dict):
            return found.usage
    return None
