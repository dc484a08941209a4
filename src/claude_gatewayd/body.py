"""The little that is read of a request's body: which model, and whether the answer is to be streamed.

The bytes that go to Anthropic stay as they came. Only an alias changes them, and of them only that one string.
"""

import json
import re

import msgspec


class Asked(msgspec.Struct, frozen=True):
    """What a request asks for. *model* is None where the body does not say, or is no JSON object."""

    model: str | None = None
    stream: bool | None = None


UNREADABLE = Asked()

_decoder = msgspec.json.Decoder(Asked)

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_INTERESTING = re.compile(rb'["\[\]{}]')
_AFTER_KEY = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")


def read(body: bytes) -> Asked:
    """Read the two fields without building the rest: 128 KiB in about 40 microseconds."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNREADABLE


def routing_name(model: str) -> str:
    """Return the name that routing goes by: "[1m]" is Claude Code's mark for a long context, no part of it."""
    return model.removesuffix("[1m]")


def with_model(body: bytes, model: str) -> bytes:
    """Return *body* with its model's name replaced, every other byte as it was.

    *body* is a JSON object that has been read, with "model" in it. Where the key stands twice the last one counts,
    as it does for the reader.
    """
    span = _value_of_top_level_key(body, "model")
    if span is None:
        return body
    start, end = span
    return body[:start] + json.dumps(model).encode() + body[end:]


def _spells(text: bytes, key: str) -> bool:
    """Say whether a JSON string is *key*, escapes read. The reader lets pass what is no UTF-8."""
    spelled: str = json.loads(text.decode(errors="replace"), strict=False)
    return spelled == key


def _value_of_top_level_key(body: bytes, key: str) -> tuple[int, int] | None:
    """Find the string that stands behind *key* in the outermost object."""
    depth, at, found = 0, 0, None
    while match := _INTERESTING.search(body, at):
        at = match.start()
        sign = body[at]
        if sign in b"{[":
            depth, at = depth + 1, at + 1
        elif sign in b"}]":
            depth, at = depth - 1, at + 1
        else:
            text = _STRING.match(body, at)
            if text is None:
                return None
            at = text.end()
            colon = _AFTER_KEY.match(body, at) if depth == 1 else None
            if colon is not None and _spells(text[0], key):
                value = _STRING.match(body, colon.end())
                if value is not None:
                    found = value.span()
                    at = value.end()
    return found
