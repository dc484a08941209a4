"""The heads of one connection: a client sends the same again and again, but for the length of the body."""

from typing import Final

from claude_gatewayd.http1 import head
from claude_gatewayd.http1.head import Fields, RequestHead

_LONGEST: Final = 2048  # bytes of a head that a connection remembers
_LONGEST_LENGTH: Final = 18  # digits


class RepeatedHead:
    """Parse heads of requests. What differs from the last one in the length of the body alone is parsed no more.

    It is found by a hash, not compared with byte by byte: that could reveal how much of a guessed key is right, where
    several callers share a connection. It ends with the connection, and so do the credentials in it.
    """

    __slots__ = ("_before", "_behind", "_end", "_fields_at", "_last")

    def __init__(self) -> None:
        self._last: dict[tuple[bytes, bytes], RequestHead] = {}
        self._before = self._behind = 0  # bytes before and behind the length
        self._end = 0  # of the last one
        self._fields_at = 0

    def take(self, buffer: bytes) -> tuple[RequestHead, int] | None:
        """Parse the head that *buffer* begins with; return it and its length, None while it is not whole.

        Raises Malformed.
        """
        end = self._end  # of a length with as many digits
        found = self._like_the_last(buffer, end)
        if found is None:
            end = head.find_end(buffer)
            if not end:
                return None
            found = self.parse(buffer[:end])
        return found, end

    def parse(self, text: bytes) -> RequestHead:
        """Parse one whole head, as `head.parse_request` does. Raises Malformed."""
        parsed = self._like_the_last(text, len(text))
        if parsed is None:
            parsed = head.parse_request(text)
            self._remember(text, parsed)
        self._end = len(text)
        return parsed

    def _like_the_last(self, text: bytes, end: int) -> RequestHead | None:
        """Return the head that ends there, if it is like the last one: so it has no end before that."""
        before, behind = self._before, end - self._behind
        last = self._last.get((text[:before], text[behind:end]))
        if last is not None:
            digits = text[before:behind]
            # What is sent on is written anew from its value: there, a length has no leading zeros.
            if digits.isdigit() and len(digits) <= _LONGEST_LENGTH and not digits.startswith(b"0"):
                return RequestHead(
                    Fields(text[self._fields_at : end - 4]),
                    int(digits),
                    False,
                    last.keep_alive,
                    last.named,
                    last.method,
                    last.target,
                    last.is_http_10,
                    last.expects_continue,
                    last.likeness,
                )
        return None

    def _remember(self, text: bytes, parsed: RequestHead) -> None:
        digits = b"%d" % (parsed.length or 0)
        if not parsed.length or len(text) > _LONGEST:
            return
        line = parsed.fields.line_of[b"content-length"]
        if not line.endswith((b":" + digits, b" " + digits)):  # leading zeros, or blanks behind it
            return
        self._fields_at = text.index(b"\r\n") + 2
        # With what is around it: a longer line may end in the same bytes.
        at = text.index(b"\r\n" + line + b"\r\n") + 2 + len(line)
        self._before, self._behind = at - len(digits), len(text) - at
        parsed.likeness = object()
        self._last = {(text[: self._before], text[at:]): parsed}
